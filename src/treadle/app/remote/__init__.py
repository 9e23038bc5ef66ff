"""A workspace elsewhere, used as one here."""
