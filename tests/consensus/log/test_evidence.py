"""Evidence convicts who signed twice, and nobody else: whatever an honest member signs, no two of it are evidence."""

import base64
import json
from collections.abc import Callable
from itertools import combinations_with_replacement
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carbon import signing
from carbon.refusal import Refusal
from consensus.core.bodies import Endorsement, Status, vote_body
from consensus.core.endorsements import verdict_of
from consensus.core.messages import Kind, Message
from consensus.log import evidence, note
from consensus.log.evidence import EvidenceRefused, Proven
from consensus.member.evidence import dissent
from schemas import codec
from tests.consensus.aggregator import with_fields
from tests.consensus.test_contract import POINT
from tests.consensus.test_ledger import SIGNERS, Chain, block_of
from tests.small import START, World, seed

WORLD = World.make()
GENESIS = WORLD.genesis
VOTES = (Kind.PRE_PREPARE, Kind.PREPARE, Kind.COMMIT)
A, B, BATCH = b"a" * 32, b"b" * 32, b"c" * 32


def signed(kind: Kind, body: bytes, member: int = 3, channel: bytes = GENESIS.digest, key: str = "vote-3") -> Message:
    return Message(kind, member, body, signing.sign(seed(key), f"consensus/{kind.value}", channel, body))


def vote(kind: Kind, digest: bytes, epoch: int = 0, view: int = 2, height: int = 17, **more: Any) -> Message:
    return signed(kind, vote_body(epoch, view, height, digest), **more)


def endorsement(*verdicts: tuple[bytes, list[int]], epoch: int = 0, **more: Any) -> Message:
    given = tuple(verdict_of(batch, b"".join(c.to_bytes(2, "big") for c in codes)) for batch, codes in verdicts)
    return signed(Kind.ENDORSEMENT, Endorsement(epoch, given).encode(), **more)


def check(*messages: Message) -> Proven:
    file = evidence.conflict(evidence.Known.of(GENESIS), [message.encode() for message in messages])
    return evidence.check(json.loads(evidence.text(file)), GENESIS)


@pytest.mark.parametrize("kind", VOTES)
def test_two_votes_of_one_place_convict(kind: Kind) -> None:
    proven = check(vote(kind, A), vote(kind, B))
    assert (proven.kind, proven.members, proven.height) == (f"two_{kind.value}s", (3,), 17)
    assert proven.convicts
    assert proven.sentence == f"member 3 (member-3) signed two {kind.value}s for view 2, height 17".replace("_p", " p")


def test_two_verdicts_on_one_batch_convict() -> None:
    proven = check(endorsement((A, [0]), (BATCH, [0, 7])), endorsement((BATCH, [0, 8]), (B, [1])))
    assert (proven.kind, proven.members, proven.place) == ("two_verdicts", (3,), BATCH.hex())
    assert proven.convicts


def test_evidence_is_two_messages_neither_more_nor_less() -> None:
    pair = [endorsement((BATCH, [0])), endorsement((BATCH, [7]))]
    for messages in (pair[:1], [*pair, pair[0]]):
        with pytest.raises(EvidenceRefused, match="wanted 2"):
            check(*messages)


def test_two_verdicts_in_one_message_convict() -> None:
    both = endorsement((BATCH, [0]), (BATCH, [9]))
    assert check(both, both).place == BATCH.hex()


def test_attachments_are_left_out() -> None:
    first = vote(Kind.PRE_PREPARE, A)
    attached = Message(first.kind, first.member, first.body, first.signature, b"a proposal")
    file = evidence.conflict(evidence.Known.of(GENESIS), [attached.encode(), vote(Kind.PRE_PREPARE, B).encode()])
    assert evidence.check(file, GENESIS).convicts
    file["messages"] = [evidence.b64(attached.encode()), file["messages"][0]]
    with pytest.raises(EvidenceRefused, match="more than its signature covers"):
        evidence.check(file, GENESIS)


def test_one_deed_has_one_name_whoever_finds_it() -> None:
    """The same two messages in another order, and a third message for the same place, are the same deed."""
    wires = [vote(Kind.COMMIT, digest).encode() for digest in (A, B, BATCH)]
    files = [evidence.conflict(evidence.Known.of(GENESIS), pair) for pair in (wires[:2], wires[1::-1], wires[1:])]
    assert evidence.text(files[0]) == evidence.text(files[1])
    assert len({evidence.check(file, GENESIS).id for file in files}) == 1
    other = check(vote(Kind.COMMIT, A, height=18), vote(Kind.COMMIT, B, height=18))
    assert other.id != evidence.check(files[0], GENESIS).id
    assert other.file_name != evidence.check(files[0], GENESIS).file_name


REFUSED: dict[str, tuple[Message, Message, str]] = {
    "views": (vote(Kind.COMMIT, A), vote(Kind.COMMIT, B, view=3), "different views or heights"),
    "heights": (vote(Kind.COMMIT, A), vote(Kind.COMMIT, B, height=18), "different views or heights"),
    "kinds": (vote(Kind.PREPARE, A), vote(Kind.COMMIT, B), "different kinds"),
    "epoch": (vote(Kind.COMMIT, A, epoch=1), vote(Kind.COMMIT, B, epoch=1), "epoch"),
    "two epochs": (vote(Kind.COMMIT, A), vote(Kind.COMMIT, B, epoch=1), "epoch"),
    "the same digest": (vote(Kind.PREPARE, A), vote(Kind.PREPARE, A), "one vote twice"),
    "another channel": (vote(Kind.COMMIT, A), vote(Kind.COMMIT, B, channel=bytes(32)), "did not sign"),
    "forged": (vote(Kind.COMMIT, A), vote(Kind.COMMIT, B, key="vote-4"), "did not sign"),
    "the note key": (vote(Kind.COMMIT, A), vote(Kind.COMMIT, B, key="note-3"), "did not sign"),
    "two members": (vote(Kind.COMMIT, A), vote(Kind.COMMIT, B, member=4, key="vote-4"), "another member"),
    "unknown member": (vote(Kind.COMMIT, A, member=7), vote(Kind.COMMIT, B, member=7), "no member 7"),
    "below the members": (vote(Kind.COMMIT, A, member=-1), vote(Kind.COMMIT, B, member=-1), "no member -1"),
    "other batches": (endorsement((A, [0])), endorsement((B, [1])), "no batch"),
    "the same codes": (endorsement((A, [0, 7])), endorsement((A, [0, 7]), (B, [1])), "no batch"),
    "endorsements of epochs": (endorsement((A, [0])), endorsement((A, [1]), epoch=1), "epoch"),
    "a statement of no place": (
        signed(Kind.STATUS, Status(0, 1, False, False, False, 1, 0, 0, 0, ()).encode()),
        signed(Kind.STATUS, Status(0, 2, False, False, False, 2, 0, 0, 0, ()).encode()),
        "not of the kind",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_proves_nothing_is_refused(name: str) -> None:
    first, second, reason = REFUSED[name]
    for pair in ((first, second), (second, first)):
        with pytest.raises(EvidenceRefused, match=reason):
            check(*pair)


HONEST = st.one_of(
    st.tuples(st.sampled_from(VOTES), st.integers(0, 2), st.integers(1, 3), st.sampled_from([A, B, BATCH])),
    st.tuples(st.just(Kind.ENDORSEMENT), st.sampled_from([A, B, BATCH]), st.lists(st.integers(0, 2), min_size=1)),
)


@given(st.lists(HONEST, min_size=2, max_size=8))
def test_an_honest_member_is_never_convicted(statements: list[tuple[Any, ...]]) -> None:
    """It signs one body for each (kind, view, height), and one verdict for each batch, as the protocol's gate does."""
    gate: dict[Any, Message] = {}
    for kind, *rest in statements:
        if kind is Kind.ENDORSEMENT:
            gate.setdefault(rest[0], endorsement((rest[0], rest[1])))
        else:
            gate.setdefault((kind, *rest[:2]), vote(kind, rest[2], view=rest[0], height=rest[1]))
    messages = list(gate.values())
    for pair in combinations_with_replacement(messages, 2):
        with pytest.raises(EvidenceRefused):
            check(*pair)


@given(st.data())
def test_no_changed_byte_convicts_anybody_else(data: st.DataObject) -> None:
    """Whatever is changed in a file, it proves the same of the same member, or nothing."""
    file = evidence.conflict(
        evidence.Known.of(GENESIS), [vote(Kind.PREPARE, A).encode(), vote(Kind.PREPARE, B).encode()]
    )
    before = evidence.check(file, GENESIS)
    raw = bytearray(evidence.text(file).encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 6))
    try:
        after = evidence.check(json.loads(bytes(raw)), GENESIS)
    except ValueError:
        return
    assert after == before


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.update(version=2),
        lambda f: f.update(channel=base64.b64encode(bytes(32)).decode()),
        lambda f: f.update(kind="two_prepares"),
        lambda f: f.update(kind="treason"),
        lambda f: f.update(kind=["two_commits"]),
        lambda f: f.update(member=4),
        lambda f: f.update(member=True),
        lambda f: f.update(member=None),
        lambda f: f.update(name="member-4"),
        lambda f: f["messages"].pop(),
        lambda f: f["messages"].append(f["messages"][0]),
        lambda f: f["messages"].__setitem__(0, "AAAA"),
        lambda f: f.update(messages=7),
        lambda f: f.pop("kind"),
    ],
)
def test_a_file_of_another_form_is_refused(change: Callable[[dict[str, Any]], Any]) -> None:
    file = evidence.conflict(evidence.Known.of(GENESIS), [vote(Kind.COMMIT, A).encode(), vote(Kind.COMMIT, B).encode()])
    change(file)
    with pytest.raises(EvidenceRefused):
        evidence.check(file, GENESIS)
    for none in ([], None, "evidence", 3):
        with pytest.raises(EvidenceRefused):
            evidence.check(none, GENESIS)  # type: ignore[arg-type]


class Dissent:
    """A block of two batches, a record of the first refused, and what member 5 said of the second instead."""

    def __init__(self) -> None:
        self.chain = Chain()
        liar = self.chain.aggregator
        self.chain.order(liar.batch(liar.hours(0, 1)))
        self.before = self.chain.ledger.kept.tree
        lie = liar.record(liar.draft(POINT, START), with_fields(quantity=1))
        self.first, self.second = liar.batch([lie]), liar.batch(liar.hours(1, 1))
        self.package = self.chain.order(self.first, self.second)
        self.genesis = self.chain.world.genesis

    def said(self, batch: bytes, codes: list[int], **more: Any) -> Message:
        return endorsement((batch, codes), member=5, key="vote-5", channel=self.genesis.digest, **more)

    def file(self, batch: bytes, message: Message) -> dict[str, Any]:
        return dissent(evidence.Known.of(self.genesis), self.before, self.package, batch, message.encode())


@pytest.fixture(scope="module")
def scene() -> Dissent:
    return Dissent()


def test_a_wrong_verdict_is_shown_and_convicts_nobody(scene: Dissent) -> None:
    # POINT's chain is broken by the refused record before: the state refuses one record whose evidence passed
    file = scene.file(scene.second.digest, scene.said(scene.second.digest, [0, 0, 9]))
    proven = evidence.check(json.loads(evidence.text(file)), scene.genesis)
    assert (proven.kind, proven.members, proven.height) == ("wrong_verdict", (5,), 2)
    assert not proven.convicts
    assert file["block"]["log"]["leaf_index"] == 6
    assert "endorsed leaf 6 as wrong_correction, a quorum decided pass" in proven.sentence
    assert "no guilt" in proven.sentence
    passed = evidence.check(scene.file(scene.first.digest, scene.said(scene.first.digest, [0])), scene.genesis)
    assert "endorsed leaf 3 as pass, a quorum decided wrong_sum" in passed.sentence
    assert passed.id != proven.id


def test_what_only_the_state_refused_had_passed(scene: Dissent) -> None:
    reasons = [leaf[4:6] for leaf in evidence.leaves.split(codec.decode("block", block_of(scene.package))["leaves"])]
    assert {int.from_bytes(reason, "big") for reason in reasons} >= {Refusal.WRONG_SUM, Refusal.WRONG_PREDECESSOR}
    file = scene.file(scene.second.digest, scene.said(scene.second.digest, [0, 0, 9]))
    for place in range(3):
        hashes = _all_leaves(scene)
        file["block"]["log"] = evidence.proof.inclusion(hashes[4 + place], _hashes(hashes), 4 + place)
        agreeing = scene.said(scene.second.digest, [0, 0, 0])
        with pytest.raises(EvidenceRefused, match="says what was decided"):
            evidence.check(file | {"messages": [evidence.b64(agreeing.encode())]}, scene.genesis)


def _all_leaves(scene: Dissent) -> list[bytes]:
    return [leaf for b in scene.chain.blocks() for leaf in evidence.leaves.split(codec.decode("block", b)["leaves"])]


def _hashes(data: list[bytes]) -> list[bytes]:
    return [evidence.proof.merkle.leaf_hash(one) for one in data]


def test_a_wrong_verdict_of_another_block_batch_or_length_is_refused(scene: Dissent) -> None:
    digest = scene.second.digest
    good = scene.file(digest, scene.said(digest, [0, 0, 9]))

    def refuse(reason: str, **changes: Any) -> None:
        with pytest.raises(EvidenceRefused, match=reason):
            evidence.check(good | changes, scene.genesis)

    def message(said: Message) -> dict[str, Any]:
        return {"messages": [evidence.b64(said.encode())]}

    refuse("not about the leaf's batch", **message(scene.said(BATCH, [0, 0, 9])))
    refuse("not about the leaf's batch", **message(scene.said(digest, [0, 9])))
    refuse("epoch", **message(scene.said(digest, [0, 0, 9], epoch=1)))
    refuse("did not sign", **message(endorsement((digest, [0, 0, 9]), member=5, key="vote-4")))
    refuse("no endorsement", **message(vote(Kind.COMMIT, A, member=5, key="vote-5", channel=scene.genesis.digest)))
    block, leaves = good["block"], _all_leaves(scene)
    earlier = evidence.proof.inclusion(leaves[1], _hashes(leaves), 1)
    refuse("earlier block", block=block | {"log": earlier})
    refuse("not in the certified tree", block=block | {"log": block["log"] | {"leaf": evidence.b64(leaves[1])}})
    refuse("audit path", block=block | {"log": block["log"] | {"leaf_index": 5}})
    refuse("not in the certified tree", block=block | {"log": block["log"] | {"tree_size": 8}})
    fields = [codec.decode("block", one) for one in scene.chain.blocks()]
    refuse("header is not", block=block | {"header": evidence.b64(fields[0]["header"])})
    refuse("4 members signed", block=block | {"checkpoint": resigned(block["checkpoint"], *SIGNERS[:4])})


class Fork:
    """Two histories that the same five members certified: they part at height 2."""

    def __init__(self) -> None:
        self.genesis = Chain().world.genesis
        self.one, self.other = self._history(1_000), self._history(2_000)

    @staticmethod
    def _history(time_ms: int) -> list[dict[str, Any]]:
        chain = Chain()
        chain.order(chain.aggregator.batch(chain.aggregator.hours(0, 1)))
        chain.order(time_ms=time_ms)
        chain.order(chain.aggregator.batch(chain.aggregator.hours(1, 1)), time_ms=3_000)
        return [codec.decode("block", block) for block in chain.blocks()]

    def file(self, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
        return evidence.fork(evidence.Known.of(self.genesis), old["checkpoint"], new["checkpoint"], new["header"])


@pytest.fixture(scope="module")
def forked() -> Fork:
    return Fork()


def test_a_fork_convicts_who_signed_both_sides(forked: Fork) -> None:
    same = evidence.check(json.loads(evidence.text(forked.file(forked.one[1], forked.other[1]))), forked.genesis)
    assert (same.kind, same.members, same.height, same.convicts) == ("fork", SIGNERS, 2, True)
    assert "two checkpoints of height 2" in same.sentence
    next_one = evidence.check(forked.file(forked.one[1], forked.other[2]), forked.genesis)
    assert (next_one.members, next_one.height) == (SIGNERS, 3)
    assert "height 3 on another block than that of height 2" in next_one.sentence


def resigned(checkpoint: str, *members: int) -> str:
    """The same text, signed by other members."""
    text, _ = note.split(checkpoint)
    keys = [member.note_key for member in GENESIS.members]
    return note.assemble(text, [(keys[m], signing.sign_raw(seed(f"note-{m}"), text.encode())) for m in members])


def test_who_signed_one_side_only_is_not_convicted(forked: Fork) -> None:
    old, new = forked.one[1], forked.other[1]
    other = new | {"checkpoint": resigned(new["checkpoint"], 2, 3, 4, 5, 6)}
    assert evidence.check(forked.file(old, other), forked.genesis).members == (2, 4, 6)


def test_two_roots_of_one_size_are_a_fork_at_whatever_heights(forked: Fork) -> None:
    chain = Chain()
    records = chain.aggregator.hours(0, 1)
    chain.order(chain.aggregator.batch(records[::-1]))
    chain.order()
    chain.order()
    later = codec.decode("block", chain.blocks()[2])
    proven = evidence.check(forked.file(forked.one[0], later), forked.genesis)
    assert (proven.members, proven.height) == (SIGNERS, 3)
    assert "two roots of tree size 3" in proven.sentence


def test_checkpoints_of_one_ledger_are_no_fork(forked: Fork) -> None:
    for old, new in [(0, 1), (1, 2), (0, 2), (1, 1)]:
        with pytest.raises(EvidenceRefused, match="one ledger can have both"):
            evidence.check(forked.file(forked.one[old], forked.one[new]), forked.genesis)
    with pytest.raises(EvidenceRefused, match="one ledger can have both"):
        evidence.check(forked.file(forked.one[0], forked.other[2]), forked.genesis)


def test_a_fork_with_another_header_or_an_uncertified_side_is_refused(forked: Fork) -> None:
    file = forked.file(forked.one[1], forked.other[2])
    with pytest.raises(EvidenceRefused, match="not the later checkpoint's"):
        evidence.check(file | {"header": evidence.b64(forked.other[1]["header"])}, forked.genesis)
    four = resigned(forked.other[2]["checkpoint"], *SIGNERS[:4])
    with pytest.raises(EvidenceRefused, match="4 members signed"):
        evidence.check(file | {"checkpoints": [forked.one[1]["checkpoint"], four]}, forked.genesis)


def test_the_alert_is_what_its_schema_says() -> None:
    proven = check(vote(Kind.COMMIT, A), vote(Kind.COMMIT, B))
    alert = codec.decode("alert", codec.encode("alert", evidence.alert(proven, 5)))
    assert (alert["id"], alert["severity"]) == ("evidence/two_commits/3/0.2.17", "critical")
    assert (alert["height"], alert["at"], alert["text"]) == (17, 5, proven.sentence)
    assert (alert["key"], alert["resolved"]) == (alert["id"], False), "a deed has no end"
    assert alert["proof"] == f"carbonledger evidence export {proven.id}"
