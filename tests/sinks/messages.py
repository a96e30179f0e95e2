"""Real messages for the sink's tests: packets as a gateway packs them, and a small ledger signed by four members."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import numpy as np

from carbon import merkle, signing
from carbon.packet import decode_body, encode_body, leaf_hashes
from carbon.record import commitment
from carbon.refusal import Refusal
from consensus.log import leaf as leaves
from consensus.log import note
from consensus.log.follower import Follower, checkpoint_of
from consensus.log.genesis import Genesis, build, parse
from consensus.log.note import NoteKey
from schemas import codec, topics
from sinks.clickhouse.feed import Message
from sinks.clickhouse.reference import PointFacts, Reference

NEW_YEAR = 1_767_225_600_000
"""2026-01-01 00:00 UTC in ms."""

REFERENCE = Reference(
    "99.1.7",
    {
        "p-coal": PointFacts("plant-a", "coal", "kg", 1),
        "p-power": PointFacts("plant-a", "electricity", "Wh", 3),
        "p-gas": PointFacts("plant-b", "gas", "Wh", 3),
    },
    {"gw-1": "gateway", "gw-2": "attester"},
)
POINTS = ["p-coal", "p-power", "p-gas"]


def coded(
    sequence: int,
    count: int = 6,
    start: int = NEW_YEAR,
    *,
    gateway: str = "gw-1",
    run: int = 1,
    points: Sequence[str] = POINTS,
) -> bytes:
    """A coded packet of `count` readings, a second apart, its values and salt a function of its name."""
    seed = sha256(f"{gateway}/{run}/{sequence}".encode()).digest()
    random = np.random.default_rng(list(seed))
    columns = {
        "point": np.arange(count) % len(points),
        "at": start + 1000 * np.arange(count) + (np.arange(count) % 5 == 4) * 7,
        "value": random.integers(-(10**6), 10**6, count),
        "flag": np.where(np.arange(count) % 7 == 6, ord("M"), ord("N")),
    }
    body = encode_body(
        gateway=gateway,
        run=run,
        sequence=sequence,
        previous=seed,
        sent_at=start + 1000 * count,
        salt=seed[:16],
        points=list(points),
        columns=columns,
    )
    hashes = leaf_hashes(decode_body(body))
    reasons = bytes(4 if i % 7 == 6 else 0 for i in range(count))
    fields = {"gateway": gateway, "run": run, "sequence": sequence, "digest": sha256(body).digest(), "body": body}
    return codec.encode("coded-packet", fields | {"reasons": reasons, "leaves": b"".join(hashes)})


def rejection(number: int, items: int = 1) -> bytes:
    """A dead letter, a function of its number."""
    original = f"message {number}".encode()
    item = {
        "point": "p-coal",
        "at": NEW_YEAR,
        "value": number,
        "code": None,
        "reason": "out_of_range",
        "detail": "too much",
    }
    fields = {
        "stage": "ingest",
        "topic": topics.METER_READINGS,
        "partition": 2,
        "offset": number,
        "digest": sha256(original).digest(),
        "key": b"gw-1",
        "original": original,
        "gateway": "gw-1",
        "run": 1,
        "sequence": number,
        "items": [{**item, "index": index} for index in range(items)],
    }
    return codec.encode("rejection", fields)


def unreadable(number: int) -> bytes:
    """The dead letter of a message that could not even be read."""
    original = f"noise {number}".encode()
    item = {
        "index": -1,
        "point": None,
        "at": None,
        "value": None,
        "code": None,
        "reason": "not_a_packet",
        "detail": "?",
    }
    place = {"stage": "ingest", "topic": topics.METER_READINGS, "partition": 0, "offset": number}
    blank = {"key": None, "gateway": None, "run": None, "sequence": None}
    digest = {"digest": sha256(original).digest(), "original": original}
    return codec.encode("rejection", {**place, **blank, **digest, "items": [item]})


def balance(account: str, height: int, debit: int = 0, credit: int = 0, **more: Any) -> bytes:
    """A balance after a block; `more` are further fields."""
    fields = {"account": account, "subject": account.partition(":")[2], "debit_g": debit, "credit_g": credit}
    return codec.encode("balance", fields | {"records": height, "height": height} | more)


def forecast(at: int, **more: Any) -> bytes:
    """An outlook of a plant at the end of a day, without what takes a longer history; `more` are further fields."""
    optional = ("year_end_g", "low_80_g", "high_80_g", "low_95_g", "high_95_g", "available_g", "exhausted_at")
    optional += ("exhausted_early", "exhausted_late", "shortage_probability", "plan_g", "planned_so_far_g", "target_g")
    amounts = {"emitted_g": 5, "reductions_g": 0, "retired_g": 0, "neutrality_gap_g": 5, "silent": 1}
    about = {"subject": "plant", "year": 2026, "at": at, "height": 3, "levels": [], **amounts}
    return codec.encode("forecast", about | dict.fromkeys((*optional, "method", "season")) | more)


def alert(id_: str, kind: str, subject: str | None, **more: Any) -> bytes:
    """An alert at height 3; `more` are further fields."""
    about = {"id": id_, "kind": kind, "severity": "info", "subject": subject, "point": None, "code": None}
    return codec.encode("alert", about | {"at": NEW_YEAR, "height": 3, "text": "why"} | more)


def anomaly(point: str, kind: str, day: int, *, resolved: bool = False, **more: Any) -> bytes:
    """An invariant of a point that broke some days after the new year, or holds again; `more` are further fields."""
    at, key = NEW_YEAR + day * 86_400_000, f"anomaly/{point}/{kind}"
    about = {"id": f"{key}/{resolved}/{at}", "key": key, "subject": "plant-a", "point": point, "kind": kind}
    said = {"invariant": "it changes", "since": at - 1000, "at": at, "resolved": resolved, "text": "why"}
    figures = [{"name": "limit", "value": "3"}]
    return codec.encode("anomaly", about | said | {"score": 1.5, "per_month": 0.01, "figures": figures} | more)


def delivery(attempt: int, outcome: str, **more: Any) -> bytes:
    """An attempt to deliver an event, a second after the one before it; `more` are further fields."""
    about = {"subscription": "duty", "event": "evt-1", "kind": "coverage", "key": "coverage/p-coal", "duration_ms": 12}
    return codec.encode(
        "delivery", about | {"attempt": attempt, "at": NEW_YEAR + 1000 * attempt, "outcome": outcome} | more
    )


def health(process: str, topic: str, second: int, done: int | None, waiting: int | None = None, **more: Any) -> bytes:
    """How a process stood some seconds after the new year; `more` are further fields."""
    figures = {"waiting": waiting, "oldest_seconds": None, "done": done}
    about = {"process": process, "topic": topic, "at": NEW_YEAR + 1000 * second, "state": "ready", "restarts": 1}
    return codec.encode("health", about | figures | more)


class Topic:
    """Gives messages of one topic and partition their offsets."""

    def __init__(self, name: str, partition: int = 0) -> None:
        self._name, self._partition, self._next = name, partition, 0

    def put(self, value: bytes, at: int | None = None) -> Message:
        """The message as it would be read; `at`: when the broker got it."""
        self._next += 1
        return Message(self._name, self._partition, self._next - 1, value, at)


def _seed(name: str) -> bytes:
    return sha256(name.encode()).digest()


def _genesis() -> bytes:
    members = [
        {
            "name": f"member-{i}",
            "role": "verifier",
            "vote_key": signing.public_key(_seed(f"vote {i}")).hex(),
            "note_key": str(NoteKey(f"member-{i}", signing.public_key(_seed(f"note {i}")))),
        }
        for i in range(4)
    ]
    digests = {"registry": bytes(32).hex(), "factors": bytes(32).hex()}
    times = {
        "window_seconds": 3600,
        "lateness_seconds": 60,
        "utc_offset_minutes": 480,
        "evidence_horizon_seconds": 10**7,
    }
    block = {"bytes": 4_000_000, "records": 2_000}
    head = {"channel": "test", "partition": 0, "members": members, "rules": "1", "block": block, "clock": "replay"}
    return build({**head, **digests, **times})


def record_payload(point: str, window: int, version: int = 1, **changes: Any) -> bytes:
    """A record's canonical bytes: an hour of `point`, `window` hours after the new year."""
    fields = {
        "point": point,
        "subject": REFERENCE.facts(point).subject,
        "unit": "Wh",
        "scale": 3,
        "rule": "grid",
        "factors": bytes(32),
        "window_seconds": 3600,
        "expected": 60,
        "previous": bytes(32),
        "evidence": [{"gateway": "gw-1", "run": 1, "first": window + 1, "last": window + 2, "digest": b"\x07" * 32}],
        "replaces": None,
        "evidence_root": sha256(f"{point} {window}".encode()).digest(),
        "boundary": bytes(32),
        "window_start": NEW_YEAR + 3_600_000 * window,
        "version": version,
        "cause": "WINDOW" if version == 1 else "LATE",
        "count": 45,
        "quantity": 1000 * window + version,
        "emission_g": 600 * window + version,
    }
    return codec.encode_bare("record", fields | changes)


class Ledger:
    """A ledger as its committee would publish it: certified blocks, and the payload messages behind their leaves."""

    def __init__(self) -> None:
        self.file = _genesis()
        self.genesis: Genesis = parse(self.file)
        self._follower = Follower(self.genesis)

    def follower(self) -> Follower:
        """A reader at the genesis."""
        return Follower(self.genesis)

    def block(self, payloads: Sequence[tuple[bytes, bool]]) -> tuple[bytes, list[bytes]]:
        """The next block and its payload messages; each payload comes with whether it is accepted."""
        now = self._follower.position
        height, tree = now.height + 1, now.tree.copy()
        salts = [sha256(b"salt" + payload).digest()[:16] for payload, _ in payloads]
        envelopes = [_leaf(payload, salt, accepted) for (payload, accepted), salt in zip(payloads, salts, strict=True)]
        messages = []
        for index, (envelope, salt, (payload, _)) in enumerate(zip(envelopes, salts, payloads, strict=True), tree.size):
            tree.append(merkle.leaf_hash(envelope))
            fields = {"height": height, "leaf_index": index, "schema_id": codec.schema_ids()["record"], "salt": salt}
            messages.append(codec.encode("payload", {**fields, "payload": payload, "sealed": None}))
        accepted = sum(verdict for _, verdict in payloads)
        header = {
            "format": 1,
            "channel": self.genesis.digest,
            "epoch": 0,
            "height": height,
            "previous": now.digest,
            "time": NEW_YEAR + height,
            "batches": [
                {"submitter": "agg", "stream": "gw-1", "number": height, "digest": bytes(32), "records": len(payloads)}
            ],
            "tree_size": tree.size,
            "root": tree.root(),
            "accepted": now.accepted + accepted,
            "rejected": now.rejected + len(payloads) - accepted,
            "state": bytes(32),
        }
        block = self._certify(header, b"".join(envelopes))
        assert self._follower.accept(block) is not None
        return block, messages

    def _certify(self, header: dict[str, Any], data: bytes) -> bytes:
        encoded = codec.encode_bare("block-header", header)
        text = checkpoint_of(self.genesis, header, sha256(encoded).digest())
        signers = [1, 2, 3]
        signed = [
            (self.genesis.members[i].note_key, signing.sign_raw(_seed(f"note {i}"), text.encode())) for i in signers
        ]
        fields = {"header": encoded, "leaves": data, "votes": [], "checkpoint": note.assemble(text, signed)}
        return codec.encode("block", fields)


def _leaf(payload: bytes, salt: bytes, accepted: bool) -> bytes:
    verdict, reason = (leaves.ACCEPTED, 0) if accepted else (leaves.REJECTED, int(Refusal.WRONG_SUM))
    root = sha256(payload).digest()
    schema = codec.schema_ids()["record"]
    return leaves.encode(leaves.Leaf(leaves.WINDOW_RECORD, verdict, reason, 0, schema, root, commitment(salt, payload)))
