"""The page of a profile: one HTML file that needs nothing else, neither network nor scripts."""
