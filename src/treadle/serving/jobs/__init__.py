"""Predictions that callers do not wait for: accepted, queued, made by workers, and told by web hooks."""
