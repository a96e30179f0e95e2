"""Hypothesis fails an example that takes longer than 200 ms unless told otherwise: no test here is about time."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
