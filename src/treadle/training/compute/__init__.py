"""Places where training functions run, one file each."""
