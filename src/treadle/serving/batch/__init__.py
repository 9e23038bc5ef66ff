"""Scoring of many rows at once: planned in parts, each written whole or not at all, so that a killed batch goes on."""
