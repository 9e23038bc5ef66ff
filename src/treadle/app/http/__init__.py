"""The team server: one table of operations behind a guarded door, for programs and for the dashboard."""
