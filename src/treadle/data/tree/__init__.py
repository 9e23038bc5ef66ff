"""The parts of trees: files of any kind as data, found, hashed, stored, listed and checked out."""
