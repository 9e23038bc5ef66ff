"""Ways to tell a person, one file each."""
