"""The chart of accounts: every class of accounts, its unit, and the side on which it grows.

An account is named `<class>:<subject>:<parts>`, such as `allowances:plant:2023`; those of the whole market, which stand
behind what subjects have, have no subject: `issued::2023`. An entry's debits equal its credits, unit by unit.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple
from urllib.parse import quote, unquote

Unit = Literal["g", "t", "fen"]
"""g CO2e; whole offset credits, one a tonne; 0.01 CNY."""


class Class(NamedTuple):
    """What the accounts of a class hold. `least` is the least that one may come to; None for no limit.

    `grows` is 1 where debits add to what is held, -1 where credits do.
    """

    unit: Unit
    grows: Literal[1, -1]
    parts: tuple[str, ...]
    text: str
    least: int | None = 0


CLASSES = {
    "emissions": Class("g", 1, ("year", "source"), "emitted, as metered or filed", None),
    "corrections": Class("g", 1, ("year", "source"), "emitted in a closed year, posted in the next open one", None),
    "obligation": Class("g", -1, ("year",), "what emissions and corrections will have to be surrendered for", None),
    "allowances": Class("g", 1, ("vintage",), "allowances allocated or bought"),
    "banked": Class("g", 1, ("vintage",), "allowances carried on from a closed year"),
    "traded": Class("g", 1, ("vintage",), "sold more than bought", None),
    "expired": Class("g", 1, ("year",), "allowances beyond the banking cap"),
    "verified": Class("g", 1, ("year",), "emissions as the verifier found them"),
    "due": Class("g", -1, ("year",), "what is to be surrendered for them"),
    "surrendered": Class("g", 1, ("year",), "allowances surrendered"),
    "shortfall": Class("g", -1, ("year",), "what was due and not surrendered when the year closed"),
    "reductions": Class("g", 1, ("year",), "voluntary reductions, attested"),
    "offsets": Class("t", 1, ("scheme",), "offset credits held"),
    "retired": Class("t", 1, ("year", "purpose"), "offset credits retired"),
    "fines": Class("fen", 1, ("year",), "fines imposed"),
    "rewards": Class("fen", -1, ("year",), "rewards granted"),
    "issued": Class("g", -1, ("vintage",), "market: allowances allocated to all"),
    "attested": Class("g", -1, ("year",), "market: reductions of all"),
    "credits": Class("t", -1, ("scheme",), "market: offset credits issued to all"),
    "treasury": Class("fen", -1, ("year",), "market: fines less rewards", None),
}
_YEARS = {"year", "vintage"}


class AccountName(NamedTuple):
    """What an account's name says. `detail` is its source, scheme or purpose, if it has one."""

    kind: str
    subject: str
    year: int | None
    detail: str

    @property
    def unit(self) -> Unit:
        """The unit of its amounts."""
        return CLASSES[self.kind].unit


def account(kind: str, subject: str, *parts: object) -> str:
    """The name of an account; `parts` as its class has them."""
    assert len(parts) == len(CLASSES[kind].parts), kind
    return ":".join((kind, word(subject), *(word(str(part)) for part in parts)))


@lru_cache(maxsize=65_536)
def parse(name: str) -> AccountName:
    """What a name that `account` made says. Raises ValueError."""
    kind, subject, *parts = name.split(":")
    if kind not in CLASSES or len(parts) != len(CLASSES[kind].parts):
        raise ValueError(f"not an account: {name!r}")
    told = dict(zip(CLASSES[kind].parts, map(unquote, parts), strict=True))
    year = next((int(told.pop(part)) for part in tuple(told) if part in _YEARS), None)
    return AccountName(kind, unquote(subject), year, "".join(told.values()))


def word(text: str) -> str:
    """A text as one word without a colon, that of an empty one being empty; `urllib.parse.unquote` reads it back."""
    plain = text.isprintable() and not {*"%: "} & {*text}
    return text if plain else "".join(c if c.isprintable() and c not in "%: " else quote(c, safe="") for c in text)


@dataclass(frozen=True)
class Posting:
    """One line of an entry, in the unit of its account: the debits of an entry equal its credits."""

    account: str
    debit: int
    credit: int

    @property
    def mirrored(self) -> "Posting":
        """What takes it back."""
        return Posting(self.account, self.credit, self.debit)


Entry = tuple[Posting, ...]


def pair(debited: str, credited: str, amount: int) -> Entry:
    """The entry that moves an amount; the other way round for a negative one, and nothing for none."""
    if amount < 0:
        return pair(credited, debited, -amount)
    return (Posting(debited, amount, 0), Posting(credited, 0, amount)) if amount else ()


def moved(entry: Iterable[Posting]) -> dict[str, tuple[int, int]]:
    """Debits and credits by account."""
    sums: dict[str, tuple[int, int]] = {}
    for posting in entry:
        debit, credit = sums.get(posting.account, (0, 0))
        sums[posting.account] = debit + posting.debit, credit + posting.credit
    return sums


def balances(entry: Iterable[Posting]) -> bool:
    """Whether the debits of an entry equal its credits, unit by unit."""
    sums: Counter[str] = Counter()
    for posting in entry:
        sums[parse(posting.account).unit] += posting.debit - posting.credit
    return not any(sums.values())
