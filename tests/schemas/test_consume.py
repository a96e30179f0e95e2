"""`docs/consume.md` does what it says: its programs are taken out of the page and run against a real broker."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from infra.broker import Broker
from infra.topics import ensure_topics
from schemas import codec
from schemas.registry import own
from schemas.server import RegistryServer
from schemas.topics import ACCOUNTS_BALANCES, LEDGER_BLOCKS, Bounds, topic
from tests.schemas.serving import serving
from tests.schemas.small_ledger import blocks, genesis_file

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker of its own: the page reads topics by their real names, from their first message."""
    bounds = Bounds()
    with Broker(tmp_path_factory.mktemp("consume"), message_bytes=bounds.message_bytes) as broker:
        client = {"bootstrap.servers": broker.bootstrap}
        ensure_topics(client, [topic(LEDGER_BLOCKS), topic(ACCOUNTS_BALANCES)], bounds)
        yield broker.bootstrap


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    with serving(RegistryServer("127.0.0.1", 0, own())) as server:
        yield server.url


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page's programs, each under the name that its first line gives it."""
    folder = tmp_path_factory.mktemp("programs")
    for code in re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "consume.md").read_text(), re.M | re.S):
        (folder / code.split()[1]).write_text(code)
    (folder / "genesis.json").write_bytes(genesis_file())
    return folder


def send(bootstrap: str, name: str, *values: tuple[bytes, bytes | None]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "message.max.bytes": Bounds().message_bytes})
    outcomes: list[object] = []
    for key, value in values:
        producer.produce(name, key=key, value=value, on_delivery=lambda error, _: outcomes.append(error))
    assert producer.flush(60) == 0
    assert outcomes == [None] * len(values)


def run(folder: Path, *arguments: str) -> tuple[int, list[str], str]:
    said = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    return said.returncode, said.stdout.splitlines(), said.stderr


def balance(account: str, debit: int, height: int) -> tuple[bytes, bytes]:
    fields = {"account": account, "subject": "s", "debit_g": debit, "credit_g": 5, "records": 1, "height": height}
    return account.encode(), codec.encode("balance", fields)


def keyed(messages: list[bytes]) -> list[tuple[bytes, bytes]]:
    return [(height.to_bytes(8, "big"), message) for height, message in enumerate(messages, start=1)]


def test_the_page_is_kept_by_its_programs(programs: Path) -> None:
    assert sorted(path.name for path in programs.glob("*.py")) == ["read.py", "verify.py"]


def test_a_strangers_consumer_reads_and_verifies(bootstrap: str, registry: str, programs: Path) -> None:
    """What is read and verified; then a block that too few members signed is put on the topic, and refused."""
    good = keyed(blocks(2))
    send(bootstrap, LEDGER_BLOCKS, *good, good[0])
    send(bootstrap, ACCOUNTS_BALANCES, balance("emission:s", 10, 1), balance("emission:t", 7, 1), balance("gone", 9, 1))
    send(bootstrap, ACCOUNTS_BALANCES, balance("emission:s", 30, 2), (b"gone", None))

    assert run(programs, "read.py", bootstrap, registry) == (
        0,
        [
            "block 1: 1 accepted, 1 rejected so far",
            "block 2: 2 accepted, 2 rejected so far",
            "block 1: 1 accepted, 1 rejected so far",
            "emission:s: 25 g after block 2",
            "emission:t: 2 g after block 1",
        ],
        "",
    )
    verified = [f"block {height}: 2 leaves, certified by member-0, member-1, member-2" for height in (1, 2)]
    assert run(programs, "verify.py", bootstrap, "genesis.json") == (0, verified, "")

    send(bootstrap, LEDGER_BLOCKS, keyed(blocks(3, signers=2))[2])
    code, lines, error = run(programs, "verify.py", bootstrap, "genesis.json")
    assert (code, lines) == (1, verified)
    assert "LedgerError: block 3: 2 signatures, wanted 3" in error


def test_a_block_of_another_genesis_is_not_verified(bootstrap: str, programs: Path) -> None:
    send(bootstrap, LEDGER_BLOCKS, *keyed(blocks(1)))
    other = genesis_file().replace(b'"small"', b'"other"')
    assert other != genesis_file()
    (programs / "other.json").write_bytes(other)
    code, lines, error = run(programs, "verify.py", bootstrap, "other.json")
    assert (code, lines) == (1, [])
    assert "LedgerError: block 1 is of another channel" in error
