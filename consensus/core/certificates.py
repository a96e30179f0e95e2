"""Certificates that are shown to others: prepared (a proposal, in a view) and stable (a checkpoint note).

Both verify from their own bytes and the keys of the epoch alone (Castro and Liskov 1999, sections 4.3 and 4.4).
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from consensus.core.bodies import Body, Proposal
from consensus.core.config import Config
from consensus.core.messages import Kind, Malformed, is_noted
from consensus.core.quorum import are_distinct, are_votes


class MemberSignature(NamedTuple):
    """One member's signature."""

    member: int
    signature: bytes


@dataclass(frozen=True)
class Prepared(Body):
    """A prepared certificate: proposal bytes, the primary's pre-prepare, and 2f prepares of others in `view`."""

    SCHEMA = "consensus-prepared"
    ROWS: ClassVar = {"prepares": MemberSignature}
    view: int
    proposal: bytes
    pre_prepare: bytes
    prepares: tuple[MemberSignature, ...]

    def content(self) -> Proposal:
        """The proposal. Raises Malformed."""
        return Proposal.decode(self.proposal)


@dataclass(frozen=True)
class Certificate(Body):
    """A stable checkpoint: the note of `height`, and note signatures of 2f + 1 members."""

    SCHEMA = "consensus-certificate"
    ROWS: ClassVar = {"signatures": MemberSignature}
    epoch: int
    height: int
    note: bytes
    signatures: tuple[MemberSignature, ...]


def verified_prepared(config: Config, certificate: Prepared) -> Proposal:
    """The proposal of a prepared certificate that proves itself. Raises Malformed.

    The primary's pre-prepare counts as its prepare, and no more: 2f + 1 distinct members with it.
    """
    proposal = certificate.content()
    primary = config.primary(certificate.view)
    signers = [member for member, _ in certificate.prepares]
    if proposal.epoch != config.epoch or proposal.height <= config.base:
        raise Malformed("a prepared certificate of another epoch")
    if primary in signers or not are_distinct(signers) or len(signers) != config.quorum - 1:
        raise Malformed("a prepared certificate needs 2f prepares of distinct backups")
    where = (certificate.view, proposal.height, proposal.digest(config.channel))
    opened = ((primary, certificate.pre_prepare),)
    if not are_votes(config, Kind.PRE_PREPARE, *where, opened):
        raise Malformed("a prepared certificate without the primary's pre-prepare")
    if not are_votes(config, Kind.PREPARE, *where, certificate.prepares):
        raise Malformed("a prepared certificate with a forged prepare")
    return proposal


def is_certified(config: Config, certificate: Certificate) -> bool:
    """Whether exactly 2f + 1 distinct members signed the note. What height the note states is the caller's to check."""
    signers = [member for member, _ in certificate.signatures]
    if certificate.epoch != config.epoch or certificate.height <= config.base:
        return False
    if not are_distinct(signers) or len(signers) != config.quorum:
        return False
    return all(is_noted(config, member, certificate.note, signature) for member, signature in certificate.signatures)
