"""Scenarios of the committee with seven real processes on a real broker: crashes, lies, a lying wire, lost disks.

`python -m tests.scenarios` runs them all; the simulator (`tests/simulation`) has the same claims in virtual time.
"""
