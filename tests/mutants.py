"""`make mutants`: each point of docs/consensus.md broken on purpose, in a copy of the source; its named test must fail.

A mutant is a piece of text and what stands there instead. One that no longer applies, or that its test lets pass, is a
defect of the tests: the command exits 1.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("schemas", "carbon", "consensus", "streams", "sinks", "infra", "tests", "pyproject.toml")
FAILED = 1
"""What pytest exits with when tests ran and failed; any other number is not a test that caught something."""


class Mutant(NamedTuple):
    """A point (0: none), the file, the text that is there once, what breaks it, and the test that must see it."""

    point: int
    file: str
    old: str
    new: str
    test: str


def _core(name: str) -> str:
    return f"consensus/core/{name}.py"


def _test(name: str) -> str:
    return f"tests/consensus/core/test_{name}"


MUTANTS = (
    Mutant(
        1,
        _core("normal"),
        "if is_primary != (message.kind is Kind.PRE_PREPARE) and message.kind is not Kind.COMMIT:",
        "if message.kind is Kind.PRE_PREPARE and not is_primary:",
        _test("quorums.py::test_point_01_the_primary_does_not_prepare_twice"),
    ),
    Mutant(
        1,
        _core("quorum"),
        "if ballot.view == view and ballot.digest == digest",
        "if ballot.view == view",
        _test("quorums.py::test_point_01_mixed_digests_are_no_quorum"),
    ),
    Mutant(
        1,
        _core("quorum"),
        "if ballot.view == view and ballot.digest == digest",
        "if ballot.digest == digest",
        _test("quorums.py::test_point_01_votes_of_two_views_are_no_quorum"),
    ),
    Mutant(
        1,
        _core("quorum"),
        "all(a < b for a, b in pairwise(listed))",
        "all(a <= b for a, b in pairwise(listed))",
        _test("quorums.py::test_point_01_prepared_certificate_is_refused"),
    ),
    Mutant(
        2,
        _core("messages"),
        "return _SIGNATURE_KINDS[kind]",
        'return "consensus/message"',
        _test("messages.py::test_point_02_signature_is_of_one_kind"),
    ),
    Mutant(
        2,
        "carbon/signing.py",
        'return f"carbonledger/{kind}/v1\\n".encode() + channel',
        'return f"carbonledger/{kind}/v1\\n".encode()',
        _test("messages.py::test_point_02_signature_is_of_one_channel_and_member"),
    ),
    Mutant(
        3,
        _core("normal"),
        "if first.body != message.body:",
        "if first != message:",
        _test("normal_case.py::test_point_03_two_pre_prepares_of_one_height_are_evidence_without_their_attachments"),
    ),
    Mutant(
        3,
        _core("recovery"),
        "            s.signed[message.kind, body.view, body.height] = message\n            if message.kind is",
        "            if message.kind is not Kind.PRE_PREPARE:\n"
        "                s.signed[message.kind, body.view, body.height] = message\n            elif message is",
        _test("points.py::test_point_03_an_honest_primary_is_never_convicted_by_what_a_restart_makes_it_send_again"),
    ),
    Mutant(
        4,
        _core("state"),
        "        self.persist(votelog.message_entry(message))\n        return message",
        "        return message",
        _test("normal_case.py::test_point_04_votes_are_durable_before_they_are_sent"),
    ),
    Mutant(
        4,
        _core("recovery"),
        "            s.signed[message.kind, body.view, body.height] = message\n",
        "",
        _test("recovery.py::test_point_04_a_restarted_member_refuses_the_other_proposal_of_an_equivocating_primary"),
    ),
    Mutant(
        5,
        _core("state"),
        "        if self.is_silent:\n            return None\n",
        "",
        _test("recall.py::test_point_05_before_it_has_asked_it_signs_no_second_vote"),
    ),
    Mutant(
        5,
        _core("recovery"),
        "    _forget_certified(s)\n",
        "",
        _test("recovery.py::test_point_05_a_log_far_above_a_damaged_ledger_holds_no_heights_open_that_were_certified"),
    ),
    Mutant(
        5,
        _core("recall"),
        "vote.height > s.stable_height and (known is None or known.body != own.body)",
        "vote.height > s.stable_height and known is not None",
        _test("recall.py::test_point_05_a_disk_that_was_set_back_is_found_out_and_its_member_votes_on_nothing"),
    ),
    Mutant(
        5,
        _core("recall"),
        "own.member == s.config.index and is_authentic(s.config, own) and",
        "own.member == s.config.index and",
        _test("recall.py::test_point_05_nobody_else_can_set_a_member_back"),
    ),
    Mutant(
        5,
        _core("recall"),
        "    s.persist(votelog.message_entry(s.barred))\n",
        "",
        _test("recall.py::test_point_05_what_it_said_of_itself_survives_its_next_restart"),
    ),
    Mutant(
        5,
        _core("recall"),
        "    if len(s.answers) >= s.config.quorum - 1:",
        "    if len(s.answers) >= s.config.n - 1:",
        _test("recall.py::test_point_05_nobody_else_can_set_a_member_back"),
    ),
    Mutant(
        6,
        _core("view_change"),
        "return tuple(prepared.encode() for _, prepared in above if prepared is not None)",
        "return ()",
        _test("view_change.py::test_point_06_a_committed_block_comes_back_after_a_view_change"),
    ),
    Mutant(
        6,
        _core("new_view"),
        "if expected != [(opened.height, opened.digest) for opened in body.pre_prepares]:",
        "if len(expected) != len(body.pre_prepares):",
        _test("view_change.py::test_point_06_backups_recompute_the_new_view"),
    ),
    Mutant(
        6,
        _core("view_change"),
        "if len(s.sound) < s.config.quorum:",
        "if len(s.sound) < s.config.quorum or s.unsound:",
        _test("view_change.py::test_point_06_one_forged_certificate_does_not_mask_the_good_ones"),
    ),
    Mutant(
        7,
        _core("new_view"),
        "if known is None or known[0] < view:",
        "if known is None or known[0] > view:",
        _test("view_change.py::test_point_07_plan_is_right_for_every_quorum"),
    ),
    Mutant(
        7,
        _core("new_view"),
        "top = max(changes,",
        "top = min(changes,",
        _test("view_change.py::test_point_07_plan_is_right_for_every_quorum"),
    ),
    Mutant(
        8,
        _core("checkpoints"),
        "    if len(agreeing) < s.config.quorum:",
        "    if len(agreeing) < s.config.f + 1:",
        _test("checkpoints.py::test_point_08_the_watermark_moves_on_a_quorum_over_the_own_note"),
    ),
    Mutant(
        8,
        _core("normal"),
        "if not s.stable_height < vote.height <= s.stable_height + 2 * s.config.window:",
        "if not s.stable_height < vote.height:",
        _test("checkpoints.py::test_point_08_a_flood_of_far_heights_and_views_costs_bounded_memory"),
    ),
    Mutant(
        8,
        _core("checkpoints"),
        'to be certified; whether it was."""\n    height = s.certified + 1',
        'to be certified; whether it was."""\n    height = max(s.executions, default=0)',
        _test("checkpoints.py::test_point_08_a_member_signs_a_height_once_it_holds_all_below_with_their_certificates"),
    ),
    Mutant(
        8,
        _core("normal"),
        "accepted.view:\n        return False\n    if len(slot.commits",
        "accepted.view:\n        pass\n    if len(slot.commits",
        _test("checkpoints.py::test_point_08_nothing_is_applied_whose_proof_the_log_does_not_hold"),
    ),
    Mutant(
        8,
        _core("checkpoints"),
        "        if height != own or s.slots[height].committed is None:",
        "        if True:",
        _test("checkpoints.py::test_point_08_what_is_certified_anywhere_is_there_after_all_that_signed_it_restart"),
    ),
    Mutant(
        8,
        _core("recovery"),
        "        slot.committed = slot.prepared.content()",
        "        pass",
        _test("checkpoints.py::test_point_08_what_is_certified_anywhere_is_there_after_all_that_signed_it_restart"),
    ),
    Mutant(
        8,
        _core("checkpoints"),
        " or height > s.certified + 2 * s.config.window:",
        ":",
        _test("checkpoints.py::test_point_08_what_is_applied_and_not_certified_is_bounded"),
    ),
    Mutant(
        9,
        _core("pool"),
        "            if batch.order > oldest:",
        "            if batch.order:",
        _test("liveness.py::test_point_09_a_primary_that_censors_one_submitter_is_replaced"),
    ),
    Mutant(
        9,
        _core("pool"),
        "            if batch.order > oldest:",
        "            if not batch.order:",
        _test("liveness.py::test_point_09_a_queue_is_no_reason_to_leave"),
    ),
    Mutant(
        9,
        _core("pool"),
        "return min((batch.due_ms for batch in self.waiting.values() if batch.due_ms is not None), default=None)",
        "return min((batch.arrived_ms + 2_000 for batch in self.batches.values()), default=None)",
        _test("liveness.py::test_point_09_undecided_batches_never_cause_a_view_change"),
    ),
    Mutant(
        9,
        _core("liveness"),
        "if slot.height > stable and s.settled(slot)",
        "if slot.height > s.executed and s.settled(slot)",
        _test("liveness.py::test_point_09_a_height_that_too_few_applied_for_its_certificate_is_overdue"),
    ),
    Mutant(
        9,
        _core("liveness"),
        "if slot.height > stable and s.settled(slot)",
        "if slot.height > s.executed and s.settled(slot)",
        "tests/simulation/test_seeds.py::test_runs_that_once_failed",
    ),
    Mutant(
        10,
        _core("view_change"),
        "leave(s, higher[s.config.f])",
        "leave(s, higher[0])",
        _test("liveness.py::test_point_10_f_plus_one_view_changes_pull_a_member_to_the_view_that_an_honest_one_seeks"),
    ),
    Mutant(
        10,
        _core("state"),
        "return min(base << min(self.level, 16), c.view_timeout_cap_ms)",
        "return base << min(self.level, 16)",
        _test("liveness.py::test_point_10_timeouts_double_are_capped_and_come_down"),
    ),
    Mutant(
        10,
        _core("state"),
        "base = max(int(PATIENCE * self.pace_ms), c.view_timeout_floor_ms)",
        "base = c.view_timeout_ms",
        _test("liveness.py::test_point_10_the_timeout_follows_what_heights_take"),
    ),
    Mutant(
        10,
        _core("state"),
        "self.pace_ms = max(took, self",
        "self.pace_ms = max(0, self",
        _test("liveness.py::test_point_10_heights_that_take_ever_longer_are_no_reason_to_leave"),
    ),
    Mutant(
        10,
        _core("replica"),
        "        _take_back(s)\n",
        "",
        _test("liveness.py::test_a_complaint_is_taken_back_at_once"),
    ),
    Mutant(
        10,
        _core("checkpoints"),
        "s.level = max(0, s.level - 1)",
        "s.level = max(0, s.level)",
        _test("liveness.py::test_point_10_timeouts_double_are_capped_and_come_down"),
    ),
    Mutant(
        11,
        _core("normal"),
        " or abs(proposal.time - s.now.wall_ms) > c.clock_bound_ms:",
        ":",
        _test("normal_case.py::test_point_11_a_backup_refuses"),
    ),
    Mutant(
        11,
        _core("propose"),
        "time = max(s.now.wall_ms, time_before(s, height))",
        "time = s.now.wall_ms",
        _test("normal_case.py::test_point_11_block_time_never_goes_back"),
    ),
    Mutant(
        12,
        _core("catch_up"),
        "_request_blocks(s, ahead[s.round % len(ahead)])",
        "_request_blocks(s, ahead[0])",
        _test("catch_up.py::test_point_12_a_liar_and_a_withholder_do_not_stop_it"),
    ),
    Mutant(
        13,
        _core("pool"),
        "        if batch.number == head + 1:",
        "        if batch.number:",
        _test("view_change.py::test_point_07_gaps_become_null_blocks_with_the_time_before_them"),
    ),
    Mutant(
        13,
        _core("pool"),
        "if not head < batch.number <= head + AHEAD:",
        "if not batch.number <= head + AHEAD:",
        _test("points.py::test_point_13_a_batch_that_was_applied_is_refused_before_and_after_a_restart"),
    ),
    Mutant(
        14,
        _core("pool"),
        "        found.sort(key=lambda item: (item[0], item[1]))\n",
        "",
        _test("points.py::test_point_14_another_hash_seed_or_locale_gives_the_same_run"),
    ),
    Mutant(
        15,
        "carbon/signing.py",
        "        crypto_sign_open(signature + message, key)",
        "        order = 2**252 + 27742317777372353535851937790883648493\n"
        "        scalar = int.from_bytes(signature[32:], 'little') % order\n"
        "        crypto_sign_open(signature[:32] + scalar.to_bytes(32, 'little') + message, key)",
        _test("points.py::test_point_15_what_some_verifiers_take_is_refused_everywhere"),
    ),
    Mutant(
        16,
        _core("replica"),
        "if body.epoch != s.config.epoch:",
        "if False:",
        _test("epochs.py::test_point_16_the_next_epoch_goes_on_with_new_keys_and_refuses_the_old"),
    ),
    Mutant(
        16,
        _core("new_view"),
        "max(config.base, top.stable_height)",
        "top.stable_height",
        _test("epochs.py::test_point_16_a_plan_fills_gaps_above_the_base_only"),
    ),
    Mutant(
        16,
        _core("normal"),
        '    if vote.height > s.end:\n        return "beyond the epoch"\n',
        "",
        _test("epochs.py::test_point_16_nothing_is_voted_for_beyond_the_end"),
    ),
    Mutant(
        16,
        _core("normal"),
        "if proposal.height > s.end:",
        "if False:",
        _test("epochs.py::test_point_16_a_proposal_beyond_an_end_that_was_not_known_yet_is_refused_when_it_is"),
    ),
    Mutant(
        16,
        _core("normal"),
        "and not s.is_closing and s.executed < height - 1:",
        "and False:",
        _test("epochs.py::test_point_16_an_empty_block_waits_for_the_change_that_allows_it"),
    ),
    Mutant(
        16,
        _core("normal"),
        "if proposal.is_null and not s.is_closing:",
        "if False:",
        _test("epochs.py::test_point_16_an_empty_block_is_refused_while_no_change_is_recorded"),
    ),
    Mutant(
        16,
        _core("propose"),
        "min(s.stable_height + s.config.window, s.end)",
        "s.stable_height + s.config.window",
        _test("epochs.py::test_point_16_no_primary_proposes_beyond_the_end_or_is_blamed_for_what_is_left"),
    ),
    Mutant(
        16,
        _core("propose"),
        "if batches and (s.executed",
        "if (s.executed",
        _test("epochs.py::test_point_16_without_traffic_an_epoch_ends_with_empty_blocks_one_each_delay"),
    ),
    Mutant(
        16,
        _core("liveness"),
        "if waiting is not None and height <= s.end:",
        "if waiting is not None:",
        _test("epochs.py::test_point_16_no_primary_proposes_beyond_the_end_or_is_blamed_for_what_is_left"),
    ),
    Mutant(
        16,
        _core("liveness"),
        "if s.is_closing and has_room(s, height):",
        "if False:",
        _test("epochs.py::test_point_16_a_primary_that_holds_a_change_back_is_replaced"),
    ),
    Mutant(
        16,
        _core("endorsement_votes"),
        "[] if s.is_over else list(s.verdicts.items())",
        "list(s.verdicts.items())",
        _test("epochs.py::test_point_16_a_member_whose_epoch_is_over_helps_and_votes_on_nothing"),
    ),
    Mutant(
        16,
        _core("recovery"),
        "if epoch != s.config.epoch:",
        "if False:",
        _test("epochs.py::test_point_16_the_log_of_another_epoch_is_refused"),
    ),
    Mutant(
        16,
        _core("certificates"),
        "if certificate.epoch != config.epoch or certificate.height <= config.base:",
        "if certificate.epoch != config.epoch:",
        _test("epochs.py::test_point_16_certificates_of_the_epoch_before_count_for_nothing_in_this_one"),
    ),
    Mutant(
        16,
        _core("certificates"),
        "if proposal.epoch != config.epoch or proposal.height <= config.base:",
        "if proposal.epoch != config.epoch:",
        _test("epochs.py::test_point_16_certificates_of_the_epoch_before_count_for_nothing_in_this_one"),
    ),
    Mutant(
        16,
        _core("state"),
        "return self.config.base if self.stable is None else self.stable.height",
        "return 0 if self.stable is None else self.stable.height",
        _test("epochs.py::test_point_16_the_next_epoch_goes_on_with_new_keys_and_refuses_the_old"),
    ),
    Mutant(
        16,
        _core("checkpoints"),
        "or s.executed >= s.end or not",
        "or not",
        _test("epochs.py::test_point_16_a_block_beyond_the_end_is_of_the_next_epoch"),
    ),
    Mutant(
        16,
        _core("checkpoints"),
        "certificate.height != s.certified + 1 or not is_certified(s.config, certificate):",
        "certificate.height != s.certified + 1:",
        _test("epochs.py::test_point_16_a_certificate_on_the_topic_ends_the_epoch_for_a_member_that_nobody_answers"),
    ),
    Mutant(
        16,
        "consensus/membership.py",
        "len(approved) < now.quorum",
        "len(approved) < now.quorum - 1",
        "tests/consensus/test_membership.py::test_one_approval_too_few_or_by_another_key_is_not_approved",
    ),
    Mutant(
        16,
        "consensus/membership.py",
        "or consenting != newcomers(change.committee, now)",
        "or consenting is None",
        "tests/consensus/test_membership.py::test_nobody_is_named_with_a_key_that_does_not_consent",
    ),
    Mutant(
        16,
        "consensus/membership.py",
        "key in kept or key[1] not in used for key in keys",
        "True for key in keys",
        "tests/consensus/test_membership.py::test_a_retired_key_never_comes_back",
    ),
    Mutant(
        16,
        "consensus/log/committee.py",
        "if committee.first <= height or not committee.epoch",
        "if True",
        "tests/consensus/test_membership.py::test_point_16_a_block_of_the_new_members_before_the_change_is_refused",
    ),
    Mutant(
        16,
        "consensus/log/committee.py",
        "next(committee for committee in reversed(committees) if committee.first <= height or not committee.epoch)",
        "committees[0]",
        "tests/consensus/test_membership.py::test_point_16_a_block_of_the_old_members_after_the_change_is_refused",
    ),
    Mutant(
        16,
        "consensus/log/follower.py",
        "if (place is None) != (opening is None):",
        "if False:",
        "tests/consensus/test_membership.py::test_point_16_a_block_that_hides_its_change_is_refused",
    ),
    Mutant(
        16,
        "consensus/log/proof.py",
        "if named.epoch != len(known) or",
        "if",
        "tests/consensus/test_membership.py::test_point_16_a_proof_carries_the_chain_and_a_gap_in_it_is_refused",
    ),
    Mutant(
        16,
        "consensus/state.py",
        "if epoch in self.changes:",
        "if False:",
        "tests/consensus/test_membership.py::test_point_16_one_change_at_a_time_and_not_too_soon_nor_too_far",
    ),
    Mutant(
        16,
        "consensus/state.py",
        "if not height + AHEAD <= first",
        "if not height <= first",
        "tests/consensus/test_membership.py::test_point_16_one_change_at_a_time_and_not_too_soon_nor_too_far",
    ),
    Mutant(
        16,
        "consensus/ledger.py",
        "if block.committee.epoch != self.epoch:",
        "if False:",
        "tests/consensus/test_membership.py::test_point_16_in_its_epoch_a_member_installs_nothing_of_the_next",
    ),
    Mutant(
        17,
        _core("certificates"),
        "not are_distinct(signers) or len(signers) != config.quorum:",
        "not are_distinct(signers) or len(signers) < 2 * config.f:",
        _test("quorums.py::test_point_17_stable_certificate_needs_exactly_a_quorum_of_distinct_members"),
    ),
    Mutant(
        18,
        _core("replica"),
        "except (Dropped, Malformed) as error:",
        "except Dropped as error:",
        _test("messages.py::test_point_18_any_bytes_are_dropped"),
    ),
    Mutant(
        18,
        _core("replica"),
        "if body.epoch != s.config.epoch:",
        "if body.epoch < s.config.epoch:",
        _test("messages.py::test_point_18_wrong_epoch_is_dropped"),
    ),
    Mutant(
        19,
        _core("messages"),
        "        raise Malformed(str(error)) from error\n    return Message(",
        "        raise\n    return Message(",
        _test("points.py::test_point_19_a_wire_that_drops_reorders_repeats_and_truncates_changes_nothing"),
    ),
    Mutant(
        21,
        "consensus/simulator/checkers.py",
        "require(self.numbers.setdefault(place, recorded) == recorded,",
        "require(self.numbers.setdefault(place, recorded) != (),",
        _test("points.py::test_point_21_two_blocks_of_a_height_or_a_record_twice_are_seen"),
    ),
    Mutant(
        21,
        "consensus/simulator/checkers.py",
        "require(self.votes.setdefault(place, content) == content,",
        "require(self.votes.setdefault(place, content) != b'',",
        _test("points.py::test_point_21_a_vote_that_was_not_durable_and_a_second_vote_are_seen"),
    ),
    Mutant(
        20,
        _core("config"),
        "return self.n - self.f",
        "return 2 * self.f",
        "tests/simulation/test_strategies.py::test_point_20_twins_do_no_more_harm_than_one_liar",
    ),
    # bugs that seeds found, put back
    Mutant(
        0,
        _core("state"),
        "        if self.prepared is not None and self.prepared.view == view:\n            return 2",
        "        if self.committed is not None:\n            return 3\n"
        "        if self.prepared is not None and self.prepared.view == view:\n            return 2",
        _test("catch_up.py::test_what_was_committed_in_an_earlier_view_is_asked_for_again"),
    ),
    Mutant(
        0,
        _core("endorsement_votes"),
        "not in s.pool.batches:\n        return 0",
        "not in s.pool.batches:\n        return c.endorse_delay_ms",
        _test("endorsements.py::test_an_idle_member_endorses_at_once"),
    ),
    Mutant(
        0,
        _core("recovery"),
        "keep_own(s, message, body)",
        "keep_own(s, message, body)\n            s.resend_ms.clear()",
        "tests/simulation/test_seeds.py::test_runs_that_once_failed",
    ),
)


def applied(mutant: Mutant, source: Path) -> str:
    """The file's text with the bug in it. Raises ValueError unless the text that it replaces stands there once."""
    text = (source / mutant.file).read_text()
    if text.count(mutant.old) != 1:
        raise ValueError(f"{mutant.file} holds {text.count(mutant.old)} times: {mutant.old}")
    return text.replace(mutant.old, mutant.new)


def _verdict(mutant: Mutant, copy: Path) -> str:
    """Run the named test on the copy with the bug in it; the copy is whole again after it."""
    whole = (copy / mutant.file).read_text()
    try:
        (copy / mutant.file).write_text(applied(mutant, copy))
    except ValueError as error:
        return f"does not apply: {error}"
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:asyncio", mutant.test]
    environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(command, cwd=copy, env=environment, capture_output=True)
    (copy / mutant.file).write_text(whole)
    return "caught" if run.returncode == FAILED else f"NOT caught (pytest exits {run.returncode})"


def main() -> int:
    """Run every mutant (or those whose test holds the argument), print the table; 1 if one was not caught."""
    missed, wanted = 0, "".join(sys.argv[1:2])
    chosen = [mutant for mutant in MUTANTS if wanted in mutant.test]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for room in ROOMS:
            path = ROOT / room
            if path.is_dir():
                shutil.copytree(path, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(path, copy / room)
        for mutant in chosen:
            verdict = _verdict(mutant, copy)
            missed += verdict != "caught"
            point = f"point {mutant.point:2}" if mutant.point else "a seed  "
            print(f"{point}  {verdict:8}  {mutant.file:40} {mutant.test.rpartition('::')[2]}", flush=True)
    print(f"{len(chosen)} mutants, {missed} not caught")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
