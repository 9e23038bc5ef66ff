"""Shapley values of a model's answers: what each input adds to an answer, beside the answers for background rows."""
