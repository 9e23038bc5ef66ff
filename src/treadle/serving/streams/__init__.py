"""Brokers that messages come from and predictions go to, one file each."""
