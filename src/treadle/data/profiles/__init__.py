"""Profiles: what the rows of a dataset version look like, in numbers and as a page."""
