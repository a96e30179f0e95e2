"""Every interleaving of a small committee of real replicas with one Byzantine member, within stated bounds."""
