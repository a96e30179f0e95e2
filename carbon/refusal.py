"""Why the committee refuses a record: the numbers in leaves and their names. Numbers never change."""

from enum import IntEnum


class Refusal(IntEnum):
    """Why a record is refused; PASS for one that is not. Below 40 by the evidence half, from 40 by the state half."""

    PASS = 0
    MALFORMED = 1
    UNKNOWN_POINT = 2
    WRONG_RANGE = 3
    WRONG_COUNT = 4
    WRONG_SUM = 5
    WRONG_EVIDENCE_ROOT = 6
    WRONG_EMISSION = 7
    WRONG_FACTORS = 8
    WRONG_CORRECTION = 9
    WRONG_COMMITTEE = 10
    NOT_APPROVED = 11
    NOT_SIGNED = 12
    WRONG_REGISTRY = 13
    REVOKED_KEY = 14
    UNKNOWN_PARTY = 15
    WRONG_ROLE = 16
    NOT_COUNTERSIGNED = 17
    UNKNOWN_SUBJECT = 18
    NOT_POSITIVE = 19
    ABSURD = 20
    WRONG_UNIT = 21
    WRONG_PERIOD = 22
    UNKNOWN_FACTOR = 23
    UNTRUSTED_FACTOR = 24
    WRONG_AMOUNT = 25
    METERED = 26
    WRONG_SUBJECT = 27
    UNKNOWN_TERM = 28
    WRONG_PREDECESSOR = 40
    WINDOW_NOT_NEXT = 41
    WRONG_VERSION = 42
    TOO_LATE = 43
    WRONG_FIRST_HEIGHT = 44
    CHANGE_PENDING = 45
    OTHER_REGISTRY = 46
    CLOSED = 47
    SUBSTITUTION_DUE = 50
    WRONG_SUBSTITUTION = 51
    REPLAYED = 60
    IN_FUTURE = 61
    OVER_BALANCE = 62
    ALREADY_ISSUED = 63
    ALREADY_RETIRED = 64
    OVER_CAP = 65
    OVERLAPS = 66
    YEAR_CLOSED = 67
    ALREADY_ALLOCATED = 68
    NOT_VERIFIED = 69
    ALREADY_VERIFIED = 70
    ALREADY_SURRENDERED = 71
    NOT_REVERSIBLE = 72
    WRONG_BALANCE = 73
    NO_DECISION = 74
    FRAGMENTED = 75
    ALREADY_DECIDED = 76
    EARLIER_YEAR_OPEN = 77
    UNFORESEEN = 78

    @property
    def label(self) -> str:
        """The name in topics, tables and documents."""
        return self.name.lower()


def label(reason: int) -> str:
    """The name of a reason code, of this version's or a later one's."""
    return Refusal(reason).label if reason in set(Refusal) else f"reason_{reason}"
