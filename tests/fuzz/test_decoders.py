"""Every decoder, on damaged bytes: it reads them or refuses them by its own error, and takes memory in proportion."""

import json
import tracemalloc
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon import coding, factors, frames, identity, merkle, packet, plain, quantity, record, registry, signing
from carbon.hours import Hours
from consensus import batch, state
from consensus.batch import BatchError
from consensus.core import bodies, certificates, votelog
from consensus.core.messages import Malformed, Message
from consensus.core.replica import RULES
from consensus.log import genesis, leaf, note, package, proof
from consensus.log.follower import Follower, LedgerError
from consensus.member.votelog import DamagedVoteLog, VoteLog
from consensus.substitution import Substitutions
from schemas import codec
from schemas.codec import CodecError
from schemas.registry import own
from tests.fuzz.conftest import PROFILE
from tests.fuzz.mutation import INTERESTING, damaged, survives
from tests.fuzz.traffic import recorded
from tests.schemas import small_ledger
from tests.schemas.values import values
from tests.small import HORIZON_MS, START, World, genesis_bytes, registry_bytes, seed

MORE_RULES = {
    "plant-0-0": {
        "unit": "%",
        "emission": {"rule": "none"},
        "time": "start",
        "rising": True,
        "rate": 7,
        "dry_gas": {"partner": "plant-0-1", "co2_max": "18.7", "tolerance": "0.02"},
        "substitution": [{"start": START, "tiers": "part75", "potential": 2_000}],
        "substitution_after": 24,
    },
    "plant-0-1": {"unit": "%", "emission": {"rule": "none"}, "rate": 7, "counter": 2 * 10**9},
}


class Decoder(NamedTuple):
    """Something that reads bytes of others, the errors by which it may refuse, and what it reads without."""

    read: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...]
    corpus: Sequence[bytes]


@cache
def _world() -> World:
    return World.make(members=4)


@cache
def _packets() -> list[bytes]:
    world = World.make(members=4)
    return [world.pack(START + 3_600_000, world.day(hours)) for hours in (1, 2)] + [world.pack(START, [])]


def _coded(message: bytes) -> bytes:
    return coding.code(message, _world().registry, _world().channel).message


def _batch_body() -> bytes:
    fields = {
        "submitter": "aggregator",
        "stream": "gw-0",
        "number": 1,
        "kind": leaf.WINDOW_RECORD,
        "registry_height": 0,
        "points": ["plant-0-0", "plant-0-1"],
        "point": b"\0\0\0\1",
        "window": bytes(16),
        "payloads": [b"one", b"two"],
    }
    return codec.encode_bare("batch", fields)


def _proposals(body: bytes) -> bytes:
    signature = signing.sign(seed("aggregator"), batch.KIND, _world().channel, body)
    return codec.encode("proposal", {"body": body, "signature": signature})


def _frames() -> bytes:
    messages = [frames.Message("boiler", START, b"##0001x")]
    body = frames.encode_body(gateway="gw-0", run=0, sequence=1, packet=bytes(32), messages=messages)
    signature = signing.sign(seed("gw-0"), frames.KIND, _world().channel, body)
    return codec.encode("frames", {"body": body, "signature": signature})


def _state_text() -> bytes:
    held = state.State(
        HORIZON_MS,
        heads={"plant-0-0": state.Head(START, bytes(32))},
        corrected={"plant-0-0": {START: (2, bytes(32))}},
        streams={("aggregator", "gw-0"): 7},
        balances={"plant": 12},
        substitutions=Substitutions(
            {"plant-0-0": Hours(9, 20, 12, [(10, 12), (19, 20)], [5, -7])}, {"plant-0-0": {START: 5}}
        ),
    )
    return held.text()


@cache
def _genesis() -> genesis.Genesis:
    return genesis.parse(small_ledger.genesis_file())


def _checkpoints() -> list[bytes]:
    return [codec.decode("block", block)["checkpoint"].encode() for block in small_ledger.blocks(2)]


def _proofs() -> list[bytes]:
    block = codec.decode("block", small_ledger.blocks(1)[0])
    leaves = leaf.split(block["leaves"])
    part = proof.inclusion(leaves[0], [merkle.leaf_hash(each) for each in leaves], 0)
    return [json.dumps(proof.build(part, block["checkpoint"], None, None)).encode()]


def _followed(data: bytes) -> object:
    return Follower(_genesis()).accept(data)


def _text(read: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: read(data.decode("utf-8", "surrogateescape"))


def _json(data: bytes) -> object:
    try:
        shown = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise proof.ProofRefused("not JSON") from error
    return proof.verify(shown, _genesis())


def _asked(data: bytes) -> object:
    """A request to the schema registry: method, target and body, one a line."""
    method, target, body = (*data.split(b"\n", 2), b"", b"")[:3]
    return own().answer(method.decode("latin-1"), target.decode("latin-1"), body)


def _bodies(read: Callable[[bytes], object], name: str) -> Decoder:
    corpus = [data for schema, data in recorded().bodies if schema == name]
    return Decoder(read, (Malformed,), corpus)


BODIES = [
    bodies.Endorsement,
    bodies.Vote,
    bodies.Proposal,
    bodies.Justified,
    bodies.Checkpoint,
    bodies.ViewChange,
    bodies.NewView,
    bodies.Status,
    bodies.BlockRequest,
    bodies.Blocks,
    bodies.BatchRequest,
    bodies.BatchBody,
    bodies.Recall,
    bodies.Recalled,
    certificates.Prepared,
    certificates.Certificate,
]


def _decoders() -> dict[str, Callable[[], Decoder]]:
    found: dict[str, Callable[[], Decoder]] = {
        "packet": lambda: Decoder(_world().decode, (packet.PacketError,), _packets()),
        "packet body": lambda: Decoder(
            packet.decode_body, (packet.PacketError,), [packet.body_of(each) for each in _packets()]
        ),
        "packet, signed when damaged": lambda: Decoder(
            lambda body: packet.leaf_hashes(_world().decode(packet.sign(seed("gw-0"), _world().channel, body))),
            (packet.PacketError,),
            [packet.body_of(each) for each in _packets()],
        ),
        "packet, signed when damaged and coded": lambda: Decoder(
            lambda body: _coded(packet.sign(seed("gw-0"), _world().channel, body)),
            (packet.PacketError,),
            [packet.body_of(each) for each in _packets()],
        ),
        "frames": lambda: Decoder(
            lambda data: frames.verify(data, _world().registry, _world().channel), (frames.FramesError,), [_frames()]
        ),
        "coded packet": lambda: Decoder(coding.decode, (packet.PacketError,), [_coded(each) for each in _packets()]),
        "batch": lambda: Decoder(batch.decode, (BatchError, CodecError), [_batch_body()]),
        "batch, signed when damaged": lambda: Decoder(
            lambda body: batch.verify(_proposals(body), {0: _world().registry}, _world().channel, 100),
            (BatchError,),
            [_batch_body()],
        ),
        "proposal": lambda: Decoder(
            lambda data: batch.verify(data, {0: _world().registry}, _world().channel, 100),
            (BatchError,),
            [_proposals(_batch_body())],
        ),
        "message": lambda: Decoder(Message.decode, (Malformed,), recorded().messages),
        "vote log entry": lambda: Decoder(votelog.decode, (votelog.VoteLogError,), recorded().entries),
        "block": lambda: Decoder(_followed, (LedgerError,), small_ledger.blocks(2)),
        "signed note": lambda: Decoder(
            _text(lambda text: note.signers(text, [member.note_key for member in _genesis().members])),
            (note.NoteError,),
            _checkpoints(),
        ),
        "checkpoint": lambda: Decoder(
            _text(note.parse_checkpoint),
            (note.NoteError,),
            [note.split(c.decode())[0].encode() for c in _checkpoints()],
        ),
        "note key": lambda: Decoder(
            _text(note.NoteKey.parse), (note.NoteError,), [str(m.note_key).encode() for m in _genesis().members]
        ),
        "leaf": lambda: Decoder(
            leaf.decode, (leaf.LeafError,), [leaf.encode(leaf.Leaf(1, 0, 0, 0, 7, *[bytes(32)] * 2))]
        ),
        "genesis": lambda: Decoder(
            genesis.parse, (genesis.GenesisError,), [small_ledger.genesis_file(), genesis_bytes(registry_bytes())]
        ),
        "registry": lambda: Decoder(
            lambda data: registry.parse(data, factors.load()),
            (registry.RegistryError,),
            [registry_bytes(), registry_bytes(2, more=MORE_RULES)],
        ),
        "factor table": lambda: Decoder(
            lambda data: factors.rows_of({"gwp.csv": data}),
            (factors.FactorError,),
            [b"".join(data.splitlines(keepends=True)[:9]) for data in factors.load().files.values()],
        ),
        "quantity": lambda: Decoder(
            _text(quantity.Quantity.parse),
            (quantity.QuantityError,),
            [b"12.5 t", b"3.2 GJ/1e4 Nm3", b"0.5306 kgCO2/kWh", b"-5.7e-07 mg/Nm3 %"],
        ),
        "state": lambda: Decoder(partial(state.State.load, horizon_ms=HORIZON_MS), (ValueError,), [_state_text()]),
        "proof": lambda: Decoder(_json, (proof.ProofRefused,), _proofs()),
        "carbon code": lambda: Decoder(
            _text(identity.parse),
            (identity.CodeError,),
            [identity.reading_code("99.0000.1", "plant", "0" * 24, START, bytes(32)).encode()],
        ),
        "payload": lambda: Decoder(record.decode, (CodecError,), recorded_values("record")),
        "payload, as columns": lambda: Decoder(lambda data: plain.read([data]), (), recorded_values("record")),
        "block-package": lambda: Decoder(package.read, (LedgerError,), recorded_values("block-package")),
        "schema registry": lambda: Decoder(
            _asked,
            (),
            [
                b"GET\n/subjects",
                b"GET\n/schemas/ids/1",
                b"GET\n/subjects/ledger.blocks-value/versions/latest",
                b'POST\n/subjects/ledger.blocks-value\n{"schema": "{}"}',
            ],
        ),
    }
    for body in BODIES:
        found[body.SCHEMA] = partial(_bodies, body.decode, body.SCHEMA)
    for name in codec.schema_ids():
        found[f"schema {name}"] = partial(_schema, name)
    return found


@cache
def recorded_values(name: str) -> list[bytes]:
    """A few values of a schema, encoded: what a strategy gives first."""
    kept: list[bytes] = []

    @given(values(codec.schema_json(name)))
    @PROFILE
    def keep(value: object) -> None:
        kept.append(codec.encode_bare(name, value))

    keep()
    return kept[:40]


def _schema(name: str) -> Decoder:
    def read(data: bytes) -> object:
        codec.decode(name.partition("@")[0], codec.header(name) + data)
        return codec.read_bare(name, data)

    return Decoder(read, (CodecError,), recorded_values(name))


DECODERS = _decoders()


def test_every_body_of_a_message_is_damaged() -> None:
    inside = {bodies.Proposal, bodies.Justified, certificates.Prepared}
    assert {rule.body for rule in RULES.values()} | inside == set(BODIES)


@pytest.mark.parametrize("name", DECODERS)
def test_damaged_bytes_are_read_or_refused(name: str) -> None:
    decoder = DECODERS[name]()
    assert decoder.corpus, "nothing to damage"
    assert any(survives(decoder.read, data, decoder.refusals) for data in decoder.corpus)

    @given(damaged(decoder.corpus))
    @PROFILE
    def holds(data: bytes) -> None:
        survives(decoder.read, data, decoder.refusals)

    holds()


@pytest.mark.parametrize("name", DECODERS)
def test_bytes_that_hurt_parsers_are_read_or_refused(name: str) -> None:
    decoder = DECODERS[name]()
    middle = [data[: len(data) // 2] for data in decoder.corpus[:3]]
    for hurtful in INTERESTING:
        for data in (hurtful, *(half + hurtful for half in middle)):
            survives(decoder.read, data, decoder.refusals)


@pytest.mark.parametrize("name", DECODERS)
def test_memory_stays_in_proportion_to_the_bytes(name: str) -> None:
    decoder = DECODERS[name]()
    for data in decoder.corpus:
        survives(decoder.read, data, decoder.refusals)

    @given(damaged(decoder.corpus))
    @PROFILE
    def holds(data: bytes) -> None:
        tracemalloc.start()
        try:
            survives(decoder.read, data, decoder.refusals)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < (1 << 20) + 200 * len(data)

    holds()


@given(st.data())
@PROFILE
def test_a_damaged_vote_log_is_cut_at_its_tail_or_stops_the_member(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """What is read is always a beginning of what was written."""
    path: Path = tmp_path_factory.mktemp("log") / "votes"
    log = VoteLog(path)
    entries = [bytes([number]) * 20 * number for number in range(1, 6)]
    log.append(entries)
    log.close()
    path.write_bytes(data.draw(damaged([path.read_bytes()])))
    try:
        again = VoteLog(path)
    except DamagedVoteLog:
        return
    again.close()
    kept = again.taken()
    assert kept == entries[: len(kept)]
