"""The languages that callers may speak: one file each, found by name, that parses requests and renders answers."""
