"""Univariate detectors judged: labelled streams made up from seeds, a scorer, candidates."""
