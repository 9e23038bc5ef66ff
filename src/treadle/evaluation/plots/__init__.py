"""Plots of answers beside what happened: what a task's metrics cannot say in one number. One file for each."""
