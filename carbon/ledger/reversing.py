"""Taking back what was stated: the entry mirrored, the facts as they were. Nothing is ever changed or deleted.

Only whoever stated it takes it back, once, while what it gave is still there and its year is open.
"""

from collections.abc import Callable, Mapping

from carbon.ledger.chart import Entry, pair
from carbon.ledger.past import entry_of, leaf_of
from carbon.ledger.rules import Effect, activity_accounts, period_key
from carbon.ledger.standing import Allocated, Fact, Key, Refused, Standing
from carbon.refusal import Refusal
from carbon.submission import Submission, reversed_by

Undo = Callable[[Standing, Submission, Entry], Effect]
"""Of what stands, a submission that counts, and the mirror of its entry. Raises Refused."""


def reversal(standing: Standing, submission: Submission) -> Effect:
    """A submission taken back that the reversal proves to be part of its party's past. Raises Refused."""
    content, original = submission.content, reversed_by(submission)
    past = standing.past.get(submission.party)
    if original is None or past is None or original.kind not in UNDO:
        raise Refused(Refusal.NOT_REVERSIBLE)
    entry = entry_of(content["postings"])
    after = past.without(content["place"], leaf_of(original.body, entry), content["path"])
    if after is None:
        raise Refused(Refusal.NOT_REVERSIBLE)
    undone = UNDO[original.kind](standing, original, tuple(posting.mirrored for posting in entry))
    return Effect(undone.entry, (*undone.facts, Fact("past", submission.party, after)))


def _mirrored(standing: Standing, original: Submission, mirror: Entry) -> Effect:
    """What changed nothing but accounts."""
    if "year" in original.content:
        standing.require_open(original.content["subject"], original.content["year"])
    return Effect(mirror)


def _allocation(standing: Standing, original: Submission, mirror: Entry) -> Effect:
    """What was given in advance can't be taken back from under the whole that it is part of."""
    subject, year, stage = (original.content[name] for name in ("subject", "year", "stage"))
    standing.require_open(subject, year)
    given, cut = standing.allocated[subject, year], standing.cuts.get((subject, year - 1))
    if given.final and stage == "PRE":
        raise Refused(Refusal.NOT_REVERSIBLE)
    before = Allocated(given.pre_g, final=False) if stage == "FINAL" and given.pre_g is not None else None
    facts = [Fact("allocated", (subject, year), before)]
    if cut is not None and original.content["decision"]:
        facts.append(Fact("cuts", (subject, year - 1), cut._replace(used=False)))
    return Effect(mirror, tuple(facts))


def _offset(standing: Standing, original: Submission, mirror: Entry) -> Effect:
    """Credits that their first holder holds, all of them, were never issued."""
    subject, scheme, first, count = (original.content[name] for name in ("subject", "scheme", "first", "count"))
    keys: tuple[Key, ...] = (("held", scheme, subject), ("issued", scheme))
    return Effect(mirror, tuple(Fact("ranges", key, standing.uncovering(key, first, first + count)) for key in keys))


def _verification(standing: Standing, original: Submission, mirror: Entry) -> Effect:
    """Another may follow. What was surrendered stays so."""
    subject, year = original.content["subject"], original.content["year"]
    standing.require_open(subject, year)
    return Effect(mirror, (Fact("verified", (subject, year), None),))


def _decision(standing: Standing, original: Submission, mirror: Entry) -> Effect:
    """A decision whose cut was not taken off yet."""
    key = original.content["subject"], original.content["year"]
    cut = standing.cuts.get(key)
    is_its_own = cut is not None and (cut.party, cut.number) == (original.party, original.number)
    if cut is None or not is_its_own:
        return Effect(mirror)
    if cut.used:
        raise Refused(Refusal.NOT_REVERSIBLE)
    return Effect(mirror, (Fact("cuts", key, None),))


def _period(standing: Standing, original: Submission, mirror: Entry) -> Effect:
    """Another statement may take its place."""
    key, start, end = period_key(original), original.content["start"], original.content["end"]
    return Effect(mirror, (Fact("ranges", key, standing.uncovering(key, start, end)),))


def _activity(standing: Standing, original: Submission, mirror: Entry) -> Effect:
    """Of a year that was closed meanwhile, it comes off the next open one."""
    back = pair(*activity_accounts(standing, original.content), -original.content["emission_g"])
    return Effect(back, _period(standing, original, mirror).facts)


UNDO: Mapping[str, Undo] = {
    "allocation": _allocation,
    "transfer": _mirrored,
    "offset": _offset,
    "reduction": _mirrored,
    "verification": _verification,
    "surrender": _mirrored,
    "output": _period,
    "gdp": _period,
    "laboratory": _period,
    "activity": _activity,
    "decision": _decision,
}
"""By kind. A retirement counts once and a closing for good; of plans, targets, prices, rules and weather the newest
counts."""
