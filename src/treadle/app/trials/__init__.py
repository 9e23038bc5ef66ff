"""The page about a search's trials."""
