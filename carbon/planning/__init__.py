"""Plan and early warning: what a subject will have emitted by the year's end, and when its allowances run out.

Forecasts are statistics in floats. They warn; they decide no verdict and post nothing.
"""
