"""Room 6: model versions: packages that are verified before they answer, and the aliases that point at them."""
