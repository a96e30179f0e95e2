"""The evidence half, decided: each record by 2f + 1 members that gave it the same code, for pass and for fail alike.

Two sets of 2f + 1 share an honest member, and an honest member gives one code a record: so there is at most one
decision, and no primary can choose it.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from consensus.core.bodies import Verdict
from consensus.core.config import Config
from consensus.core.messages import Malformed

CODE_LIMIT = 0xFFFF


def decision_quorum(config: Config) -> int:
    """Members that must give a record the same code."""
    return config.quorum


def _all_pass(records: int) -> bytes:
    ones = (1 << records) - 1
    return (ones << -records % 8).to_bytes((records + 7) // 8, "big")


def verdict_of(batch: bytes, codes: bytes) -> Verdict:
    """The verdict that says `codes` (u16 big endian a record)."""
    records = len(codes) // 2
    if not any(codes):
        return Verdict(batch, records, _all_pass(records), ())
    numbers = [int.from_bytes(codes[i : i + 2], "big") for i in range(0, len(codes), 2)]
    bits = "".join("1" if number == 0 else "0" for number in numbers)
    passes = int(bits.ljust((records + 7) // 8 * 8, "0"), 2).to_bytes((records + 7) // 8, "big")
    return Verdict(batch, records, passes, tuple(number for number in numbers if number))


def codes_of(verdict: Verdict, max_records: int) -> bytes:
    """The codes that a verdict says. Raises Malformed for one with other bytes than `verdict_of` makes."""
    records = verdict.records
    if not 0 < records <= max_records or len(verdict.passes) != (records + 7) // 8:
        raise Malformed("a verdict on no records, on too many, or with a bitmap of another length")
    if not verdict.failures and verdict.passes == _all_pass(records):
        return bytes(2 * records)
    bits = bin(int.from_bytes(b"\x01" + verdict.passes, "big"))[3:]
    if "1" in bits[records:] or bits[:records].count("0") != len(verdict.failures):
        raise Malformed("a verdict whose padding or count of reasons is wrong")
    if not all(0 < code <= CODE_LIMIT for code in verdict.failures):
        raise Malformed("a reason code out of range")
    reasons = iter(verdict.failures)
    return b"".join(b"\0\0" if bit == "1" else next(reasons).to_bytes(2, "big") for bit in bits[:records])


def decide(verdicts: Collection[bytes], records: int, quorum: int) -> bytes | None:
    """The codes of a batch of `records`, from one verdict a member; None while any record is open."""
    fitting = [codes for codes in verdicts if len(codes) == 2 * records]
    if len(fitting) < quorum:
        return None
    codes, votes = Counter(fitting).most_common(1)[0]
    return codes if votes >= quorum else _decide_each(fitting, quorum)


def _decide_each(verdicts: list[bytes], quorum: int) -> bytes | None:
    decided = []
    for i in range(0, len(verdicts[0]), 2):
        code, votes = Counter(codes[i : i + 2] for codes in verdicts).most_common(1)[0]
        if votes < quorum:
            return None
        decided.append(code)
    return b"".join(decided)


@dataclass
class Tally:
    """The verdicts on one batch: member to (codes, the signed message that says so)."""

    verdicts: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    decided: bytes | None = None

    def update(self, records: int, quorum: int) -> bool:
        """Decide if that can be done now; whether it just was."""
        if self.decided is not None:
            return False
        self.decided = decide([codes for codes, _ in self.verdicts.values()], records, quorum)
        return self.decided is not None

    def justification(self, quorum: int) -> list[bytes]:
        """Messages that decide the batch: a quorum of whole verdicts where there is one, else all."""
        whole = [message for codes, message in self.verdicts.values() if codes == self.decided]
        return whole[:quorum] if len(whole) >= quorum else [message for _, message in self.verdicts.values()]
