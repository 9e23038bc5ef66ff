"""The door: what each request has to pass before anything is done for it, one file for each check."""
