"""Signed commands of registered operators to a gateway, pure: verified, decided, obeyed once, answered with a reason.

An operator numbers its commands to a gateway from 1 upwards. A number is used up by whatever becomes of it; the same
command again gets the answer that it got before and changes nothing. How often a point is read is only ever commanded
within its regulation's bounds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple

from carbon import signing
from carbon.registry import Registry
from schemas import codec
from streams.edge.sampling import Bounds, Rule

KIND = "command"
OUTCOME_KIND = "command-outcome"


class CommandError(ValueError):
    """A message that no gateway answers: not a command to it by an operator who may; `reason` is the rule's name."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class Reason(StrEnum):
    """What became of a command."""

    OBEYED = "obeyed"
    EXPIRED = "expired"
    """Its time has passed."""
    OUTDATED = "outdated"
    """Its number is not higher than that of another command of the operator's before."""
    UNKNOWN_POINT = "unknown_point"
    NOT_ONE_INTERVAL = "not_one_interval"
    """It asks for an interval and names two."""
    OUTSIDE_BOUNDS = "outside_bounds"
    """Outside the regulation's bounds, empty, or no multiple of the point's step."""
    NO_RANGE = "no_range"
    """A range to send again that is empty, not over yet, or of which nothing is kept any more."""


class Command(NamedTuple):
    """A command, as its schema states it, and SHA-256 of the body that was signed."""

    operator: str
    gateway: str
    number: int
    until: int
    kind: str
    point: str
    first: int
    last: int
    digest: bytes


class Backfill(NamedTuple):
    """What is to be sent again: a point's readings in [start, end), ms UTC."""

    point: str
    start: int
    end: int


class Answer(NamedTuple):
    """What was answered to an operator's last command: its number and body's digest, when, and what."""

    number: int
    digest: bytes
    at: int
    reason: Reason


@dataclass(frozen=True)
class State:
    """What a gateway keeps of commands: the last answer to each operator, and the bounds that were set for points."""

    answers: Mapping[str, Answer] = field(default_factory=dict)
    bounds: Mapping[str, Bounds] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The state as JSON has it; `from_json` is its inverse."""
        answers = {name: [a.number, a.digest.hex(), a.at, a.reason] for name, a in self.answers.items()}
        return {"answers": answers, "bounds": {point: list(bounds) for point, bounds in self.bounds.items()}}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "State":
        """The state that was kept. Raises KeyError, TypeError, ValueError."""
        return cls(
            {n: Answer(a, bytes.fromhex(d), at, Reason(r)) for n, (a, d, at, r) in value["answers"].items()},
            {point: Bounds(*bounds) for point, bounds in value["bounds"].items()},
        )


class Decision(NamedTuple):
    """What follows from a command: the state to keep first, what to answer, and what to send again."""

    state: State
    answer: Answer
    backfill: Backfill | None = None


def sign(seed: bytes, channel: bytes, **fields: Any) -> bytes:
    """The message of a command with the fields of command-body, in wire format."""
    body = codec.encode_bare("command-body", fields)
    return codec.encode("command", {"body": body, "signature": signing.sign(seed, KIND, channel, body)})


def verify(message: bytes, registry: Registry, channel: bytes, gateway: str) -> Command:
    """The command of a message to `gateway`, signed by a registered operator who may command it.

    Raises CommandError: not_a_command, unknown_operator, wrong_signature, other_gateway, not_entitled.
    """
    try:
        outer = codec.decode("command", message)
        fields = codec.decode_bare("command-body", outer["body"])
    except codec.CodecError as error:
        raise CommandError("not_a_command", str(error)) from error
    command = Command(**fields, digest=sha256(outer["body"]).digest())
    operator = registry.operators.get(command.operator)
    if operator is None:
        raise CommandError("unknown_operator", f"{command.operator!r} is not registered")
    if not signing.verify(operator.key, KIND, channel, outer["body"], outer["signature"]):
        raise CommandError("wrong_signature", f"not signed by the registered key of {command.operator}")
    if command.gateway != gateway:
        raise CommandError("other_gateway", f"to {command.gateway!r}")
    if gateway not in operator.gateways:
        raise CommandError("not_entitled", f"{command.operator} may not command {gateway}")
    return command


def backfill_of(command: Command) -> Backfill | None:
    """The range that a command asks for."""
    return Backfill(command.point, command.first, command.last) if command.kind == "backfill" else None


def decide(state: State, command: Command, rules: Mapping[str, Rule], now: int, *, kept: bool = True) -> Decision:
    """What a verified command changes at `now`, ms UTC, for a gateway whose points may be sampled by `rules`.

    `kept` says whether a packet is kept that holds something of the range it asks for.
    """
    before = state.answers.get(command.operator)
    if before is not None and command.digest == before.digest:
        return Decision(state, before)
    if command.number <= (0 if before is None else before.number):
        return Decision(state, Answer(command.number, command.digest, now, Reason.OUTDATED))
    reason = _judge(command, rules, now, kept=kept)
    answer = Answer(command.number, command.digest, now, reason)
    state = replace(state, answers={**state.answers, command.operator: answer})
    if reason is not Reason.OBEYED:
        return Decision(state, answer)
    if backfill := backfill_of(command):
        return Decision(state, answer, backfill)
    bounds = {**state.bounds, command.point: Bounds(command.first, command.last)}
    return Decision(replace(state, bounds=bounds), answer)


def _judge(command: Command, rules: Mapping[str, Rule], now: int, *, kept: bool) -> Reason:
    if now > command.until:
        return Reason.EXPIRED
    rule = rules.get(command.point)
    if rule is None:
        return Reason.UNKNOWN_POINT
    if command.kind == "backfill":
        return Reason.OBEYED if kept and 0 <= command.first < command.last <= now else Reason.NO_RANGE
    if command.kind == "interval" and command.first != command.last:
        return Reason.NOT_ONE_INTERVAL
    try:
        rule.narrowed(Bounds(command.first, command.last))
    except ValueError:
        return Reason.OUTSIDE_BOUNDS
    return Reason.OBEYED


def commanded(rules: Mapping[str, Rule], state: State) -> dict[str, Rule]:
    """The rules with the bounds that were set; what a rule doesn't allow any more, after a restart, is left out."""
    return {point: _narrowed(rule, state.bounds.get(point)) for point, rule in rules.items()}


def _narrowed(rule: Rule, bounds: Bounds | None) -> Rule:
    if bounds is None:
        return rule
    try:
        return rule.narrowed(bounds)
    except ValueError:
        return rule


def outcome(seed: bytes, channel: bytes, command: Command, answer: Answer) -> bytes:
    """The gateway's signed answer to a command, in wire format."""
    fields = {"gateway": command.gateway, "operator": command.operator, "number": command.number}
    fields |= {"command": command.digest, "at": answer.at, "reason": answer.reason.value}
    body = codec.encode_bare("command-outcome-body", fields)
    return codec.encode("command-outcome", {"body": body, "signature": signing.sign(seed, OUTCOME_KIND, channel, body)})


def read_outcome(message: bytes, registry: Registry, channel: bytes) -> tuple[bytes, Reason]:
    """The digest of the command that a gateway answered, and what became of it.

    Raises CommandError: not_an_outcome, unknown_gateway, wrong_signature.
    """
    try:
        outer = codec.decode("command-outcome", message)
        fields = codec.decode_bare("command-outcome-body", outer["body"])
        answered, reason = fields["command"], Reason(fields["reason"])
    except ValueError as error:
        raise CommandError("not_an_outcome", str(error)) from error
    gateway = registry.gateways.get(fields["gateway"])
    if gateway is None:
        raise CommandError("unknown_gateway", f"{fields['gateway']!r} is not registered")
    if not signing.verify(gateway.key, OUTCOME_KIND, channel, outer["body"], outer["signature"]):
        raise CommandError("wrong_signature", f"not signed by the registered key of {gateway.id}")
    return answered, reason
