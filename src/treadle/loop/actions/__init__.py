"""What becomes of a version that passed its gates: one file an action."""
