"""Trackers elsewhere that are told what the ledger holds, one file each; see `registry.mirror` for what a file must have."""
