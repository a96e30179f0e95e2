"""Changes of the committee: what must have signed one, when it acts, and that the genesis alone still suffices."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest

from carbon import merkle, signing
from carbon.refusal import Refusal
from consensus import membership
from consensus.contract import Contract
from consensus.core.bodies import Endorsement, ProposedBatch
from consensus.core.effects import OrderedBlock
from consensus.core.endorsements import verdict_of
from consensus.core.messages import Kind, Message
from consensus.ledger import Ledger
from consensus.log import evidence, growth, leaf, proof
from consensus.log.committee import AHEAD, FURTHEST, Change, Committee, CommitteeError
from consensus.log.follower import Follower, LedgerError, Position
from consensus.log.proof import ProofRefused
from consensus.log.witness import Witness, is_of
from schemas import codec
from tests.consensus import changes
from tests.consensus.test_ledger import MemoryStore, block_of
from tests.small import World, seed

NAMES = [str(i) for i in range(7)]
QUORUM = NAMES[:5]


@pytest.fixture(scope="module")
def world() -> World:
    return World.make()


def judged(world: World, payload: bytes, number: int = 1, committees=None) -> Refusal:
    return membership.refusal(payload, number, world.channel, committees or (world.genesis.committee,))


def test_a_change_that_a_quorum_approves_and_the_new_key_consents_to_passes(world: World) -> None:
    change = changes.rotated(world.genesis.committee, 3, "3b")
    assert judged(world, changes.record(world, change, QUORUM, {3: "3b"})) is Refusal.PASS
    assert judged(world, changes.record(world, change, NAMES, {3: "3b"})) is Refusal.PASS


def test_one_approval_too_few_or_by_another_key_is_not_approved(world: World) -> None:
    change = changes.rotated(world.genesis.committee, 3, "3b")
    for approving in (QUORUM[:4], [*QUORUM[:4], "6"], [*QUORUM[:4], "3b"]):
        assert judged(world, changes.record(world, change, approving, {3: "3b"})) is Refusal.NOT_APPROVED


def test_nobody_is_named_with_a_key_that_does_not_consent(world: World) -> None:
    change = changes.rotated(world.genesis.committee, 3, "3b")
    for consents in ({}, {3: "3"}, {3: "3b", 4: "4"}, {4: "3b"}):
        assert judged(world, changes.record(world, change, QUORUM, consents)) is Refusal.NOT_APPROVED


def test_an_approval_is_of_one_change_only(world: World) -> None:
    """Not of the same members from another height on, and not as somebody's consent."""
    now = world.genesis.committee
    one, other = (changes.rotated(now, 3, "3b", first=first) for first in (80, 81))
    fields = codec.decode_bare("membership", changes.record(world, one, QUORUM, {3: "3b"}))
    swapped = codec.encode_bare("membership", fields | {"change": other.encode()})
    assert judged(world, swapped) is Refusal.NOT_APPROVED
    rows = codec.decode_bare("membership", changes.record(world, one, ["", "", "", "3"], {3: "3b"}))
    crossed = codec.encode_bare("membership", fields | {"consents": rows["approvals"]})
    assert judged(world, crossed) is Refusal.NOT_APPROVED


def test_a_change_is_of_the_next_epoch_the_number_of_its_batch_and_changes_something(world: World) -> None:
    now = world.genesis.committee
    good = changes.rotated(now, 3, "3b")
    assert judged(world, changes.record(world, good, QUORUM, {3: "3b"}), number=2) is Refusal.WRONG_COMMITTEE
    same = changes.with_members(now, 100, now.members)
    assert judged(world, changes.record(world, same, QUORUM)) is Refusal.WRONG_COMMITTEE
    later = changes.rotated(Committee(1, 50, now.members), 3, "3b")
    assert judged(world, changes.record(world, later, QUORUM, {3: "3b"})) is Refusal.WRONG_COMMITTEE


def test_a_retired_key_never_comes_back(world: World) -> None:
    first = world.genesis.committee
    second = changes.rotated(first, 3, "3b").committee
    back = changes.with_members(second, 200, first.members)
    names = ["0", "1", "2", "3b", "4"]
    payload = changes.record(world, back, names, {3: "3"})
    assert judged(world, payload, committees=(first, second)) is Refusal.WRONG_COMMITTEE


def test_a_note_key_does_not_become_a_vote_key(world: World) -> None:
    now = world.genesis.committee
    members = [*now.members]
    members[0], note_of_0 = changes.newcomer("fresh"), now.members[0].note_key.key
    members[0] = members[0].__class__(0, "member-0", "verifier", note_of_0, members[0].note_key)
    change = changes.with_members(now, 100, members)
    assert judged(world, changes.record(world, change, QUORUM, {0: "0"})) is Refusal.WRONG_COMMITTEE


def test_members_that_make_no_committee(world: World) -> None:
    now = world.genesis.committee
    with pytest.raises(CommitteeError, match="3 members"):
        changes.with_members(now, 100, now.members[:3])
    with pytest.raises(CommitteeError, match="key of its own"):
        changes.with_members(now, 100, [*now.members[:6], now.members[0]])
    assert judged(world, b"nonsense") is Refusal.MALFORMED


class Epochs:
    """A ledger driven by hand over changes of its committee; `seeds` name each member's note seed by index."""

    def __init__(self, world: World) -> None:
        self.world, self.store = world, MemoryStore()
        self.names = list(NAMES)
        self.open()

    def open(self) -> None:
        self.ledger = Ledger(self.world.genesis, self.world.registry, self.store)
        committees = self.ledger.committees[: self.ledger.epoch + 1]
        self.contract = Contract(self.world.genesis, self.world.registry, committees)

    def order(self, *payloads: bytes, by: list[str] | None = None) -> bytes:
        ordered, votes = [], []
        for payload in payloads:
            batch = changes.batch(payload)
            rulings = self.contract.judge(batch, None)  # type: ignore[arg-type] a change needs no packets
            self.ledger.hold(batch, rulings)
            codes = np.array([r.refusal for r in rulings], ">u2").tobytes()
            ordered.append(ProposedBatch(batch.submitter, batch.stream, batch.number, batch.digest, codes))
            votes.append(self._endorsement(batch.digest, codes))
        epoch, height = self.ledger.epoch, self.ledger.height + 1
        text = self.ledger.execute(OrderedBlock(epoch, height, 1_000, tuple(ordered), tuple(votes)))
        assert text is not None
        names = by or self.names[: self.ledger.committee.quorum]
        signed = [(place, signing.sign_raw(seed(f"note-{name}"), text)) for place, name in enumerate(names)]
        return self.ledger.settle(height, signed)

    def _endorsement(self, digest: bytes, codes: bytes) -> bytes:
        body = Endorsement(self.ledger.epoch, (verdict_of(digest, codes),)).encode()
        signature = signing.sign(seed(f"vote-{self.names[0]}"), "consensus/endorsement", self.world.channel, body)
        return Message(Kind.ENDORSEMENT, 0, body, signature).encode()

    def until_end(self) -> None:
        end = self.ledger.epoch_end
        assert end is not None
        while self.ledger.height < end:
            self.order()

    def change(self, index: int, name: str, number: int = 1) -> Change:
        change = changes.rotated(self.ledger.committee, index, name, self.ledger.height + 1 + AHEAD, number)
        self.order(changes.record(self.world, change, self.names[:5], {index: name}))
        return change

    def go_over(self, index: int, name: str, number: int = 1) -> None:
        """Record a change, go to the end of the epoch, and begin the next as a member does."""
        self.change(index, name, number)
        self.until_end()
        self.names[index] = name
        self.open()


@pytest.fixture(scope="module")
def epochs(world: World) -> Epochs:
    """Two changes of keys, and a block of each epoch."""
    epochs = Epochs(world)
    epochs.order()
    epochs.go_over(3, "3b")
    epochs.order()
    epochs.go_over(0, "0b", number=2)
    epochs.order()
    return epochs


def follow(epochs: Epochs) -> Follower:
    reader = Follower(epochs.world.genesis)
    for package in epochs.store.kept:
        assert reader.accept(block_of(package)) is not None
        # wherever a reader stops, it can go on from what it kept
        reader = Follower(reader.genesis, Position.load(json.loads(json.dumps(reader.position.dump()))))
    return reader


def test_point_16_a_reader_with_the_genesis_alone_follows_over_the_epochs(epochs: Epochs) -> None:
    reader = follow(epochs)
    assert [committee.epoch for committee in reader.committees] == [0, 1, 2]
    assert reader.committees == epochs.ledger.committees
    assert [committee.first for committee in reader.committees] == [1, 2 + AHEAD, 3 + 2 * AHEAD]
    assert reader.height == epochs.ledger.height == 3 + 2 * AHEAD
    assert list(reader.position.epochs) == list(epochs.ledger.kept.epochs)


def test_point_16_a_block_of_the_old_members_after_the_change_is_refused(world: World) -> None:
    epochs = Epochs(world)
    epochs.order()
    epochs.go_over(3, "3b")
    package = epochs.order(by=["0", "1", "2", "3", "4"])
    reader = Follower(world.genesis)
    for kept in epochs.store.kept[:-1]:
        reader.accept(block_of(kept))
    with pytest.raises(LedgerError, match="signature"):
        reader.accept(block_of(package))


def test_point_16_a_block_of_the_new_members_before_the_change_is_refused(world: World) -> None:
    epochs = Epochs(world)
    epochs.change(3, "3b")
    package = epochs.order(by=["0", "1", "2", "3b", "4"])
    reader = Follower(world.genesis)
    reader.accept(block_of(epochs.store.kept[0]))
    with pytest.raises(LedgerError, match="signature"):
        reader.accept(block_of(package))


def test_point_16_a_block_that_hides_its_change_is_refused(world: World) -> None:
    epochs = Epochs(world)
    epochs.change(3, "3b")
    fields = codec.decode("block", block_of(epochs.store.kept[0]))
    for membership_ in (None, fields["membership"] | {"salt": bytes(16)}):
        message = codec.encode("block", fields | {"membership": membership_})
        with pytest.raises(LedgerError, match=r"missing|commits"):
            Follower(world.genesis).accept(message)
    follower = Follower(world.genesis)
    follower.accept(block_of(epochs.store.kept[0]))
    plain = codec.decode("block", block_of(epochs.order()))
    with pytest.raises(LedgerError, match="foreign"):
        follower.accept(codec.encode("block", plain | {"membership": fields["membership"]}))


def test_point_16_one_change_at_a_time_and_not_too_soon_nor_too_far(world: World) -> None:
    now = world.genesis.committee
    for first, refusal in (
        (AHEAD, Refusal.WRONG_FIRST_HEIGHT),
        (1 + AHEAD, Refusal.PASS),
        (1 + FURTHEST, Refusal.PASS),
        (2 + FURTHEST, Refusal.WRONG_FIRST_HEIGHT),
    ):
        epochs = Epochs(world)
        change = changes.rotated(now, 3, "3b", first)
        package = epochs.order(changes.record(world, change, QUORUM, {3: "3b"}))
        assert reasons(package) == [refusal]
        assert len(epochs.ledger.committees) == (1 if refusal else 2)
    # one that was refused leaves the way open
    second = changes.rotated(now, 2, "2b", 2 + AHEAD, number=2)
    assert reasons(epochs.order(changes.record(world, second, QUORUM, {2: "2b"}))) == [Refusal.PASS]
    epochs = Epochs(world)
    epochs.change(3, "3b")
    assert reasons(epochs.order(changes.record(world, second, QUORUM, {2: "2b"}))) == [Refusal.CHANGE_PENDING]
    assert epochs.ledger.epoch_end == AHEAD


def reasons(package: bytes) -> list[int]:
    envelopes = leaf.split(codec.decode("block", block_of(package))["leaves"])
    return [leaf.decode(envelope).reason for envelope in envelopes]


def test_point_16_another_member_installs_over_the_epochs_and_ends_in_the_same_state(epochs: Epochs) -> None:
    store = MemoryStore()
    other = Ledger(epochs.world.genesis, epochs.world.registry, store)
    for package in epochs.store.kept:
        assert other.install(package)
        other.go_on()
    assert (other.epoch, other.kept.dump()) == (2, epochs.ledger.kept.dump())
    assert store.after[1] == epochs.store.after[1]


def test_point_16_in_its_epoch_a_member_installs_nothing_of_the_next(epochs: Epochs) -> None:
    other = Ledger(epochs.world.genesis, epochs.world.registry, MemoryStore())
    installed = [other.install(package) for package in epochs.store.kept]
    assert (sum(installed), other.height) == (other.epoch_end, other.epoch_end)


def hashes_of(epochs: Epochs) -> list[bytes]:
    blocks = [codec.decode("block", block_of(package)) for package in epochs.store.kept]
    return [merkle.leaf_hash(envelope) for block in blocks for envelope in leaf.split(block["leaves"])]


def newest(epochs: Epochs) -> str:
    return codec.decode("block", block_of(epochs.store.kept[-1]))["checkpoint"]


def proof_of_second_change(epochs: Epochs) -> dict:
    link = epochs.ledger.kept.epochs[1]
    log = proof.inclusion(proof.unb64(link["log"]["leaf"]), hashes_of(epochs), 1)
    return proof.build(log, newest(epochs), None, None, epochs.ledger.kept.epochs)


def test_point_16_a_proof_carries_the_chain_and_a_gap_in_it_is_refused(epochs: Epochs) -> None:
    genesis, good = epochs.world.genesis, proof_of_second_change(epochs)
    assert proof.verify(json.loads(json.dumps(good)), genesis).height == epochs.ledger.height
    first, second = good["epochs"]
    for links in ([], [first], [second], [second, first], [first, first], [first, second, second]):
        with pytest.raises(ProofRefused):
            proof.verify(good | {"epochs": links}, genesis)


def test_point_16_a_link_must_be_an_accepted_change_certified_by_the_epoch_before(epochs: Epochs) -> None:
    genesis, good = epochs.world.genesis, proof_of_second_change(epochs)

    def refused(change, match: str) -> None:
        file = copy.deepcopy(good)
        change(file["epochs"][1])
        with pytest.raises(ProofRefused, match=match):
            proof.verify(file, genesis)

    refused(lambda link: link.pop("record"), "no accepted change")
    refused(lambda link: link["log"].update(checkpoint=good["epochs"][0]["log"]["checkpoint"]), "certified tree")
    refused(lambda link: link["log"].update(checkpoint=newest(epochs)), "a gap")
    refused(lambda link: link["record"].update(salt=proof.b64(bytes(16))), "commits to")
    record = epochs.ledger.kept.epochs[0]["record"]
    refused(lambda link: link.update(record=record), "commits to")


def test_point_16_growth_is_proved_over_a_change(epochs: Epochs) -> None:
    old = codec.decode("block", block_of(epochs.store.kept[1]))["checkpoint"]
    file = growth.build(old, newest(epochs), hashes_of(epochs), 1, epochs.ledger.kept.epochs)
    assert growth.verify(file, epochs.world.genesis).new.epoch == 2
    with pytest.raises(ProofRefused, match="epoch"):
        growth.verify(file | {"epochs": file["epochs"][:1]}, epochs.world.genesis)


def test_point_16_evidence_names_the_member_of_its_epoch(epochs: Epochs) -> None:
    """Two endorsements by the retired key, of the epoch before and of this one."""
    from tests.consensus.log.test_evidence import BATCH

    known = evidence.Known.of(epochs.world.genesis, epochs.ledger.kept.epochs)

    def endorsement(epoch: int, name: str, code: int) -> bytes:
        body = Endorsement(epoch, (verdict_of(BATCH, code.to_bytes(2, "big")),)).encode()
        signature = signing.sign(seed(f"vote-{name}"), "consensus/endorsement", epochs.world.channel, body)
        return Message(Kind.ENDORSEMENT, 0, body, signature).encode()

    for epoch, name, convicts in ((0, "0", True), (2, "0b", True), (2, "0", False), (0, "0b", False)):
        file = evidence.conflict(known, [endorsement(epoch, name, code) for code in (0, 7)])
        if convicts:
            assert evidence.check(file, epochs.world.genesis).names == ("member-0",)
        else:
            with pytest.raises(evidence.EvidenceRefused, match="did not sign"):
                evidence.check(file, epochs.world.genesis)
    file = evidence.conflict(known, [endorsement(2, "0b", code) for code in (0, 7)])
    with pytest.raises(evidence.EvidenceRefused, match="epoch 2"):
        evidence.check(file | {"epochs": []}, epochs.world.genesis)


def test_point_16_a_witness_follows_over_the_epochs(epochs: Epochs) -> None:
    """And goes on from what it kept; a block of the epoch before beside its own is no fork but a forgery."""
    seen, genesis = Witness(epochs.world.genesis), epochs.world.genesis
    for offset, package in enumerate(epochs.store.kept):
        assert seen.offer(block_of(package), offset)
        assert is_of(genesis, seen.position, seen.checkpoint)
        seen = Witness(genesis, Position.load(json.loads(json.dumps(seen.position.dump()))), seen.checkpoint)
    assert (seen.position.height, seen.objection) == (epochs.ledger.height, "")
    damaged = replace(seen.position, epochs=seen.position.epochs[:1])
    assert not is_of(genesis, damaged, seen.checkpoint)
