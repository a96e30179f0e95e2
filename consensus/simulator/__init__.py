"""A committee in one process under a seeded scheduler, with faults, liars and checkers. A run is a seed."""

from consensus.simulator.campaign import simulate
from consensus.simulator.world import Outcome, Scenario, drawn, play, run

__all__ = ["Outcome", "Scenario", "drawn", "play", "run", "simulate"]
