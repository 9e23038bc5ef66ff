"""Ways to see that a column has changed: one file each; the file's name is the detector's name."""
