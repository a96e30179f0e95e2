"""The state half: what every member computes when it applies a block."""
