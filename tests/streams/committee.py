"""A committee in one hand for tests of the streams: the real contract and state, real blocks, four members' real keys.

It judges what is proposed from the gateways' packets by `consensus.contract` and `consensus.state`, and certifies
blocks that the real follower accepts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from carbon import merkle, signing
from carbon.packet import Packet
from carbon.refusal import Refusal
from carbon.window import PacketFacts, Run, WindowKey, analyse
from consensus import batch as batches
from consensus.batch import Batch
from consensus.contract import Contract, Ruling
from consensus.log import leaf, note
from consensus.log.follower import checkpoint_of
from consensus.log.leaf import Leaf
from consensus.state import Chain, State
from schemas import codec
from tests.small import HORIZON_MS
from tests.streams.world import World, note_key, seed


@dataclass
class Packets:
    """The evidence port over packets in memory, in sequence order."""

    world: World
    runs: dict[str, Run] = field(default_factory=dict)
    held: dict[tuple[str, int], PacketFacts] = field(default_factory=dict)

    def add(self, packets: Iterable[Packet]) -> None:
        for packet in packets:
            run = self.runs.setdefault(packet.gateway, Run())
            if run.follows(packet):
                run.append(packet)
                self.held[packet.gateway, packet.sequence] = analyse(packet, self.world.registry)

    def run(self, gateway: str, run: int) -> Run:
        return self.runs.setdefault(gateway, Run())

    def facts(self, gateway: str, run: int, sequence: int) -> PacketFacts | None:
        return self.held.get((gateway, sequence))

    def late(self, gateway: str, run: int, key: WindowKey) -> Sequence[int]:
        point = self.world.registry.points[key[0]]
        end = key[1] + 1000 * point.window_seconds + 1000 * self.world.lateness
        closing = self.runs[gateway].first_reaching(end)
        if closing is None:
            return []
        return [
            k for (g, k), facts in sorted(self.held.items()) if g == gateway and k > closing and key in facts.groups
        ]


@dataclass
class Committee:
    """The ledger's end of the pipeline. `ledger` holds the blocks as they go to ledger.blocks."""

    world: World
    packets: Packets = field(init=False)
    state: State = field(default_factory=lambda: State(HORIZON_MS))
    ledger: list[bytes] = field(default_factory=list)
    records: list[tuple[str, int, Ruling, Refusal]] = field(default_factory=list)
    """Point, window start, ruling and verdict of every record, in the ledger's order."""
    tree: merkle.GrowingTree = field(default_factory=merkle.GrowingTree)
    accepted: int = 0
    previous: bytes = b""

    def __post_init__(self) -> None:
        self.packets = Packets(self.world)
        self.contract = Contract(self.world.genesis, self.world.registry)
        self.previous = self.world.channel

    def take(self, proposals: Iterable[bytes]) -> bytes | None:
        """Put what is new and next in its stream into one block; None when nothing is."""
        new: list[Batch] = []
        for message in proposals:
            found = batches.verify(message, {0: self.world.registry}, self.world.channel, 1_000)
            key = (found.submitter, found.stream)
            if found.number == self.state.streams.get(key, 0) + 1:
                self.state.streams[key] = found.number
                new.append(found)
        return self._block(new) if new else None

    def _block(self, new: list[Batch]) -> bytes:
        leaves = [self._leaf(point, start, ruling) for b in new for point, start, ruling in self._judge(b)]
        envelopes = [leaf.encode(one) for one in leaves]
        for envelope in envelopes:
            self.tree.append(merkle.leaf_hash(envelope))
        self.accepted += sum(one.accepted for one in leaves)
        header = {
            "format": 1,
            "channel": self.world.channel,
            "epoch": 0,
            "height": len(self.ledger) + 1,
            "previous": self.previous,
            "time": 0,
            "batches": [
                {
                    "submitter": b.submitter,
                    "stream": b.stream,
                    "number": b.number,
                    "digest": b.digest,
                    "records": len(b),
                }
                for b in new
            ],
            "tree_size": self.tree.size,
            "root": self.tree.root(),
            "accepted": self.accepted,
            "rejected": self.tree.size - self.accepted,
            "state": bytes(32),
        }
        data = codec.encode_bare("block-header", header)
        self.previous = sha256(data).digest()
        text = checkpoint_of(self.world.genesis, header, self.previous)
        signed = [(note_key(i), signing.sign_raw(seed(f"note {i}"), text.encode())) for i in range(3)]
        checkpoint = note.assemble(text, signed)
        block = {"header": data, "leaves": b"".join(envelopes), "votes": [], "checkpoint": checkpoint}
        self.ledger.append(codec.encode("block", block))
        return self.ledger[-1]

    def _judge(self, found: Batch) -> Iterable[tuple[str, int, Ruling]]:
        rulings = self.contract.judge(found, self.packets)
        return zip(found.points, found.windows, rulings, strict=True)

    def _leaf(self, point: str, start: int, ruling: Ruling) -> Leaf:
        refusal = ruling.refusal
        if refusal is Refusal.PASS:
            refusal = self.state.apply(Chain.of(self.world.registry.points[point]), start, ruling)
        self.records.append((point, start, ruling, refusal))
        verdict = leaf.ACCEPTED if refusal is Refusal.PASS else leaf.REJECTED
        schema = codec.schema_ids()["record"]
        return Leaf(leaf.WINDOW_RECORD, verdict, refusal, 0, schema, ruling.evidence_root, ruling.commitment)
