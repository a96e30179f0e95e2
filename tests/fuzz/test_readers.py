"""Files that strangers hand over, damaged as JSON and not only as bytes: each is read, or refused by its own error."""

import json
import pkgutil
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus import log, membership
from consensus.log import committee, evidence, growth, proof, witness
from consensus.log.follower import Follower, LedgerError
from consensus.log.reader import LedgerReader
from infra.committee import Draft, DraftError, member_of
from infra.errors import EnvironmentFault
from infra.witness import WitnessFolder
from tests.consensus import changes
from tests.consensus.log.test_evidence import Dissent, Fork
from tests.consensus.log.test_growth import Proofs
from tests.consensus.test_ledger import Chain
from tests.fuzz.conftest import PROFILE
from tests.fuzz.mutation import damaged, survives

ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    1 << 70,
    1.5,
    float("inf"),
    "",
    "\ud800",
    "A" * 9_999,
    [],
    [[]],
    {},
    {"": {}},
    ["x"] * 999,
)
"""What no file should hold at some place."""


class Reader(NamedTuple):
    """What reads a JSON value, the errors by which it may refuse, and values that it reads."""

    read: Callable[[Any], object]
    refusals: tuple[type[Exception], ...]
    corpus: Sequence[Any]


@cache
def _proofs() -> Proofs:
    return Proofs()


@cache
def _changed() -> tuple[Chain, committee.Change]:
    chain = Chain()
    return chain, changes.rotated(chain.world.genesis.committee, 0, "new")


def _evidence() -> Reader:
    scene, forked = Dissent(), Fork()
    said = [scene.said(scene.second.digest, codes).encode() for codes in ([0, 0, 9], [0, 0, 0])]
    return Reader(
        lambda file: evidence.check(file, scene.genesis),
        (evidence.EvidenceRefused,),
        [
            scene.file(scene.second.digest, scene.said(scene.second.digest, [0, 0, 9])),
            evidence.conflict(evidence.Known.of(scene.genesis), said),
            forked.file(forked.one[1], forked.other[1]),
        ],
    )


def _draft() -> Reader:
    chain, change = _changed()
    draft = Draft(chain.world.channel, change, {0: bytes(64)}, {1: bytes(64)})
    return Reader(
        lambda data: Draft.load(json.dumps(data), chain.world.channel).dump(), (DraftError,), [json.loads(draft.dump())]
    )


READERS: dict[str, Callable[[], Reader]] = {
    "evidence": _evidence,
    "growth": lambda: Reader(
        lambda file: growth.verify(file, _proofs().genesis),
        (proof.ProofRefused,),
        [_proofs().proof(0, 1), _proofs().proof(1, 4)],
    ),
    "change of members": _draft,
    "card of a member": lambda: Reader(lambda row: member_of(row, 0), (DraftError,), [changes.newcomer("new").card]),
}


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value inside a JSON value."""
    inner = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [path, *(place for key, item in inner for place in _places(item, (*path, key)))]


def _with(value: Any, path: tuple[Any, ...], odd: Any, *, gone: bool) -> Any:
    if not path:
        return odd
    key, *rest = path
    copy = dict(value) if isinstance(value, dict) else list(value)
    if gone and not rest:
        del copy[key]
    else:
        copy[key] = _with(value[key], tuple(rest), odd, gone=gone)
    return copy


@st.composite
def _odd(draw: st.DrawFn, corpus: Sequence[Any]) -> Any:
    """A file with up to three values replaced, by something odd or by damaged text, or taken out."""
    file = draw(st.sampled_from(corpus))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(_places(file)))
        old = file
        for key in path:
            old = old[key]
        texts = [old.encode("utf-8", "surrogatepass")] if isinstance(old, str) else [b"text"]
        text = draw(damaged(texts)).decode("utf-8", "surrogateescape")
        odd = draw(st.one_of(st.sampled_from(ODD), st.just(text), st.integers(-3, 1 << 64)))
        file = _with(file, path, odd, gone=draw(st.booleans()))
    return file


@pytest.mark.parametrize("name", READERS)
def test_a_file_with_odd_values_is_read_or_refused(name: str) -> None:
    reader = READERS[name]()
    assert all(survives(reader.read, file, reader.refusals) for file in reader.corpus)

    @given(_odd(reader.corpus))
    @PROFILE
    def holds(file: Any) -> None:
        survives(reader.read, file, reader.refusals)

    holds()


def test_a_witness_reads_or_refuses_what_stands_in_its_folder(tmp_path: Path) -> None:
    proofs = _proofs()
    folder = WitnessFolder(tmp_path, proofs.genesis, "witness.example")
    for offset, block in enumerate(proofs.chain.blocks()):
        folder.take(block, offset)
    folder.cosign(1_700_000_000)
    state = tmp_path / "witness.json"
    corpus = [json.loads(state.read_text())]

    @given(_odd(corpus))
    @PROFILE
    def holds(odd: Any) -> None:
        state.write_text(json.dumps(odd))
        survives(lambda _: WitnessFolder(tmp_path, proofs.genesis, "witness.example"), b"", (EnvironmentFault,))

    holds()


def test_a_damaged_record_of_members_is_refused() -> None:
    chain, change = _changed()
    known = (chain.world.genesis.committee,)
    corpus = [changes.record(chain.world, change, [str(i) for i in range(5)], {0: "new"})]

    @given(damaged(corpus), damaged([change.encode()]))
    @PROFILE
    def holds(payload: bytes, body: bytes) -> None:
        membership.refusal(payload, 1, chain.world.channel, known)
        survives(committee.change_of, payload, (committee.CommitteeError,))
        survives(committee.Change.decode, body, (committee.CommitteeError,))

    holds()


def test_damaged_messages_of_the_ledger_topics_stop_no_reader_and_no_witness() -> None:
    proofs = _proofs()
    blocks = proofs.chain.blocks()

    @given(st.lists(damaged(blocks), max_size=6), st.lists(damaged(blocks), max_size=2))
    @PROFILE
    def holds(messages: list[bytes], payloads: list[bytes]) -> None:
        watching, reader = witness.Witness(proofs.genesis), LedgerReader(Follower(proofs.genesis))
        for offset, message in enumerate(messages):
            survives(lambda data, offset=offset: watching.offer(data, offset), message, (witness.Forked,))
            reader.offer_block(message, offset)
        for offset, payload in enumerate(payloads):
            reader.offer_payload(bytes(32), payload, offset)
        survives(lambda _: list(reader.ready()), b"", (LedgerError,))

    holds()


def test_no_reader_of_the_log_is_left_out() -> None:
    """What a new module of the log reads has to be damaged here or in `test_decoders`."""
    here = {"committee", "evidence", "growth", "reader", "witness"}
    decoders = {"follower", "genesis", "leaf", "note", "package", "proof"}
    assert {module.name for module in pkgutil.iter_modules(log.__path__)} == here | decoders
