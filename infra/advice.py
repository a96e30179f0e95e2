"""What a refusal of a submission means, and what to do about it."""

from carbon.refusal import Refusal

_ADVICE = {
    Refusal.MALFORMED: "something in it is not as its kind needs it: hold it against 'carbonledger submit kinds KIND'",
    Refusal.UNKNOWN_POINT: "it names a point that is not registered: 'carbonledger anomalies' shows the anomaly's",
    Refusal.NOT_SIGNED: "its author has not signed it with the registered key: sign with that party's key file",
    Refusal.UNKNOWN_PARTY: "its author is not a registered party: 'carbonledger registry show --height' lists parties",
    Refusal.WRONG_ROLE: "its author may not say this, or not of this subject: 'carbonledger submit kinds' says who may",
    Refusal.NOT_COUNTERSIGNED: "the other side has to sign it too: --prepare FILE, and there --countersign FILE",
    Refusal.UNKNOWN_SUBJECT: "it names a subject that is not registered: mind its spelling",
    Refusal.NOT_POSITIVE: "an amount is not above zero",
    Refusal.ABSURD: "an amount is beyond what can be: mind the unit",
    Refusal.WRONG_UNIT: "a unit is unknown, or measures something else",
    Refusal.WRONG_PERIOD: "a year or a period is not as this kind needs it: whole days, in order, within its bounds",
    Refusal.UNKNOWN_FACTOR: "it names a row, or a factor set, that the set in force doesn't have",
    Refusal.UNTRUSTED_FACTOR: "it rests on a factor row of confidence D: name the row in 'allowed', or use another",
    Refusal.WRONG_AMOUNT: "an amount is not what its own figures come to: compute it again",
    Refusal.METERED: "a registered point meters this source: what it meters is not stated again",
    Refusal.OTHER_REGISTRY: "the registry has changed meanwhile: submit it again",
    Refusal.REPLAYED: "its number is not above the last that counted of its party: have it made again",
    Refusal.IN_FUTURE: "it is about a time that has not come yet",
    Refusal.OVER_BALANCE: "an account doesn't hold so much",
    Refusal.ALREADY_ISSUED: "these serial numbers were issued before",
    Refusal.ALREADY_RETIRED: "these credits count already: no credit counts twice",
    Refusal.OVER_CAP: "more than the rule lets count",
    Refusal.OVERLAPS: "a part of this period has been stated already: take the earlier statement back, or leave it out",
    Refusal.YEAR_CLOSED: "the year is closed: state it as a correction in the open one",
    Refusal.ALREADY_ALLOCATED: "this was allocated before: a correction is a reversal first",
    Refusal.NOT_VERIFIED: "the year's emissions have to be verified first",
    Refusal.ALREADY_VERIFIED: "the year is verified: the verifier's reversal comes first",
    Refusal.ALREADY_SURRENDERED: "no more is surrendered than the year needs",
    Refusal.NOT_REVERSIBLE: "there is no such submission of this party that can be taken back any more",
    Refusal.WRONG_BALANCE: "what it states is not what the books give: 'carbonledger account SUBJECT' shows them",
    Refusal.NO_DECISION: "the decision that it rests on is not recorded: submit that first",
    Refusal.FRAGMENTED: "it would break a set of numbers or periods into too many parts: begin where another one ends",
    Refusal.ALREADY_DECIDED: "a cut for this year is decided: take that decision back first",
    Refusal.EARLIER_YEAR_OPEN: "an earlier year is verified and not closed: close that first",
    Refusal.UNFORESEEN: "a rule stumbled over it, on every member alike: tell whoever runs the committee",
}


def advice(refusal: int) -> str:
    """One sentence on a refusal; empty for one that submissions don't meet."""
    return _ADVICE.get(Refusal(refusal), "") if refusal in set(Refusal) else ""
