"""What goes over the wire between a workspace here and one elsewhere: operations, values, errors."""
