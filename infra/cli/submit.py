"""The command `submit`: brings what no meter says before the committee, and waits for its verdict."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from carbon.refusal import label
from infra.cli.committee import CHECK_FAILED, WAIT_SECONDS, Copy, produce
from infra.cli.ledger import this_channel
from infra.cli.output import Form, Output, show
from infra.errors import EnvironmentFault

if TYPE_CHECKING:
    from infra.channel import Channel
    from infra.drafts import Desk, Draft
    from infra.submitting import Decided, Forecast

KINDS = "kinds"
ATTEMPTS = 3
"""Numbers that a batch is brought under, where somebody else's came first."""

POLL_SECONDS = 0.2

_Files = Annotated[list[str] | None, typer.Argument(metavar="FILE...", help="TOML or JSON; or: kinds [KIND].")]


class _Asked(NamedTuple):
    party: str
    seed_file: Path | None
    dry_run: bool
    anyway: bool
    member: int
    csv: Path | None
    allowed: tuple[str, ...]


_Named = tuple[str, "Draft"]
"""A submission, and where it was written."""


def submit(
    files: _Files = None,
    party: Annotated[str, typer.Option(help="Who submits, by the id in the registry; default: `party` in FILE.")] = "",
    seed_file: Annotated[
        Path | None,
        typer.Option(help="The party's key, 32 bytes in hex, readable by you alone; default: keys/party-ID."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would come of it, and send nothing.")] = False,
    prepare: Annotated[Path | None, typer.Option(help="Write it here, signed, for the other side to sign too.")] = None,
    countersign: Annotated[Path | None, typer.Option(help="Sign what another party prepared, in its file.")] = None,
    csv: Annotated[Path | None, typer.Option(help="A year of bills, one a row, of the party's subject.")] = None,
    allow: Annotated[
        list[str], typer.Option(metavar="ROW", help="A factor row of confidence D that bills may use.")
    ] = [],  # noqa: B006
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Send what this machine's copy says will be refused.")
    ] = False,
    member: Copy = 0,
    output: Output = Form.TABLE,
) -> None:
    """Submit what no meter says: allowances, trades, plans, output, bills, verifications, decisions.

    FILE says its kind and the kind's fields in plain words. It is signed with the party's key, judged by the copy of
    the ledger on this machine, brought before the committee, and its verdict awaited. Several files go together, in
    their order; what this copy refuses is not sent. Exit code 1 when something is refused, with the rule.

    \b
      carbonledger submit kinds                       what may be submitted, and by whom
      carbonledger submit kinds output                the fields of one kind
      carbonledger submit output.toml --party coal-north --dry-run
      carbonledger submit output.toml --party coal-north

    \b
    output.toml:
      kind = "output"
      subject = "coal-north"
      period = "2016-03"
      product = "electricity"
      quantity = "151200.5 MWh"
      document = "march.pdf"

    \b
    A year of bills, one a row, and a transfer, which both sides sign:
      carbonledger submit --csv bills.csv --party bakeries
      carbonledger submit sale.toml --party coal-north --prepare sale.json
      carbonledger submit --countersign sale.json --party coal-south
      carbonledger submit sale.json --party coal-north
    """
    if files and files[0] == KINDS:
        _kinds(files[1:], output)
    elif countersign is not None:
        _countersign(countersign, party, seed_file)
    elif not files and csv is None:
        raise typer.BadParameter("name a FILE, or 'kinds'")
    else:
        asked = _Asked(party, seed_file, dry_run, anyway, member, csv, tuple(allow))
        _submit([Path(file) for file in files or ()], asked, prepare, output)


def _kinds(names: list[str], output: Form) -> None:
    from carbon import wording
    from carbon.submission import ROLES
    from schemas import codec

    if not names:
        rows = [
            {"kind": kind, "by": ", ".join(roles), "what": codec.schema_json(f"submission-{kind}")["doc"]}
            for kind, roles in ROLES.items()
        ]
        show(rows, output, ("kind", "by", "what"))
        return
    for name in names:
        if name not in ROLES:
            raise typer.BadParameter(f"no kind {name!r}: one of {', '.join(ROLES)}")
    columns = ("kind", "field", "write", "meaning")
    show(
        (dict(zip(columns, (kind, *row), strict=True)) for kind in names for row in wording.fields_of(kind)),
        output,
        columns,
    )


def _refuse(reason: object) -> typer.Exit:
    print(f"carbonledger: {reason}", file=sys.stderr)
    return typer.Exit(CHECK_FAILED)


def _seed(channel: "Channel", party: str, seed_file: Path | None) -> bytes:
    from infra import channel as channels

    return channels.read_seed(seed_file or channel.seed_file(channels.party_key(party)))


def _countersign(path: Path, party: str, seed_file: Path | None) -> None:
    from infra import drafts

    channel = this_channel()
    if not party:
        raise typer.BadParameter("--party says who signs")
    try:
        draft = drafts.Draft.load(drafts.words_of(path), channel.genesis.digest)
    except drafts.DraftError as error:
        raise typer.BadParameter(f"{path}: {error}") from error
    draft.sign(party, _seed(channel, party, seed_file), channel.genesis.digest)
    path.write_text(draft.dump(channel.genesis.digest))
    print(f"{path}: signed by {', '.join(draft.signatures)}", file=sys.stderr)


def _submit(files: list[Path], asked: _Asked, prepare: Path | None, output: Form) -> None:
    from infra import settings, submitting
    from infra.drafts import Desk

    channel, data = this_channel(), settings.load().data
    with submitting.ledger_of(data, channel, asked.member) as ledger:
        desk = Desk(channel, ledger.registry, ledger.book, data, asked.member)
        named = _drafts(files, asked, desk, dict(ledger.book.numbers))
        drafts = [draft for _, draft in named]
        if prepare is not None:
            _prepare(drafts, prepare, channel)
            return
        at_ms = max(submitting.now_ms(), ledger.time_ms)
        payloads = [draft.payload for draft in drafts]
        said = submitting.forecast(payloads, channel, ledger.registry, ledger.book, at_ms)
    rows = [{"reason": int(one.refusal), "posts": _posts(one)} for one in said]
    if not asked.dry_run and (asked.anyway or not any(one.refusal for one in said)):
        party = asked.party or drafts[0].stated.party
        rows = _bring(drafts, party, _seed(channel, party, asked.seed_file), asked.member)
    rows = [_row(*one) | _verdict(row) for one, row in zip(named, rows, strict=True)]
    _show(rows, output)
    if any(row["verdict"] != "accepted" for row in rows):
        raise typer.Exit(CHECK_FAILED)


def _drafts(files: list[Path], asked: _Asked, desk: "Desk", numbers: dict[str, int]) -> list[_Named]:
    """The submissions of the files and of the bills: prepared ones as they are, others numbered on and signed."""
    from carbon.wording import WordingError
    from consensus.log.follower import LedgerError
    from infra.drafts import DraftError

    found: list[_Named] = []
    try:
        for file in files:
            found.append((str(file), _of_file(file, asked, desk, numbers)))
        if asked.csv is not None:
            file = asked.csv
            found += _of_bills(file, asked, desk, numbers)
    except (DraftError, WordingError) as error:
        raise typer.BadParameter(f"{file}: {error}") from error
    except LedgerError as error:
        raise _refuse(error) from error
    return found


def _of_file(file: Path, asked: _Asked, desk: "Desk", numbers: dict[str, int]) -> "Draft":
    from infra.drafts import Draft, DraftError, words_of

    words = words_of(file)
    if "body" in words:
        return Draft.load(words, desk.channel.genesis.digest)
    party = asked.party or str(words.get("party", ""))
    if not party:
        raise DraftError("--party says who submits it")
    return _signed(desk.draft(words, party, _next(numbers, party), file.parent), party, asked, desk)


def _of_bills(file: Path, asked: _Asked, desk: "Desk", numbers: dict[str, int]) -> list[_Named]:
    from infra.drafts import DraftError, written

    if not asked.party:
        raise DraftError("--party says whose bills these are")
    contents = desk.bills(file, asked.party, asked.allowed)
    drafts = [written("activity", content, asked.party, _next(numbers, asked.party)) for content in contents]
    return [(f"{file}: bill {n}", _signed(draft, asked.party, asked, desk)) for n, draft in enumerate(drafts, 1)]


def _next(numbers: dict[str, int], party: str) -> int:
    numbers[party] = numbers.get(party, 0) + 1
    return numbers[party]


def _signed(draft: "Draft", party: str, asked: _Asked, desk: "Desk") -> "Draft":
    draft.sign(party, _seed(desk.channel, party, asked.seed_file), desk.channel.genesis.digest)
    return draft


def _prepare(drafts: list["Draft"], path: Path, channel: "Channel") -> None:
    if len(drafts) != 1:
        raise typer.BadParameter("--prepare takes one FILE")
    path.write_text(drafts[0].dump(channel.genesis.digest))
    print(f"{path}: signed by {', '.join(drafts[0].signatures)}; the other side adds --countersign", file=sys.stderr)


def _row(file: str, draft: "Draft") -> dict[str, Any]:
    stated = draft.stated
    return {"file": file, "kind": stated.kind, "party": stated.party, "number": stated.number}


def _verdict(row: dict[str, Any]) -> dict[str, Any]:
    """What was decided, or would be, in words."""
    from infra.advice import advice

    reason = row["reason"]
    words = {"verdict": "refused" if reason else "accepted", "reason": label(reason), "advice": advice(reason) or None}
    return row | words


def _posts(said: "Forecast") -> str | None:
    """What a submission would post, in words, in the units of the accounts."""
    lines = [f"{one.account} {'debit' if one.debit else 'credit'} {one.debit or one.credit}" for one in said.postings]
    return "; ".join(lines) or None


def _show(rows: list[dict[str, Any]], output: Form) -> None:
    told = ("height", "leaf_index", "code") if "height" in rows[0] else ("posts",)
    columns = ("file", "kind", "party", "number", "verdict", "reason", *told)
    if output is Form.JSON:
        show(rows, output, (*columns, "advice"))
        return
    show(rows, output, columns)
    for row in rows:
        if row["advice"]:
            print(f"carbonledger: {row['file']}: {row['reason']}: {row['advice']}", file=sys.stderr)


def _bring(drafts: list["Draft"], party: str, seed: bytes, member: int) -> list[dict[str, Any]]:
    """Bring drafts before the committee in batches of a party, and await the verdict on each."""
    from infra import submitting

    channel, found = this_channel(), []
    for payloads in submitting.batches([draft.payload for draft in drafts], channel.genesis.block.records):
        for _ in range(ATTEMPTS):
            decided = _batch(payloads, party, seed, channel, member)
            if decided is not None:
                break
        else:
            raise EnvironmentFault(f"somebody else submits as {party} at the same time: try again")
        found += submitting.verdicts(decided, payloads, channel.registry.prefix)
    return found


def _batch(payloads: list[bytes], party: str, seed: bytes, channel: "Channel", member: int) -> "Decided | None":
    """The block that decided a batch of these; None when another batch took its number."""
    import time

    from consensus.log.follower import LedgerError
    from infra import settings, submitting

    data = settings.load().data
    with submitting.ledger_of(data, channel, member) as ledger:
        bringing, watch = submitting.Bringing.of(payloads, party, seed, ledger), submitting.Watch(data, member, ledger)
    produce(bringing.message, bringing.stream)
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        try:
            decided = watch.decided(bringing)
        except LedgerError as error:
            raise _refuse(error) from error
        if decided is not None:
            return decided if decided.is_ours else None
        if sys.stderr.isatty():
            print(f"\rawaiting the committee's verdict, height {watch.height:,}", end="", file=sys.stderr, flush=True)
        time.sleep(POLL_SECONDS)
    raise EnvironmentFault(f"not decided within {WAIT_SECONDS} s: see 'carbonledger status', then submit it again")
