"""One of the scenarios, which no other test plays; `make scenarios` plays all of them."""

from pathlib import Path

import pytest

from tests.scenarios.catalogue import play


@pytest.mark.broker
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["lying-wire"])
def test_seven_processes_lose_nothing_and_certify_nothing_wrong(tmp_path: Path, name: str) -> None:
    done = play(name, tmp_path, seed=1)
    assert done.lost == 0 and done.blocks > 1
