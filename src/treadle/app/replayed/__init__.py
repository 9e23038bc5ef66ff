"""The page about replayed policies."""
