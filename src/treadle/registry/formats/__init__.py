"""Formats a model can be stored in, one file each: `accepts`, `save`, `load`, `example`."""
