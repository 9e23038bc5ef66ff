"""The page that tries each endpoint in a browser."""
