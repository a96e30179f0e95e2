"""The replicated ledger of one member: what the protocol orders is applied here, and what is certified is kept.

The state half runs at `execute`; `settle` keeps a block once its checkpoint is certified; `install` takes a certified
block from somebody else, checking everything. Deterministic, and without a disk: keeping is the store's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from typing import Any, Protocol

import numpy as np

from carbon import merkle, submission
from carbon import record as records
from carbon.amendment import Amendment, amended
from carbon.ledger.book import Book
from carbon.refusal import Refusal
from carbon.registry import Registry, RegistryError
from consensus import registration
from consensus import state as states
from consensus.batch import Batch
from consensus.contract import Ruling
from consensus.core.bodies import ProposedBatch
from consensus.core.effects import OrderedBlock
from consensus.core.messages import signatures as verified
from consensus.log import follower, leaf, note
from consensus.log import package as packages
from consensus.log.committee import Committee, change_of, in_charge, last_height
from consensus.log.follower import Follower, LedgerError, Position
from consensus.log.genesis import Genesis
from consensus.replay import replay
from consensus.state import Chain, State
from schemas import codec


class LedgerStore(Protocol):
    """Where a member keeps its own copy of the ledger."""

    def resume(self) -> tuple[Position, bytes] | None:
        """The position and the state text after the last block kept; None when there is none."""

    def keep(self, package: bytes, position: Position, state: bytes) -> None:
        """Keep the next certified block and what stands after it, in one transaction."""

    def package(self, height: int) -> bytes | None:
        """The block-package of a height."""


@dataclass(frozen=True)
class Executed:
    """A block applied here: its header and leaves, the payloads behind them, and what stands after it."""

    header: bytes
    text: str
    leaves: bytes
    salts: bytes
    payloads: bytes
    """As the items of an Avro array."""
    votes: tuple[bytes, ...]
    position: Position
    state: bytes
    membership: tuple[bytes, bytes] | None
    """Salt and payload of the change of the committee that was accepted in it."""


_Judged = tuple[Batch, list[Ruling]]


class Ledger:
    """The ledger of one member, from its store's last block on."""

    def __init__(self, genesis: Genesis, registry: Registry, store: LedgerStore) -> None:
        self.genesis = genesis
        self._store = store
        kept = store.resume()
        self.kept = kept[0] if kept else follower.beginning(genesis)
        """After the last certified block."""
        self._position = self.kept
        self._state = _state(genesis, kept)
        self._held: dict[bytes, _Judged] = {}
        self.registries = {0: registry}
        """By registry height, after the last height applied; the last may be one that is to come."""
        self._chains = {point.id: Chain.of(point) for point in registry.points.values()}
        self._register(self._state)
        self._executed: dict[int, Executed] = {}
        self.committees = self._state.committees(genesis.committee)
        """One an epoch, after the last height applied; the last may be one that is to come."""
        self.epoch = in_charge(self.committees, self.kept.height + 1).epoch
        """What blocks are executed or installed in; `go_on` moves it."""

    def go_on(self) -> None:
        """Over to the epoch of the next height, once the last one of this is kept."""
        self.epoch = in_charge(self.committees, self.kept.height + 1).epoch

    @property
    def committee(self) -> Committee:
        """The members of this epoch."""
        return self.committees[self.epoch]

    @property
    def base(self) -> int:
        """The last height of the epoch before; 0 in the first."""
        return self.committee.first - 1

    @property
    def epoch_end(self) -> int | None:
        """The last height of this epoch, once a change that was applied says so."""
        return last_height(self.committees, self.epoch)

    @property
    def height(self) -> int:
        """Last height applied; 0 is none."""
        return self._position.height

    @property
    def time_ms(self) -> int:
        """Block time of the last height applied."""
        return self._position.time

    @property
    def balances(self) -> dict[str, int]:
        """Emissions of every subject in g CO2e, after the last height applied."""
        return dict(self._state.balances)

    @property
    def book(self) -> Book:
        """The book of submissions, after the last height applied."""
        return self._state.book

    @property
    def registry(self) -> Registry:
        """The registry in force at the next height to be applied."""
        return self.registries[self.registry_height]

    @property
    def registry_height(self) -> int:
        """Its registry height."""
        return self._state.registry_at(self.height + 1)

    def _register(self, state: State) -> None:
        """Know the registries of a state, by the certified records behind them. Raises LedgerError."""
        for first, known in sorted(state.registries.items()):
            if first not in self.registries:
                package = self._store.package(known.recorded)
                if package is None:
                    raise LedgerError(f"block {known.recorded}, which changes the registry, is missing")
                self._amend(_registration_in(package))

    def _amend(self, change: Amendment) -> None:
        try:
            registry = self.registries[change.first] = amended(self.registries[change.base], change)
        except RegistryError as error:
            raise LedgerError(f"the registry from height {change.first} on: {error}") from error
        self._chains |= {point.id: Chain.of(point) for point in registry.points.values()}

    def hold(self, batch: Batch, rulings: list[Ruling]) -> None:
        """Keep a batch and its rulings until it is ordered or let go."""
        self._held[batch.digest] = (batch, rulings)

    def held(self, digest: bytes) -> Batch | None:
        """A batch that is held."""
        found = self._held.get(digest)
        return found and found[0]

    def release(self, digest: bytes) -> None:
        """Let a batch go."""
        self._held.pop(digest, None)

    def stream_head(self, submitter: str, stream: str) -> int:
        """Number of the last batch applied of a submitter's stream."""
        return self._state.streams.get((submitter, stream), 0)

    def execute(self, block: OrderedBlock) -> bytes | None:
        """Apply the block of `height + 1`; the text of its checkpoint, unsigned.

        None where this member can't: it judged a record otherwise than the committee did, or doesn't hold it.
        """
        assert block.height == self.height + 1
        held = self._judged(block.batches)
        if held is None:
            return None
        self._state.begin(block.height)
        leaves, opening = self._apply(held, block.height, block.time_ms)
        for batch in block.batches:
            self._state.streams[batch.submitter, batch.stream] = batch.number
        done = self._close(block, held, leaves, opening)
        self._executed[block.height] = done
        self._position = done.position
        return done.text.encode()

    def _judged(self, batches: Sequence[ProposedBatch]) -> list[_Judged] | None:
        judged = []
        for ordered in batches:
            found = self._held.get(ordered.digest)
            codes = np.frombuffer(ordered.codes, ">u2").tolist()
            if found is None or codes != [ruling.refusal for ruling in found[1]]:
                return None
            judged.append(found)
        return judged

    def _apply(self, judged: list[_Judged], height: int, time_ms: int) -> tuple[bytes, tuple[bytes, bytes] | None]:
        """Apply the state half to the records of some batches, in their order.

        Their leaves, and salt and payload of a change of the committee among them that was accepted.
        """
        leaves, opening, in_force = [], None, self._state.registry_at(height)
        for batch, rulings in judged:
            if batch.kind == leaf.MEMBERSHIP:
                refusal = self._enact(batch.payloads[0], rulings[0].refusal, height)
                leaves.append(leaf.membership(refusal, rulings[0].commitment))
                opening = opening if refusal else (rulings[0].salt, batch.payloads[0])
            elif batch.kind == leaf.REGISTRATION:
                refusal = self._amend_in(batch.payloads[0], rulings[0].refusal, height)
                leaves.append(leaf.registration(refusal, batch.registry_height, rulings[0].commitment))
            elif batch.kind == leaf.SUBMISSION:
                leaves += self._submissions(batch, rulings, height, time_ms)
            else:
                leaves += self._windows(batch, rulings, in_force)
        return b"".join(leaves), opening

    def _windows(self, batch: Batch, rulings: list[Ruling], in_force: int) -> Iterator[bytes]:
        """The leaves of window records, each applied; those of a registry that isn't in force are refused."""
        apply, chains = self._state.apply, self._chains
        heads, later = (_heads(schema, batch.registry_height) for schema in (records.FIRST_SCHEMA, records.SCHEMA))
        is_other = batch.registry_height != in_force
        for point, start, ruling in zip(batch.points, batch.windows, rulings, strict=True):
            refusal = ruling.refusal or (Refusal.OTHER_REGISTRY if is_other else apply(chains[point], start, ruling))
            is_later = ruling.told is not None and ruling.told.cause in records.SUBSTITUTING
            yield (later if is_later else heads)[refusal] + ruling.evidence_root + ruling.commitment

    def _submissions(self, batch: Batch, rulings: list[Ruling], height: int, time_ms: int) -> Iterator[bytes]:
        """The leaves of submissions, each applied."""
        for payload, ruling in zip(batch.payloads, rulings, strict=True):
            refusal = ruling.refusal
            if refusal is Refusal.PASS:
                refusal = self._state.submit(submission.read(payload), batch.registry_height, height, time_ms)
            yield leaf.submission(refusal, batch.registry_height, ruling.commitment)

    def _amend_in(self, payload: bytes, refusal: Refusal, height: int) -> Refusal:
        if refusal is Refusal.PASS:
            change = registration.change_of(payload)
            refusal = self._state.amend(change, height)
            if refusal is Refusal.PASS:
                self._amend(change)
        return refusal

    def _enact(self, payload: bytes, refusal: Refusal, height: int) -> Refusal:
        if refusal is Refusal.PASS:
            refusal = self._state.enact(change_of(payload), height)
            self.committees = self._state.committees(self.genesis.committee)
        return refusal

    def _close(
        self,
        block: OrderedBlock,
        judged: list[_Judged],
        leaves: bytes,
        opening: tuple[bytes, bytes] | None,
    ) -> Executed:
        before, tree = self._position, self._position.tree.copy()
        tree.extend(merkle.leaf_hashes(np.frombuffer(leaves, np.uint8).reshape(-1, leaf.SIZE)))
        accepted = leaf.count_accepted(leaves)
        counts = (before.accepted + accepted, before.rejected + len(leaves) // leaf.SIZE - accepted)
        text = self._state.text()
        header = {
            "format": 1,
            "channel": self.genesis.digest,
            "epoch": block.epoch,
            "height": block.height,
            "previous": before.digest,
            "time": block.time_ms,
            "batches": [_ordered(batch) for batch in block.batches],
            "tree_size": tree.size,
            "root": tree.root(),
            "accepted": counts[0],
            "rejected": counts[1],
            "state": states.digest(text),
        }
        data = codec.encode_bare("block-header", header)
        position = Position(block.height, sha256(data).digest(), block.time_ms, *counts, tree)
        return Executed(
            header=data,
            text=follower.checkpoint_of(self.genesis, header, position.digest),
            leaves=leaves,
            salts=b"".join([ruling.salt for _, rulings in judged for ruling in rulings]),
            payloads=b"".join([batch.items for batch, _ in judged]),
            votes=block.endorsements,
            position=position,
            state=text,
            membership=opening,
        )

    def settle(self, height: int, signatures: Sequence[tuple[int, bytes]]) -> bytes:
        """Keep an executed block whose checkpoint 2f + 1 members signed; its package."""
        done = self._executed.pop(height)
        keys = self.committee.note_keys
        checkpoint = note.assemble(done.text, [(keys[member], signature) for member, signature in signatures])
        opening = done.membership and {"salt": done.membership[0], "payload": done.membership[1]}
        fields = {
            "header": done.header,
            "leaves": done.leaves,
            "votes": list(done.votes),
            "checkpoint": checkpoint,
            "membership": opening,
        }
        package = _package(codec.encode("block", fields), done.salts, done.payloads)
        position = replace(done.position, epochs=self.kept.epochs)
        if opening is not None:
            header = codec.read_bare("block-header", done.header)
            link = follower.membership_link(fields, header, self.kept.tree)
            assert link is not None, "its leaf was accepted"
            position = replace(position, epochs=(*position.epochs, link))
        self._store.keep(package, position, done.state)
        self.kept = position
        return package

    def install(self, package: bytes) -> bool:
        """Take a certified block of the next height from somebody else; False if anything about it is not right."""
        try:
            message, salts, payloads = packages.read(package)
            reader = Follower(self.genesis, self.kept, self.committees, verified.check)
            block = reader.accept(message)
            if block is None:
                return False
            state = _state(self.genesis, self._store.resume())
            replay(state, block, salts, payloads)
        except LedgerError:
            return False
        if block.committee.epoch != self.epoch:
            return False
        self._store.keep(package, reader.position, state.text())
        self._register(state)
        self.kept = reader.position
        done = self._executed.pop(block.height, None)
        if done is None:
            self._position, self._state = reader.position, state
            self.committees = state.committees(self.genesis.committee)
        return done is None or done.position.digest == block.digest

    def certified(self, height: int) -> bytes | None:
        """The package of a height, for a member that lags."""
        return self._store.package(height)

    def certificate(self, height: int) -> tuple[bytes, tuple[tuple[int, bytes], ...]] | None:
        """Checkpoint text and 2f + 1 (member, note signature) of a certified height."""
        package = self._store.package(height)
        if package is None:
            return None
        checkpoint = codec.read("block", codec.read_first("block-package", package))["checkpoint"]
        text, signatures = note.signatures(checkpoint, in_charge(self.committees, height).note_keys)
        return text.encode(), tuple(sorted(signatures))

    def note_height(self, text: bytes) -> int | None:
        """The height that a checkpoint of this channel states; None for any other text."""
        try:
            checkpoint = note.parse_checkpoint(text.decode())
        except ValueError:
            return None
        return checkpoint.height if checkpoint.origin == self.genesis.origin else None


@lru_cache(maxsize=8)
def _heads(schema: str, registry_height: int) -> dict[Refusal, bytes]:
    """How the leaves of window records under a version of their schema begin, by verdict."""
    number = codec.schema_ids()[schema]
    return {refusal: leaf.window_record(refusal, number, registry_height) for refusal in Refusal}


def _registration_in(package: bytes) -> Amendment:
    """The change of the registry that was accepted in a block. Raises LedgerError."""
    message, _, payloads = packages.read(package)
    place = leaf.accepted_place(codec.read("block", message)["leaves"], leaf.REGISTRATION)
    if place is None:
        raise LedgerError("a block without the change of the registry that was recorded in it")
    return registration.change_of(payloads[place])


def _package(block: bytes, salts: bytes, payloads: bytes) -> bytes:
    """The block-package of payloads that are the items of an Avro array already."""
    empty = codec.encode_bare("block-package", {"block": block, "salts": salts, "payloads": []})
    count = len(salts) // records.SALT_BYTES
    return empty[:-1] + records.encode_long(count) + payloads + b"\0" if count else empty


def _state(genesis: Genesis, kept: tuple[Position, bytes] | None) -> State:
    horizon_ms = 1000 * genesis.evidence_horizon_seconds
    offset = genesis.utc_offset_minutes
    return State.load(kept[1], horizon_ms, offset) if kept else State(horizon_ms, offset)


def _ordered(batch: ProposedBatch) -> dict[str, Any]:
    name = {"submitter": batch.submitter, "stream": batch.stream, "number": batch.number}
    return name | {"digest": batch.digest, "records": batch.records}
