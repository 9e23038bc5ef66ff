"""The dashboard: pages that read the workspace and show what it says."""
