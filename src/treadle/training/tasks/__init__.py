"""Kinds of question that a model answers, one file each."""
