"""Synthetic series: no plant ever emitted them."""

import numpy as np


def weekly(days: int, level: int = 1_000_000, weekend: float = 0.5, noise: float = 0.0, seed: int = 1) -> list[int]:
    """Synthetic: five equal days and two of a share of them, with normal noise of a share of the level."""
    day = np.arange(days)
    quiet = np.where(day % 7 >= 5, weekend, 1.0)
    return [
        max(round(level * q * (1 + e)), 0)
        for q, e in zip(quiet, np.random.default_rng(seed).normal(0, noise, days), strict=True)
    ]
