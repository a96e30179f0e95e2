"""Who signs: gateways, submitters, registrars, operators and parties, each with its Ed25519 verification key."""

from dataclasses import dataclass
from typing import Any, Literal

ATTESTERS = frozenset({"intake", "attester"})
"""Kinds of gateways that sign what they received: an intake by Kafka, an attester from direct meters by MQTT."""


@dataclass(frozen=True)
class Gateway:
    """An edge gateway, or one that attests what others measured. `key` is its Ed25519 verification key.

    What stands behind `kind` is in a registry file only where it isn't the default.
    """

    id: str
    key: bytes
    run: int
    kind: str
    revoked: bool = False
    """Whether its key counts no more, until a later run has a new one."""
    retired: tuple[bytes, ...] = ()
    """The keys of its earlier runs."""

    @classmethod
    def of(cls, raw: dict[str, Any]) -> "Gateway":
        """The gateway of its entry in a registry file. Raises what a wrong entry leads to."""
        retired = tuple(bytes.fromhex(key) for key in raw.get("retired", ()))
        return cls(**{**raw, "key": bytes.fromhex(raw["key"]), "retired": retired})

    @property
    def attests(self) -> bool:
        """Whether it vouches for what it received alone, not for what was measured."""
        return self.kind in ATTESTERS


@dataclass(frozen=True)
class Submitter:
    """Who may put batches of records before the committee."""

    id: str
    key: bytes


@dataclass(frozen=True)
class Registrar:
    """Who may change the registry. A registry without one stays as it is for ever."""

    id: str
    key: bytes


Role = Literal["enterprise", "regulator", "verifier", "exchange", "offset registry", "statistics", "laboratory"]
"""What a party is. An enterprise speaks for its subject, a regulator and statistics for all below theirs."""
ASSIGNED: tuple[Role, ...] = ("verifier", "laboratory")
"""Roles that may serve some subjects in place of all."""


@dataclass(frozen=True)
class Party:
    """Who may make submissions: an institution or an enterprise, with its Ed25519 key."""

    id: str
    key: bytes
    role: Role
    subject: str | None
    """Whom it speaks for or oversees; none for those that serve all."""
    assigned: tuple[str, ...] = ()
    """The subjects that a verifier or laboratory serves, if not all; in a registry file only then."""

    @classmethod
    def of(cls, raw: dict[str, Any]) -> "Party":
        """The party of its entry in a registry file. Raises what a wrong entry leads to."""
        return cls(**{**raw, "key": bytes.fromhex(raw["key"]), "assigned": tuple(raw.get("assigned", ()))})


@dataclass(frozen=True)
class Operator:
    """Who may command gateways, and which ones."""

    id: str
    key: bytes
    gateways: tuple[str, ...]
