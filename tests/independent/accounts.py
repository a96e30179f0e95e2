"""All accounts from an exported ledger with pandas alone: nothing of the product's code is imported, nothing is judged.

    carbonledger export ledger.export
    python -m tests.independent.accounts ledger.export [MINUTES_EAST_OF_UTC]

An export is packages, each behind its length (8 bytes, big-endian); their Avro schemas are the published files. What
the leaves call accepted counts, by `docs/book.md`. Whether it was rightly accepted, `carbonledger verify --file` says.
"""

import io
import json
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import fastavro
import pandas as pd

SCHEMAS = Path(__file__).parents[2] / "schemas" / "history"
LEAF_BYTES, KIND, VERDICT, SCHEMA_ID = 82, 2, 3, slice(14, 18)
RECORD, SUBMISSION = 1, 4
SOURCES = {
    "combustion": "combustion",
    "fuel": "combustion",
    "measured carbon": "combustion",
    "default carbon": "combustion",
    "purchased electricity": "electricity",
    "cems methane": "methane",
}
"""What emits, by what the text of a record's rule begins with; of all other rules these are the first words."""
COLUMNS = ["account", "subject", "debit", "credit"]


@cache
def schema(name: str) -> Any:
    """The newest published version of a schema, or that of an id."""
    if name.isdecimal():
        (path,) = SCHEMAS.glob(f"*/v*-id{name}.avsc")
    else:
        path = max((SCHEMAS / name).iterdir(), key=lambda one: int(one.name[1:].split("-")[0]))
    return fastavro.parse_schema(json.loads(path.read_text()))


def decoded(name: str, data: bytes) -> Any:
    return fastavro.schemaless_reader(io.BytesIO(data), schema(name), None)


def accepted(data: bytes) -> Iterator[tuple[int, str, bytes]]:
    """Kind, schema id and payload of every accepted leaf of an export, in order."""
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 8], "big")
        package = decoded("block-package", data[at + 8 : at + 8 + size])
        at += 8 + size
        message = package["block"]
        leaves = decoded(str(int.from_bytes(message[1:5], "big")), message[5:])["leaves"]
        for place, payload in enumerate(package["payloads"]):
            leaf = leaves[LEAF_BYTES * place : LEAF_BYTES * (place + 1)]
            if leaf[VERDICT] == 0:
                yield leaf[KIND], str(int.from_bytes(leaf[SCHEMA_ID], "big")), payload


class Accounts:
    """Postings as rows, and what must be remembered to make the next ones."""

    def __init__(self, minutes: int) -> None:
        self.east = timedelta(minutes=minutes)
        self.rows: list[tuple[str, str, int, int]] = []
        self.net: Counter[str] = Counter()
        self.given: Counter[tuple[str, int]] = Counter()
        self.closed: dict[str, int] = {}
        self.stated: dict[tuple[str, int], tuple[str, Any, list[tuple[str, str, int]]]] = {}
        """By party and number: kind, content, and what was moved."""

    def year(self, ms: int) -> int:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms) + self.east).year

    def move(self, debited: str, credited: str, amount: int) -> None:
        """One entry of two lines; the other way round for a negative amount."""
        if amount < 0:
            debited, credited, amount = credited, debited, -amount
        for account, debit, credit in ((debited, amount, 0), (credited, 0, amount)):
            self.rows.append((account, account.split(":")[1], debit, credit))
            self.net[account] += debit - credit
        self.moved.append((debited, credited, amount))

    def emission(self, subject: str, year: int, source: str, grams: int) -> None:
        kind, last = "emissions", self.closed.get(subject, 0)
        if year <= last:
            kind, year = "corrections", last + 1
        self.move(f"{kind}:{subject}:{year}:{source}", f"obligation:{subject}:{year}", grams)

    def record(self, fields: dict[str, Any]) -> None:
        self.moved: list[tuple[str, str, int]] = []
        grams = fields["emission_g"] - (fields["replaces"]["emission_g"] if fields["replaces"] else 0)
        words = fields["rule"].split(" · ")[0].split(":")[0]
        source = SOURCES.get(words, words.replace(" ", "_"))
        self.emission(fields["subject"], self.year(fields["window_start"]), source, grams)

    def submission(self, body: bytes) -> None:
        fields = decoded("submission-body", body)
        kind, content = fields["kind"], decoded(f"submission-{fields['kind']}", fields["content"])
        self.moved = []
        getattr(self, kind, lambda *_: None)(content, fields["party"])
        self.stated[fields["party"], fields["number"]] = kind, content, self.moved

    def allocation(self, content: Any, _: str) -> None:
        subject, year = content["subject"], content["year"]
        amount = content["amount_g"] - (self.given[subject, year] if content["stage"] == "FINAL" else 0)
        self.given[subject, year] += amount
        self.move(f"allowances:{subject}:{year}", f"issued::{year}", amount)

    def hand_over(self, into: str, subject: str, vintage: int, amount: int) -> None:
        banked = min(amount, self.net[f"banked:{subject}:{vintage}"])
        for kind, part in (("banked", banked), ("allowances", amount - banked)):
            if part:
                self.move(into, f"{kind}:{subject}:{vintage}", part)

    def transfer(self, content: Any, _: str) -> None:
        seller, buyer, vintage, amount = (content[name] for name in ("seller", "buyer", "vintage", "amount_g"))
        self.hand_over(f"traded:{seller}:{vintage}", seller, vintage, amount)
        self.move(f"allowances:{buyer}:{vintage}", f"traded:{buyer}:{vintage}", amount)

    def offset(self, content: Any, _: str) -> None:
        self.move(held(content), f"credits::{content['scheme']}", content["count"])

    def retirement(self, content: Any, _: str) -> None:
        into = f"retired:{content['subject']}:{content['year']}:{content['purpose'].lower()}"
        self.move(into, held(content), content["count"])

    def reduction(self, content: Any, _: str) -> None:
        year = content["year"]
        self.move(f"reductions:{content['subject']}:{year}", f"attested::{year}", content["amount_g"])

    def verification(self, content: Any, _: str) -> None:
        of = f"{content['subject']}:{content['year']}"
        self.move(f"verified:{of}", f"due:{of}", content["emissions_g"])

    def surrender(self, content: Any, _: str) -> None:
        subject = content["subject"]
        for line in content["lines"]:
            self.hand_over(f"surrendered:{subject}:{content['year']}", subject, line["vintage"], line["amount_g"])

    def closing(self, content: Any, _: str) -> None:
        subject, year = content["subject"], content["year"]
        if content["shortfall_g"]:
            self.move(f"due:{subject}:{year}", f"shortfall:{subject}:{year}", content["shortfall_g"])
        expiring = content["expired_g"]
        for vintage in range(1990, year + 1):
            for kind in ("banked", "allowances"):
                account = f"{kind}:{subject}:{vintage}"
                gone = min(expiring, self.net[account])
                expiring -= gone
                for into, part in (("expired", gone), ("banked", self.net[account] - gone)):
                    if part and kind != into:
                        self.move(f"{into}:{subject}:{year if into == 'expired' else vintage}", account, part)
        self.closed[subject] = year

    def decision(self, content: Any, _: str) -> None:
        year, amount = content["year"], content["amount_fen"]
        kind = "fines" if amount > 0 else "rewards"
        if amount:
            self.move(f"{kind}:{content['subject']}:{year}", f"treasury::{year}", amount)

    def activity(self, content: Any, _: str, sign: int = 1) -> None:
        rule = next(row["value"] for row in content["rule"] if row["name"] == "rule").replace("_", " ")
        source = SOURCES.get(rule, rule.replace(" ", "_"))
        self.emission(content["subject"], self.year(content["start"]), source, sign * content["emission_g"])

    def reversal(self, content: Any, party: str) -> None:
        kind, original, moved = self.stated.pop((party, content["number"]))
        if kind == "activity":
            return self.activity(original, party, -1)
        for debited, credited, amount in moved:
            self.move(credited, debited, amount)
            if kind == "allocation":
                is_more = debited.startswith("allowances:")
                self.given[original["subject"], original["year"]] -= amount if is_more else -amount
        return None


def held(content: Any) -> str:
    return f"offsets:{content['subject']}:{content['scheme']}"


def table(data: bytes, minutes: int = 0) -> pd.DataFrame:
    """Debits and credits of every account of an export, by its name."""
    accounts = Accounts(minutes)
    for kind, schema_id, payload in accepted(data):
        if kind == RECORD:
            accounts.record(decoded(schema_id, payload))
        elif kind == SUBMISSION:
            accounts.submission(decoded(schema_id, payload)["body"])
    frame = pd.DataFrame(accounts.rows, columns=COLUMNS)
    return frame.groupby(["account", "subject"], as_index=False).sum()


if __name__ == "__main__":
    print(table(Path(sys.argv[1]).read_bytes(), int(sys.argv[2]) if len(sys.argv) > 2 else 0).to_string(index=False))
