"""Submissions before they are brought: read from files in plain words, completed, signed, handed to the other side."""

import json
import secrets
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from carbon import signing, submission
from carbon.bills import Biller, contents_of
from carbon.claims.activity import activity_g
from carbon.compliance import allocation_g
from carbon.emission import rule_from
from carbon.ledger.book import Book
from carbon.ledger.rules import closing_figures
from carbon.registry import Registry
from carbon.submission import Submission
from carbon.wording import REVERSAL, Setting, WordingError, content_of
from infra.channel import Channel
from infra.copy import LedgerCopy
from infra.errors import EnvironmentFault
from infra.submission import past_of
from schemas import codec


class DraftError(ValueError):
    """A file that is no submission, or none that can be signed here."""


@dataclass
class Draft:
    """A submission before it is brought: what is signed, and the signatures so far, the author's first."""

    body: bytes
    signatures: dict[str, bytes] = field(default_factory=dict)

    def sign(self, party: str, seed: bytes, channel: bytes) -> None:
        """Add a party's signature."""
        self.signatures[party] = signing.sign(seed, submission.KIND, channel, self.body)

    @property
    def payload(self) -> bytes:
        """What is brought."""
        rows = [{"party": party, "signature": signature} for party, signature in self.signatures.items()]
        return codec.encode_bare("submission", {"body": self.body, "signatures": rows})

    @property
    def stated(self) -> Submission:
        """What it says."""
        return submission.read(self.payload)

    def dump(self, channel: bytes) -> str:
        """The file that goes from party to party; `says` is for people, `body` is what is signed."""
        says = {"party": self.stated.party, "number": self.stated.number, "kind": self.stated.kind}
        signatures = {party: signature.hex() for party, signature in self.signatures.items()}
        head = {"says": says | {"content": submission.plain(self.stated.content)}, "channel": channel.hex()}
        return json.dumps(head | {"body": self.body.hex(), "signatures": signatures}, indent=2) + "\n"

    @classmethod
    def load(cls, data: Mapping[str, Any], channel: bytes) -> "Draft":
        """The draft of a file's value. Raises DraftError."""
        try:
            signatures = {str(party): bytes.fromhex(hex_) for party, hex_ in data["signatures"].items()}
            draft, of = cls(bytes.fromhex(data["body"]), signatures), bytes.fromhex(data["channel"])
            says = submission.plain(draft.stated.content)
        except Exception as error:
            # a file can hold anything, and the Avro library raises a dozen unrelated types
            raise DraftError(f"no submission that was prepared: {error!r}") from error
        if of != channel:
            raise DraftError("a submission of another channel")
        if data.get("says", {}).get("content") != says:
            raise DraftError("what it says is not what is signed: have it prepared again")
        return draft


def words_of(path: Path) -> dict[str, Any]:
    """What stands in a TOML or JSON file. Raises DraftError, EnvironmentFault."""
    try:
        text = path.read_text()
        words = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise EnvironmentFault(f"{path} can't be read: {error}") from error
    except (ValueError, RecursionError) as error:
        raise DraftError(f"neither TOML nor, with the ending .json, JSON: {error}") from error
    if not isinstance(words, dict):
        raise DraftError("no names and values")
    return words


@dataclass(frozen=True)
class Desk:
    """Where submissions are written: of a channel, under the registry in force, beside a copy of the ledger."""

    channel: Channel
    registry: Registry
    book: Book
    data: Path
    member: int

    def setting(self, folder: Path) -> Setting:
        """What words mean here; documents stand in `folder`."""

        def digest_of(name: str) -> bytes:
            try:
                return sha256((folder / name).read_bytes()).digest()
            except OSError as error:
                raise WordingError(f"{name}: neither a file here nor 64 hex digits ({error.strerror})") from error

        return Setting(self.channel.genesis.utc_offset_minutes, self.registry.factors.digest, digest_of)

    def draft(self, words: Mapping[str, Any], party: str, number: int, folder: Path) -> Draft:
        """The draft of a file's words. Raises DraftError, WordingError, LedgerError, EnvironmentFault."""
        if "kind" not in words:
            raise DraftError("kind: is missing; see 'carbonledger submit kinds'")
        kind, rest = words["kind"], {name: value for name, value in words.items() if name not in ("kind", "party")}
        content = self._reversal(rest, party) if kind == "reversal" else self._stated(kind, rest, folder)
        return written(kind, content, party, number)

    def bills(self, file: Path, party: str, allowed: Sequence[str]) -> list[dict[str, Any]]:
        """The contents of a CSV of bills of a party's subject. Raises DraftError, EnvironmentFault."""
        known = self.registry.parties.get(party)
        if known is None or known.subject is None:
            raise DraftError(f"{party} is no registered party that speaks for a subject")
        try:
            biller = Biller(known.subject, self.registry, self.setting(file.parent), allowed)
            return contents_of(file.read_text(), biller)
        except OSError as error:
            raise EnvironmentFault(f"{file} can't be read: {error}") from error
        except ValueError as error:
            raise DraftError(str(error)) from error

    def _reversal(self, words: Mapping[str, Any], party: str) -> dict[str, Any]:
        """What takes the party's submission of a number back, with the proof that it stands."""
        if words.keys() != set(REVERSAL) or type(words["number"]) is not int or type(words["reason"]) is not str:
            raise WordingError("a reversal states the number of the submission that it takes back, and a reason")
        past = past_of(LedgerCopy(self.data, self.channel, self.member), party)
        try:
            return past.reversal(words["number"], words["reason"])
        except KeyError as error:
            raise WordingError(
                f"number: nothing of {party} stands under {words['number']}, or none to take back"
            ) from error

    def _stated(self, kind: str, words: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """A content of words, with what follows from them, or from the book, where they leave it out."""
        follows = _FOLLOWS.get(kind)
        if follows is None or {*follows.fields, *(name.removesuffix("_g") for name in follows.fields)} & words.keys():
            return content_of(kind, words, self.setting(folder))
        content = content_of(kind, {**words, **dict.fromkeys(follows.fields, 0)}, self.setting(folder))
        try:
            return {**content, **follows.computed(content, self)}
        except ValueError as error:
            raise WordingError(f"{follows.fields[0]}: isn't stated, and can't be computed: {error}") from error


def _activity(content: Mapping[str, Any], desk: Desk) -> dict[str, int]:
    """The emission that the rule of activity data gives."""
    quantity = Fraction(content["quantity"], 10 ** content["scale"])
    rule = rule_from({field["name"]: field["value"] for field in content["rule"]})
    factors, allowed = desk.registry.factors, content["allowed"]
    return {"emission_g": activity_g(quantity, content["unit"], rule, factors, allowed)}


def _allocation(content: Mapping[str, Any], desk: Desk) -> dict[str, int]:
    """What benchmarks and outputs give, less the cut."""
    if not content["outputs"]:
        raise ValueError("there are no outputs")
    parts = (content["outputs"], desk.registry.factors, content["share_percent"], content["allowed"])
    return {"amount_g": max(0, allocation_g(content["year"], *parts) - content["cut_g"])}


def _closing(content: Mapping[str, Any], desk: Desk) -> dict[str, int]:
    return closing_figures(desk.book, content["subject"], content["year"])


class _Follows(NamedTuple):
    """Fields that follow from the others of a content, all of them or none left out."""

    fields: tuple[str, ...]
    computed: Callable[[Mapping[str, Any], Desk], dict[str, int]]


_FOLLOWS = {
    "activity": _Follows(("emission_g",), _activity),
    "allocation": _Follows(("amount_g",), _allocation),
    "closing": _Follows(("shortfall_g", "banked_g", "expired_g", "net_sold_g"), _closing),
}


def written(kind: str, content: Mapping[str, Any], party: str, number: int) -> Draft:
    """The draft of a content, with a salt of its own."""
    return Draft(submission.body_of(party, number, kind, content, secrets.token_bytes(submission.SALT_BYTES)))
