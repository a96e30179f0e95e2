"""Anomalies of meter points, found while their readings come in."""

from streams.anomaly.univariate import UnivariateDetector

__all__ = ["UnivariateDetector"]
