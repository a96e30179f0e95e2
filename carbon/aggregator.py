"""One gateway in an aggregator: its windows, its stream of proposals, and the rows that a restart needs of both.

Rows are keyed bytes: `state/<gateway>`, one `packet/<sequence>/<gateway>` for each place that is kept, one
`batch/<number>/<gateway>` for each pending batch, and where hours are substituted `hours/<slot>/<gateway>`, of whose
two slots the state row names the one that holds. The state row is written last: rows that it does not know were left by
a crash, and mean nothing.
"""

import json
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from carbon.aggregation import GatewayWindows, Place, Rules
from carbon.proposing import Confirmed, ProposalStream, Verdict
from carbon.record import PayloadWriter
from carbon.registry import Registry

Row = tuple[bytes, bytes | None]
"""Key and value; None deletes the row."""

_PLACE = struct.Struct(">q32sqq")


@dataclass(frozen=True)
class Settings:
    """What all gateways of an aggregator share. `channel` is the genesis digest, `seed` the submitter's key."""

    registry: Registry
    channel: bytes
    rules: Rules
    submitter: str
    seed: bytes
    writer: PayloadWriter
    registry_height: int = 0


class Aggregator:
    """The windows and the stream of one gateway, kept on one partition."""

    def __init__(self, gateway: str, partition: int, settings: Settings) -> None:
        run = settings.registry.gateways[gateway].run
        self.gateway, self.partition = gateway, partition
        self.windows = GatewayWindows(gateway, run, settings.registry, settings.channel, settings.rules)
        own = (settings.submitter, settings.seed, settings.channel)
        self.stream = ProposalStream(*own, gateway, settings.writer, settings.registry_height)
        self._slot = 0

    def confirm(self, number: int, digest: bytes, verdicts: Sequence[Verdict]) -> Confirmed:
        """Take the ledger's verdicts on a batch: see `ProposalStream.confirm`. What must be drafted again is, when the
        next packet comes."""
        out = self.stream.confirm(number, digest, verdicts)
        charging = self.windows.charging
        charging.accept(link.payload for link in out.accepted if link.point in charging)
        for one in out.refused:
            if out.uncharged.pop((one.point, one.window_start), None) is not None:
                charging.give_up(one.point, one.window_start)
        self.windows.reopen(out.outdated, out.uncharged)
        for point in out.outdated.keys() | {one.point for one in out.refused}:
            self._resume(point)
        return out

    def _resume(self, point: str) -> None:
        if point in self.windows.charging:
            self.windows.charging.resume(point, (link.payload for link in self.stream.chain(point)))

    def state_row(self) -> Row:
        """The row to be written after all others."""
        state = {"partition": self.partition, "windows": self.windows.dump(), "stream": self.stream.dump()}
        slot = {"hours": self._slot} if self._slot else {}
        return _key("state", self.gateway), _json(state | slot)

    def hours_rows(self) -> list[Row]:
        """The row of the hours of points with substitution, if they have changed since they were last asked for: in the
        slot that the last state row did not name."""
        if not self.windows.charging.has_changed:
            return []
        self._slot = 2 if self._slot == 1 else 1
        return [(_key(f"hours/{self._slot}", self.gateway), zlib.compress(_json(self.windows.charging.dump())))]

    def packet_row(self, sequence: int) -> Row:
        """The row of a packet's place; it deletes the row of a packet that was forgotten."""
        place = self.windows.places.get(sequence)
        return _key(f"packet/{sequence}", self.gateway), None if place is None else _PLACE.pack(*place)

    def batch_row(self, number: int) -> Row:
        """The row of a pending batch; it deletes the row of one that was confirmed."""
        batch = self.stream.pending.get(number)
        return _key(f"batch/{number}", self.gateway), None if batch is None else batch.dump()

    def restore(self, rows: Mapping[bytes, bytes]) -> list[Row]:
        """Go on from this gateway's rows; returns the rows that a crash left behind, to be deleted."""
        packets, pending = {}, {}
        for key, value in rows.items():
            kind, _, number = gateway_of(key)
            if kind == "packet":
                packets[number] = Place(*_PLACE.unpack(value))
            elif kind == "batch":
                pending[number] = value
        state = json.loads(rows[_key("state", self.gateway)])
        left_over = []
        if state["windows"]["run"] == self.windows.number:
            self.windows.load(state["windows"], packets)
        else:
            self.windows.follow(state["windows"])
            left_over = [self.packet_row(sequence) for sequence in packets]
        self._slot = state.get("hours", 0)
        if self._slot:
            self.windows.charging.load(json.loads(zlib.decompress(rows[_key(f"hours/{self._slot}", self.gateway)])))
        left_over += [self.batch_row(number) for number in self.stream.load(state["stream"], pending)]
        for point in self.windows.charging:
            self._resume(point)
        return left_over


def restored(rows: Mapping[bytes, bytes], settings: Settings) -> Iterator[tuple[Aggregator, list[Row]]]:
    """The aggregators that rows of many gateways tell of, each with its left-over rows."""
    by_gateway: dict[str, dict[bytes, bytes]] = {}
    for key, value in rows.items():
        by_gateway.setdefault(gateway_of(key)[1], {})[key] = value
    for gateway, own in by_gateway.items():
        state = own.get(_key("state", gateway))
        if state is not None and gateway in settings.registry.gateways:
            aggregator = Aggregator(gateway, json.loads(state)["partition"], settings)
            yield aggregator, aggregator.restore(own)


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _key(kind: str, gateway: str) -> bytes:
    return f"{kind}/{gateway}".encode()


def gateway_of(key: bytes) -> tuple[str, str, int]:
    """Kind, gateway and number of a row's key; the number of a state row is 0."""
    kind, rest = key.decode().split("/", 1)
    if kind == "state":
        return kind, rest, 0
    number, gateway = rest.split("/", 1)
    return kind, gateway, int(number)


def alert_id(*parts: object) -> str:
    """The identity of an alert: a function of what it is about."""
    return sha256("\n".join(map(str, parts)).encode()).hexdigest()[:32]
