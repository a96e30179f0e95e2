"""Submissions on their way to the ledger: read from files, signed, judged on this machine's copy, brought, awaited.

What this machine's copy says of a submission is a forecast: the committee judges it again.
"""

import json
import secrets
import sqlite3
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import Any

from carbon import claims, signing, submission
from carbon.bills import Biller, contents_of
from carbon.claims.activity import activity_g
from carbon.emission import rule_from
from carbon.ledger.book import Book
from carbon.refusal import Refusal
from carbon.registry import Registry
from carbon.submission import Submission
from carbon.wording import REVERSAL, Setting, WordingError, content_of
from consensus.ledger import Ledger
from consensus.log import package as packages
from consensus.log.follower import Follower, VerifiedBlock
from consensus.member.store import read_package
from consensus.submission import STREAM, proposal
from infra.channel import Channel
from infra.copy import LedgerCopy, ReadOnly
from infra.errors import EnvironmentFault
from infra.submission import past_of
from schemas import codec

BATCH_BYTES = 512_000
"""Submissions of one batch, in bytes, unless a single one is larger."""


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
        if kind == "reversal":
            content = self._reversal(rest, party)
        elif kind == "activity" and not {"emission", "emission_g"} & rest.keys():
            content = self._computed(rest, folder)
        else:
            content = content_of(kind, rest, self.setting(folder))
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

    def _computed(self, words: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """Activity data with the emission that its rule gives."""
        content = content_of("activity", {**words, "emission_g": 0}, self.setting(folder))
        quantity = Fraction(content["quantity"], 10 ** content["scale"])
        fields = {field["name"]: field["value"] for field in content["rule"]}
        try:
            grams = activity_g(quantity, content["unit"], rule_from(fields), self.registry.factors, content["allowed"])
        except ValueError as error:
            raise WordingError(f"emission: isn't stated, and can't be computed: {error}") from error
        return {**content, "emission_g": grams}


def written(kind: str, content: Mapping[str, Any], party: str, number: int) -> Draft:
    """The draft of a content, with a salt of its own."""
    return Draft(submission.body_of(party, number, kind, content, secrets.token_bytes(submission.SALT_BYTES)))


@contextmanager
def ledger_of(data: Path, channel: Channel, member: int) -> Iterator[Ledger]:
    """A member's ledger on this machine as it stands, read beside the member. Raises EnvironmentFault."""
    path = data / "members" / str(member) / "ledger.sqlite"
    if not path.exists():
        raise EnvironmentFault(f"member {member} has no ledger in {data} yet: 'carbonledger up' makes one")
    try:
        with closing(ReadOnly(path)) as file:
            yield Ledger(channel.genesis, channel.registry, file)
    except sqlite3.Error as error:
        raise EnvironmentFault(f"the ledger in {path.parent} can't be read: {error}") from error


@dataclass(frozen=True)
class Forecast:
    """What this machine's copy says of a submission, and what it would post."""

    refusal: Refusal
    postings: Sequence[Any] = ()


def forecast(payloads: Sequence[bytes], channel: Channel, registry: Registry, book: Book, at_ms: int) -> list[Forecast]:
    """Judge submissions in their order as the committee will, in a block of that time. `book` is used up."""
    found = []
    for payload in payloads:
        refusal = claims.refusal(payload, channel.genesis.digest, registry, channel.genesis.utc_offset_minutes)
        if refusal is Refusal.PASS:
            found.append(Forecast(*book.apply(submission.read(payload), at_ms)))
        else:
            found.append(Forecast(refusal))
    return found


def batches(payloads: Sequence[bytes], most: int) -> list[list[bytes]]:
    """Payloads in their order, so many a batch, or as many as are small enough together."""
    found: list[list[bytes]] = []
    size = 0
    for payload in payloads:
        if not found or len(found[-1]) == most or size + len(payload) > BATCH_BYTES:
            found.append([])
            size = 0
        found[-1].append(payload)
        size += len(payload)
    return found


@dataclass(frozen=True)
class Bringing:
    """A batch on its way: its party's stream, its number there, its digest and its message."""

    party: str
    number: int
    digest: bytes
    message: bytes
    stream: str = STREAM

    @classmethod
    def of(cls, payloads: Sequence[bytes], party: str, seed: bytes, ledger: Ledger) -> "Bringing":
        """The next batch of a party as a ledger stands."""
        number, channel = ledger.stream_head(party, STREAM) + 1, ledger.genesis.digest
        message = proposal(payloads, party, seed, number, ledger.registry_height, channel)
        return cls(party, number, sha256(codec.decode("proposal", message)["body"]).digest(), message)


@dataclass(frozen=True)
class Decided:
    """A block with a party's batch of a number, where its first leaf stands there, and whether it is what was sent."""

    block: VerifiedBlock
    place: int
    is_ours: bool


class Watch:
    """Looks for batches in the blocks that a member's copy takes on, each verified."""

    def __init__(self, data: Path, member: int, ledger: Ledger) -> None:
        self._path = data / "members" / str(member) / "ledger.sqlite"
        self._follower = Follower(ledger.genesis, ledger.kept)

    @property
    def height(self) -> int:
        """The last height looked at."""
        return self._follower.height

    def decided(self, bringing: Bringing) -> Decided | None:
        """The block with the batch of that number; None until the copy has it. Raises LedgerError."""
        wanted = (bringing.party, bringing.stream, bringing.number)
        while (package := read_package(self._path, self._follower.height + 1)) is not None:
            block = self._follower.accept(packages.read(package).block)
            assert block is not None, "a copy holds each height once"
            place = 0
            for batch in block.header["batches"]:
                if (batch["submitter"], batch["stream"], batch["number"]) == wanted:
                    return Decided(block, place, batch["digest"] == bringing.digest)
                place += batch["records"]
        return None


def verdicts(decided: Decided, payloads: Sequence[bytes], prefix: str) -> list[dict[str, Any]]:
    """What was decided on each submission of a batch, and where it stands."""
    block, found = decided.block, []
    for leaf, payload in zip(block.leaves[decided.place :], payloads, strict=False):
        code = submission.code(submission.read(payload), leaf.leaf.commitment, block.header["time"], prefix)
        found.append({"reason": leaf.leaf.reason, "height": block.height, "leaf_index": leaf.index, "code": code})
    return found


def now_ms() -> int:
    """This machine's clock, ms UTC."""
    return time.time_ns() // 1_000_000
