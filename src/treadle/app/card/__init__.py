"""The card of a model version: what it is, how good, from what, and what it is not good for."""
