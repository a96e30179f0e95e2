"""The books: accounts and postings of a channel, from accepted records alone.

A record of a subject debits `emissions:<subject>` and credits `obligation:<subject>`, what the subject will have to
surrender for it. A correction posts the difference, which may be negative: nothing is ever changed, only added to.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from carbon.record import posted_g

I64_MAX = 2**63 - 1


class BooksError(ValueError):
    """Books whose debits and credits differ, or a sum beyond 64 bits."""


@dataclass
class Account:
    """One account: `<class>:<subject>`, its sums in g CO2e, and how often and when last it was posted to."""

    account: str
    subject: str
    debit_g: int = 0
    credit_g: int = 0
    records: int = 0
    height: int = 0

    def post(self, debit_g: int, credit_g: int, height: int) -> None:
        """Add to both sums. Raises BooksError beyond 64 bits."""
        self.debit_g += debit_g
        self.credit_g += credit_g
        self.records += 1
        self.height = height
        if max(abs(self.debit_g), abs(self.credit_g)) > I64_MAX:
            raise BooksError(f"{self.account} is beyond 64 bits")


@dataclass
class Books:
    """All accounts after some height."""

    accounts: dict[str, Account] = field(default_factory=dict)

    def post(self, record: Mapping[str, Any], height: int) -> tuple[Account, Account]:
        """Post an accepted record of a block; the two accounts that it changed."""
        grams, subject = posted_g(dict(record)), record["subject"]
        emissions, obligation = self._account("emissions", subject), self._account("obligation", subject)
        emissions.post(grams, 0, height)
        obligation.post(0, grams, height)
        return emissions, obligation

    def _account(self, kind: str, subject: str) -> Account:
        name = f"{kind}:{subject}"
        return self.accounts.setdefault(name, Account(name, subject))

    def check(self) -> None:
        """Raises BooksError unless all debits equal all credits."""
        debits = sum(account.debit_g for account in self.accounts.values())
        credits_ = sum(account.credit_g for account in self.accounts.values())
        if debits != credits_:
            raise BooksError(f"debits of {debits} g and credits of {credits_} g")

    def __iter__(self) -> Iterator[Account]:
        return iter(sorted(self.accounts.values(), key=lambda account: account.account))

    def dump(self) -> list[dict[str, Any]]:
        """The books as a JSON value."""
        return [asdict(account) for account in self]

    @classmethod
    def load(cls, data: list[dict[str, Any]]) -> "Books":
        """The books of a value that `dump` made."""
        return cls({item["account"]: Account(**item) for item in data})
