"""Preference pairs out of a model's own answers: sample, run the tests, compare."""
