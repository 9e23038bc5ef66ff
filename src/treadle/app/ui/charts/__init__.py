"""Charts as drawings that the server makes; each has its numbers as a table, and can be had as SVG, PNG and CSV."""
