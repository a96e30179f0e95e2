"""A gateway that is killed at any moment: who was answered is in exactly one packet."""

import asyncio
from pathlib import Path

import pytest

from tests.streams.edge.kills import campaign


@pytest.mark.slow
def test_kill_9_loses_and_doubles_nothing_that_was_answered(tmp_path: Path) -> None:
    found = asyncio.run(campaign(tmp_path, seed=7, rounds=3))
    assert found.sent_again and found.packets > 3
