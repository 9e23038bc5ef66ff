"""Where raw rows come from: each module here is one kind of source."""
