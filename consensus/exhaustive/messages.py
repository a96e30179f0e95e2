"""Messages by what they say: who signed a certificate is left out, because nobody's next step depends on it."""

from typing import Any, NamedTuple

from carbon.signing import sign_raw
from consensus.core.bodies import (
    VOTES,
    Checkpoint,
    Justified,
    NewView,
    OpenedHeight,
    Proposal,
    Status,
    ViewChange,
    Vote,
    vote_body,
)
from consensus.core.certificates import Certificate, MemberSignature, Prepared
from consensus.core.messages import Kind, Message, sign
from consensus.exhaustive.setting import MEMBERS, Setting


class PreparedAt(NamedTuple):
    """A prepared certificate: `digest` at (view, height). `forged`: the same signature, repeated."""

    height: int
    view: int
    digest: bytes
    forged: bool = False


class Left(NamedTuple):
    """What a view change says: a stable note (empty at genesis) and prepared certificates by height."""

    stable: bytes
    prepared: tuple[PreparedAt, ...]


class Opened(NamedTuple):
    """What a new-view says. `changes`, what it rests on, only of those that the Byzantine member makes."""

    stable: bytes
    heights: tuple[tuple[int, bytes], ...]
    is_right: bool = True


class Said(NamedTuple):
    """One thing that a member has signed. `content`: digest, checkpoint note, `Left`, `Opened`, or of a status
    whether it is changing."""

    kind: Kind
    view: int
    height: int
    content: Any


class Wire:
    """What was said as wire bytes; remembers a body for whatever was seen once."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._bodies: dict[Said, tuple[bytes, bytes]] = {}
        self._signed: dict[tuple[int, Said], bytes] = {}
        self._notes: dict[bytes, int] = {}

    def read(self, message: Message) -> list[Said]:
        """What a message of a correct replica says, within the bounds."""
        if message.kind in VOTES:
            vote = Vote.decode(message.body)
            if vote.height not in self._setting.heights:
                return []
            said = [Said(message.kind, vote.view, vote.height, vote.digest)]
            if message.attachment:
                proposal = Proposal.decode(Justified.decode(message.attachment).proposal)
                self._setting.proposals[vote.digest] = proposal
        elif message.kind is Kind.VIEW_CHANGE:
            said = [self._read_view_change(ViewChange.decode(message.body))]
        elif message.kind is Kind.NEW_VIEW:
            said = self._read_new_view(NewView.decode(message.body))
        else:
            return []
        self._bodies.setdefault(said[0], (message.body, message.attachment))
        return said

    def checkpoint(self, height: int, note: bytes) -> Said:
        """The checkpoint that a replica with this note signs."""
        self._notes[note] = height
        return Said(Kind.CHECKPOINT, 0, height, note)

    def _read_view_change(self, change: ViewChange) -> Said:
        stable = Certificate.decode(change.stable).note if change.stable else b""
        prepared = []
        for certificate in map(Prepared.decode, change.prepared):
            proposal = certificate.content()
            prepared.append(PreparedAt(proposal.height, certificate.view, self._setting.digest(proposal)))
        return Said(Kind.VIEW_CHANGE, change.view, 0, Left(stable, tuple(prepared)))

    def _read_new_view(self, opened: NewView) -> list[Said]:
        stable = b""
        for data in opened.view_changes:
            left = self._read_view_change(ViewChange.decode(Message.decode(data).body)).content
            stable = max(stable, left.stable, key=self.height_of)
        heights = tuple((height, digest) for height, digest, _ in opened.pre_prepares)
        said = Said(Kind.NEW_VIEW, opened.view, 0, Opened(stable, heights))
        return [said, *(Said(Kind.PRE_PREPARE, opened.view, height, digest) for height, digest in heights)]

    def height_of(self, note: bytes) -> int:
        """The height of a note; 0 of none."""
        return self._notes[note] if note else 0

    def encode(self, member: int, said: Said) -> bytes:
        """What a member says, signed by it."""
        known = self._signed.get((member, said))
        if known is None:
            body, attachment = self._body(member, said)
            known = sign(self._setting.configs[member], said.kind, body, attachment).encode()
            self._signed[member, said] = known
        return known

    def is_proposal(self, said: Said) -> bool:
        """Whether a pre-prepare was a message of its own, and not part of a new-view."""
        return said in self._bodies

    def _body(self, member: int, said: Said) -> tuple[bytes, bytes]:
        kind, view, height, content = said
        if said in self._bodies:
            return self._bodies[said]
        if kind in VOTES:
            return vote_body(0, view, height, content), b""
        if kind is Kind.CHECKPOINT:
            return Checkpoint(0, height, self._noted(member, content)).encode(), b""
        if kind is Kind.STATUS:
            return Status(0, view, content, not content, False, 0, 0, 0, 0, ()).encode(), b""
        assert kind is Kind.VIEW_CHANGE
        prepared = tuple(self._prepared(at).encode() for at in content.prepared)
        return ViewChange(0, view, self._stable(content.stable), prepared).encode(), b""

    def propose(self, view: int, height: int, value: int) -> Said:
        """A pre-prepare of the Byzantine primary."""
        proposal = self._setting.values[height][value]
        digest = self._setting.digest(proposal)
        said = Said(Kind.PRE_PREPARE, view, height, digest)
        if said not in self._bodies:
            endorsements = tuple(self._setting.endorsement(i, height).encode() for i in range(MEMBERS))
            body = vote_body(0, view, height, digest)
            self._bodies[said] = body, Justified(proposal.encode(), endorsements).encode()
        return said

    def open(self, view: int, opened: Opened, changes: tuple[tuple[int, Said], ...]) -> Said:
        """A new-view of the Byzantine primary that rests on these view changes."""
        said = Said(Kind.NEW_VIEW, view, 0, opened)
        if said not in self._bodies:
            signed = tuple(self.encode(member, change) for member, change in sorted(changes, key=lambda pair: pair[0]))
            heights = tuple(
                OpenedHeight(height, digest, self._vote(Kind.PRE_PREPARE, self._setting.bounds.byzantine, view, *at))
                for at in opened.heights
                for height, digest in [at]
            )
            self._bodies[said] = NewView(0, view, signed, heights).encode(), b""
        return said

    def _vote(self, kind: Kind, member: int, view: int, height: int, digest: bytes) -> bytes:
        return sign(self._setting.configs[member], kind, vote_body(0, view, height, digest)).signature

    def _noted(self, member: int, note: bytes) -> bytes:
        return sign_raw(self._setting.configs[member].note_seed, note)

    def _stable(self, note: bytes) -> bytes:
        return self.certificate(note).encode() if note else b""

    def certificate(self, note: bytes) -> Certificate:
        """A stable checkpoint with 2f + 1 signatures."""
        quorum = self._setting.configs[0].quorum
        signatures = tuple(MemberSignature(member, self._noted(member, note)) for member in range(quorum))
        return Certificate(0, self.height_of(note), note, signatures)

    def _prepared(self, at: PreparedAt) -> Prepared:
        primary, byzantine = self._setting.primary(at.view), self._setting.bounds.byzantine
        backups = [member for member in range(MEMBERS) if member != primary][: self._setting.configs[0].quorum - 1]
        prepares = tuple(
            MemberSignature(
                member,
                self._vote(Kind.PREPARE, byzantine if at.forged else member, at.view, at.height, at.digest),
            )
            for member in backups
        )
        pre_prepare = self._vote(Kind.PRE_PREPARE, primary, at.view, at.height, at.digest)
        return Prepared(at.view, self._setting.proposals[at.digest].encode(), pre_prepare, prepares)
