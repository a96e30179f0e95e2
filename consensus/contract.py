"""The evidence half: what a member recomputes from the gateways' signed packets before it votes on a record.

A pure function of the batch, the evidence that its records name and the registry. An honest record is built again from
the packets and compared byte for byte; only one that differs is decoded, to say why. What can't be decided yet, because
packets have not arrived, gets no verdict at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Protocol

from carbon import claims, drafting, submission
from carbon import record as records
from carbon import window as windows
from carbon.drafting import Range
from carbon.packet import ZERO_DIGEST
from carbon.record import Draft, EvidenceRange, PayloadWriter, Replaced
from carbon.refusal import Refusal
from carbon.registry import Point, Registry
from carbon.substitution import states_stop, tier_row
from carbon.window import PacketFacts, Watermarks, Window, WindowKey
from consensus import membership, registration
from consensus.batch import Batch
from consensus.log.committee import Committee
from consensus.log.genesis import Genesis
from consensus.log.leaf import MEMBERSHIP, REGISTRATION, SUBMISSION
from consensus.substitution import Told
from schemas import codec


class Undecidable(Exception):
    """The evidence that a record names has not arrived yet."""


class Evidence(Protocol):
    """The signed packets that a member holds."""

    def run(self, gateway: str, run: int) -> Watermarks:
        """The packets of a run that arrived without a hole."""

    def facts(self, gateway: str, run: int, sequence: int) -> PacketFacts | None:
        """What follows from one packet of such a run; None for a sequence that was stated lost."""

    def late(self, gateway: str, run: int, key: WindowKey) -> Sequence[int]:
        """The packets behind a window's closing packet that hold readings of it, valid or not, in sequence order."""


@dataclass(slots=True)
class Ruling:
    """One record judged: the verdict, and what its leaf and the state half need of it. Never changed once made."""

    refusal: Refusal
    salt: bytes
    commitment: bytes
    evidence_root: bytes = ZERO_DIGEST
    previous: bytes = ZERO_DIGEST
    version: int = 1
    posted_g: int = 0
    replaces: Replaced | None = None
    told: Told | None = None
    """Of its hour, where the point has substitution."""


class _Refused(Exception):
    """A record that the evidence half refuses."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.label)
        self.refusal = refusal


class Contract:
    """The evidence half under one genesis and one registry, that of the batches it is given, in one epoch."""

    def __init__(self, genesis: Genesis, registry: Registry, committees: Sequence[Committee] = ()) -> None:
        """`committees`: one an epoch, this one's the last; that of the genesis alone when empty."""
        self._committees = committees or (genesis.committee,)
        self._channel = genesis.digest
        self._utc_offset_minutes = genesis.utc_offset_minutes
        self._lateness_ms = 1000 * genesis.lateness_seconds
        self._registry = registry
        self._writer = PayloadWriter(registry)

    def judge(self, batch: Batch, evidence: Evidence) -> list[Ruling]:
        """A ruling for each record of a batch. Raises Undecidable when evidence is missing for any of them."""
        if batch.kind == MEMBERSHIP:
            (payload,) = batch.payloads
            refusal = membership.refusal(payload, batch.number, self._channel, self._committees)
            return [_without_packets(refusal, payload)]
        if batch.kind == REGISTRATION:
            (payload,) = batch.payloads
            stated = (batch.number, batch.registry_height, self._channel, self._registry)
            return [_without_packets(registration.refusal(payload, *stated), payload)]
        if batch.kind == SUBMISSION:
            return [self._submission(payload) for payload in batch.payloads]
        ranges: dict[tuple[str, int], Range | None] = {}
        named = zip(batch.points, batch.windows, batch.payloads, strict=True)
        return [self._record(point, start, payload, evidence, ranges) for point, start, payload in named]

    def _submission(self, payload: bytes) -> Ruling:
        try:
            refusal = claims.refusal(payload, self._channel, self._registry, self._utc_offset_minutes)
        except Exception:
            # a rule that stumbles over a party's bytes refuses them: going through, they would stop every member alike
            refusal = Refusal.MALFORMED
        salt = submission.salt_of(payload)
        if salt is None:
            return _without_packets(refusal, payload)
        return Ruling(refusal, salt, records.commitment(salt, payload))

    def _record(
        self,
        name: str,
        start: int,
        payload: bytes,
        evidence: Evidence,
        ranges: dict[tuple[str, int], Range | None],
    ) -> Ruling:
        point = self._registry.points.get(name)
        if point is None or start < point.start or start % (1000 * point.window_seconds):
            return _without_packets(Refusal.UNKNOWN_POINT, payload)
        if self._registry.gateways[point.gateway].revoked:
            return _without_packets(Refusal.REVOKED_KEY, payload)
        place = (point.gateway, start)
        if place not in ranges:
            ranges[place] = self._range(point, start, evidence)
        range_ = ranges[place]
        previous = self._writer.previous_of(name, payload)
        if range_ is not None and previous is not None:
            draft = drafting.first_version(point, start, range_)
            if self._writer.payload(draft, previous) == payload:
                return _passed(point, draft, previous, payload, draft.emission_g)
        return self._explain(point, start, payload, evidence, range_)

    def _range(self, point: Point, start: int, evidence: Evidence) -> Range | None:
        """The range of a window by the closing rule; None while its closing packet has not arrived."""
        number = self._registry.gateways[point.gateway].run
        run = evidence.run(point.gateway, number)
        end = start + 1000 * point.window_seconds
        span = windows.closing_span(run, start, end, self._lateness_ms, self._registry.limits.future_ms)
        if span is None:
            return None
        held = [evidence.facts(point.gateway, number, k) for k in range(span.first, span.last + 1)]
        packets = [facts for facts in held if facts is not None]
        return drafting.range_of(self._channel, span, packets)

    def _explain(self, point: Point, start: int, payload: bytes, evidence: Evidence, range_: Range | None) -> Ruling:
        """The ruling on a record that is not the plain first version of its window."""
        try:
            fields = records.decode(payload)
        except codec.CodecError:
            return _without_packets(Refusal.MALFORMED, payload)
        try:
            return self._judge_fields(point, start, payload, fields, evidence, range_)
        except _Refused as refused:
            return _without_packets(refused.refusal, payload, fields["evidence_root"])

    def _judge_fields(
        self,
        point: Point,
        start: int,
        payload: bytes,
        fields: dict[str, Any],
        evidence: Evidence,
        range_: Range | None,
    ) -> Ruling:
        if (fields["point"], fields["window_start"]) != (point.id, start) or not fields["evidence"]:
            raise _Refused(Refusal.MALFORMED)
        if fields["factors"] != self._registry.factors.digest:
            raise _Refused(Refusal.WRONG_FACTORS)
        named = [EvidenceRange(**item) for item in fields["evidence"]]
        run = evidence.run(point.gateway, self._registry.gateways[point.gateway].run)
        if range_ is None:
            # every packet that the record names is here, and still none of them closes the window
            raise _Refused(Refusal.WRONG_RANGE) if named[-1].last <= run.last else Undecidable
        if named[0] != range_.evidence[0]:
            raise _Refused(Refusal.WRONG_RANGE)
        if fields["version"] == 1:
            draft = drafting.first_version(point, start, range_)
        elif fields["cause"] == "SUBSTITUTED":
            draft = self._substituted(point, start, fields, named, evidence, range_)
        else:
            draft = self._correction(point, start, fields["version"], named, evidence, range_)
            if fields["cause"] == "MEASURED":
                draft = _measured(point, draft, fields)
        _compare(fields, draft)
        if self._writer.payload(draft, fields["previous"]) != payload:
            raise _Refused(Refusal.MALFORMED)
        return _passed(point, draft, fields["previous"], payload, records.posted_g(fields))

    def _correction(
        self,
        point: Point,
        start: int,
        version: int,
        named: list[EvidenceRange],
        evidence: Evidence,
        range_: Range,
    ) -> Draft:
        """The whole window again, from the old evidence and every late packet up to the last one that is named."""
        late = self._late(point, start, named, evidence)
        if not late:
            raise _Refused(Refusal.WRONG_RANGE)
        draft = drafting.correction(point, start, version, self._channel, range_, late)
        if draft.evidence != tuple(named):
            raise _Refused(Refusal.WRONG_RANGE)
        before, after = drafting.corrected(point, start, range_, late)
        # the state half knows every version but the first
        skips = version == 2 and _is_other(before, point, start, range_)
        if skips or not drafting.says_more(point, before, after):
            raise _Refused(Refusal.WRONG_CORRECTION)
        return draft

    def _late(self, point: Point, start: int, named: list[EvidenceRange], evidence: Evidence) -> list[PacketFacts]:
        """The late packets of a window up to the last one that is named. Raises Undecidable."""
        number, last = named[0].run, named[-1].last
        if last > evidence.run(point.gateway, number).last:
            raise Undecidable
        key = (point.id, start)
        sequences = [k for k in evidence.late(point.gateway, number, key) if k <= last]
        held = [evidence.facts(point.gateway, number, k) for k in sequences]
        return [facts for facts in held if facts is not None and key in facts.groups]

    def _substituted(
        self,
        point: Point,
        start: int,
        fields: dict[str, Any],
        named: list[EvidenceRange],
        evidence: Evidence,
        range_: Range,
    ) -> Draft:
        """A missing hour's record, from its latest version's packets. Value and tier are the state half's to judge."""
        late = self._late(point, start, named, evidence)
        if point.substituted is None:
            raise _Refused(Refusal.WRONG_CORRECTION)
        if fields["quantity"] % point.expected:
            raise _Refused(Refusal.WRONG_SUM)
        latest = drafting.first_version(point, start, range_)
        if late:
            latest = drafting.correction(point, start, fields["version"] - 1, self._channel, range_, late)
        latest.version = fields["version"] - 1
        if latest.evidence != tuple(named):
            raise _Refused(Refusal.WRONG_RANGE)
        if latest.version == 1 and _is_other(latest.window, point, start, range_):
            raise _Refused(Refusal.WRONG_CORRECTION)
        salt = drafting.next_salt(self._channel, [*range_.packets, *late], latest)
        tier = records.Tier(tier_row(fields["rule"]), fields["boundary"])
        return drafting.substituted(point, latest, salt, fields["quantity"] // point.expected, tier)


def _is_other(window: Window, point: Point, start: int, range_: Range) -> bool:
    """Whether a window says something else than its first version did."""
    first = windows.aggregate((point.id, start), range_.packets)
    return window.evidence_root != first.evidence_root or drafting.says_more(point, first, window)


def _measured(point: Point, draft: Draft, fields: dict[str, Any]) -> Draft:
    """A correction as one that replaces a substituted hour: what was charged for that, the state half knows."""
    if point.substituted is None or fields["replaces"] is None or fields["replaces"]["version"] != draft.version - 1:
        raise _Refused(Refusal.WRONG_CORRECTION)
    return replace(draft, cause="MEASURED", replaces=Replaced(**fields["replaces"]))


def _compare(fields: dict[str, Any], draft: Draft) -> None:
    """Raises _Refused with the first thing in which a record differs from what its evidence gives."""
    checks = (
        (fields["count"], draft.window.count, Refusal.WRONG_COUNT),
        (fields["quantity"], draft.window.quantity, Refusal.WRONG_SUM),
        (fields["evidence_root"], draft.window.evidence_root, Refusal.WRONG_EVIDENCE_ROOT),
        (fields["emission_g"], draft.emission_g, Refusal.WRONG_EMISSION),
        (states_stop(fields["rule"]), draft.stopped, Refusal.WRONG_SUBSTITUTION),
        (fields["replaces"], draft.replaces and draft.replaces._asdict(), Refusal.WRONG_CORRECTION),
    )
    for stated, found, refusal in checks:
        if stated != found:
            raise _Refused(refusal)


def _passed(point: Point, draft: Draft, previous: bytes, payload: bytes, posted_g: int) -> Ruling:
    commitment, window = records.commitment(draft.salt, payload), draft.window
    link = (window.evidence_root, previous, draft.version, posted_g, draft.replaces)
    told = None
    if point.substituted is not None:
        numbers = (window.count, point.expected, window.quantity)
        told = Told.of(point.substituted, draft.cause, *numbers, draft.tier, stopped=draft.stopped)
    return Ruling(Refusal.PASS, draft.salt, commitment, *link, told)


def _without_packets(refusal: Refusal, payload: bytes, root: bytes = ZERO_DIGEST) -> Ruling:
    """The ruling on a refused record, or on a change: no packets to take a salt from, nothing to hide."""
    salt = blake2b(payload, digest_size=records.SALT_BYTES, person=b"refused").digest()
    return Ruling(refusal, salt, records.commitment(salt, payload), root)
