"""The steps that bring an older ledger's tables to this release's: one file each, in `versions`."""
