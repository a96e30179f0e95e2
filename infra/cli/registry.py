"""The commands about the registry: what was registered from which height on, what changed, and how it is changed.

A change goes `propose` (a file in plain words), `submit` (its registrar signs it).
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.committee import CHECK_FAILED, EARLIEST, WAIT_SECONDS, Copy, produce
from infra.cli.ledger import copy_of, this_channel
from infra.cli.output import Form, Output, show
from infra.errors import EnvironmentFault

if TYPE_CHECKING:
    from carbon.registry import Registry
    from infra.registration import Draft, History

app = typer.Typer(
    no_args_is_help=True, help="Points, gateways, submitters and their keys, height by height, and their change."
)

Pairs = list[str]
ONE = "A height, for the registry in force there, or a registry's file."
Entry = tuple[str, dict[str, Any]]
"""A section of the registry, and an entry for it."""


def refuse(reason: object) -> typer.Exit:
    """Say why a check failed; the exit to raise."""
    print(f"carbonledger: {reason}", file=sys.stderr)
    return typer.Exit(CHECK_FAILED)


def history_of(member: int) -> "History":
    """The registries that a member's copy of the ledger leads to. Raises EnvironmentFault."""
    from consensus.log.follower import LedgerError
    from infra import registration

    try:
        return registration.history(copy_of(member))
    except LedgerError as error:
        raise refuse(error) from error


@app.command("show")
def show_registry(
    height: Annotated[int | None, typer.Option(min=0, help="The one in force at this height, as its file.")] = None,
    member: Copy = 0,
    output: Output = Form.TABLE,
) -> None:
    """List the registries that the ledger knows, or print the file of one.

    \b
      carbonledger registry show
      carbonledger registry show --height 5000 > registry.json
    """
    found = history_of(member)
    if height is not None:
        sys.stdout.write(found.registries[found.at(height)].file.decode())
        return
    rows = [
        {"from": first, "recorded": found.recorded[first], "in_force": first == found.at(found.height + 1)}
        | {"points": len(r.points), "gateways": len(r.gateways), "digest": r.digest.hex()}
        for first, r in sorted(found.registries.items())
    ]
    show(rows, output, ("from", "recorded", "in_force", "points", "gateways", "digest"))


@app.command("diff")
def diff(
    before: Annotated[str, typer.Argument(metavar="A", help=ONE)],
    after: Annotated[str, typer.Argument(metavar="B", help=ONE)],
    member: Copy = 0,
    output: Output = Form.TABLE,
) -> None:
    """List what changed between two registries: entries that are new or gone, and each changed field of the others.

    Says which points the change closes: their windows that were recorded before are corrected no more.

    \b
      carbonledger registry diff 0 5000
      carbonledger registry diff 5000 registry.json --output json
    """
    from carbon import amendment
    from carbon.comparison import differences

    was, stands = (_registry(name, member) for name in (before, after))
    rows = [found._asdict() for found in differences(was, stands)]
    if output is Form.TABLE:
        rows = [row | {side: _text(row[side]) for side in ("before", "after")} for row in rows]
    show(rows, output, ("section", "id", "what", "field", "before", "after"))
    if not (was.points.keys() <= stands.points.keys() and was.gateways.keys() <= stands.gateways.keys()):
        print("points or gateways are gone: the second does not follow from the first", file=sys.stderr)
    elif closed := amendment.closed(was, stands):
        print(f"closed to corrections: {', '.join(closed)}", file=sys.stderr)


def _registry(name: str, member: int) -> "Registry":
    """The registry in force at a height, or of a file; standard error says which."""
    from carbon import factors
    from carbon import registry as registries

    if name.isascii() and name.isdigit():
        history = history_of(member)
        first = history.at(int(name))
        found, said = history.registries[first], f"height {name}, in force from {first}"
    else:
        try:
            found, said = registries.parse(Path(name).read_bytes(), factors.load()), name
        except OSError as error:
            raise EnvironmentFault(f"{name} can't be read: {error}") from error
        except registries.RegistryError as error:
            raise typer.BadParameter(f"{name} can't be used: {error}") from error
    print(f"{said}, digest {found.digest.hex()}", file=sys.stderr)
    return found


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@app.command("propose")
def propose(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the change.")],
    put: Annotated[Pairs, typer.Option(metavar="SECTION=ENTRY", help="A file with an entry, new or changed.")] = [],  # noqa: B006
    drop: Annotated[Pairs, typer.Option(metavar="SECTION=ID", help="A submitter, operator or registrar goes.")] = [],  # noqa: B006
    rotate: Annotated[Pairs, typer.Option(metavar="GATEWAY=KEY", help="Its next run has this public key (hex).")] = [],  # noqa: B006
    revoke: Annotated[list[str], typer.Option(metavar="GATEWAY", help="Its key counts no more.")] = [],  # noqa: B006
    first: Annotated[int | None, typer.Option(help="First height at which it is in force; default: 200 on.")] = None,
    member: Copy = 0,
) -> None:
    """Write a change of the registry to a file, for its registrar to read and sign.

    Says which points it closes: their windows that are recorded before are corrected no more.

    \b
      carbonledger registry propose change.json --put points=boiler-2.json
      carbonledger registry propose change.json --revoke gateway-3
      carbonledger registry propose change.json --rotate gateway-3=91c4… --first 5000
    """
    from infra import registration

    def entries(now: "Registry") -> list[Entry]:
        found = [_entry(*_pair(text)) for text in put]
        found += [registration.rotated(now, name, bytes.fromhex(key)) for name, key in map(_pair, rotate)]
        return found + [registration.revoked(now, name) for name in revoke]

    write_draft(file, entries, [_pair(text) for text in drop], first, member)


def write_draft(
    file: Path,
    entries: Callable[["Registry"], list[Entry]],
    drops: list[tuple[str, str]],
    first: int | None,
    member: int,
) -> None:
    """Write the change that puts what `entries` makes of the registry in force, and drops the others."""
    from carbon.registry import RegistryError
    from infra import registration

    found = history_of(member)
    base = found.at(found.height + 1)
    if max(found.registries) != base:
        raise refuse(f"another registry comes at height {max(found.registries)}: one change at a time")
    now, number = found.registries[base], 1 + max(found.decided, default=0)
    channel, begins = this_channel().genesis.digest, first or found.height + EARLIEST
    try:
        draft = registration.Draft(channel, number, base, begins, tuple(entries(now)), tuple(drops))
        change = draft.change(now)
    except (registration.DraftError, RegistryError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    file.write_text(draft.dump())
    closed = f"; closed to corrections: {', '.join(change.closed)}" if change.closed else ""
    print(f"{file}: in force from height {begins}, digest {change.digest.hex()}{closed}", file=sys.stderr)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r}: write NAME=VALUE")
    return name, value


def _entry(section: str, path: str) -> Entry:
    try:
        return section, dict(json.loads(Path(path).read_text()))
    except OSError as error:
        raise EnvironmentFault(f"{path} can't be read: {error}") from error


@app.command("submit")
def submit(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The change, as `registry propose` made it.")],
    registrar: Annotated[str, typer.Option(help="Your id in the registry.")],
    seed_file: Annotated[Path, typer.Option(help="Your key, 32 bytes in hex, readable by you alone.")],
    member: Copy = 0,
) -> None:
    """Sign a change of the registry, hand it to the committee, and wait for its verdict. Needs a running `up`.

    Read the file first: it says what is put and dropped, and that is what is signed. Exit code 0 when it is recorded,
    1 when it was refused, with the reason.

    \b
      carbonledger registry submit change.json --registrar authority --seed-file authority.seed
    """
    from carbon.refusal import label
    from carbon.registry import RegistryError
    from consensus import registration as rules
    from infra import channel, registration

    found = history_of(member)
    try:
        draft = registration.Draft.load(file.read_text(), this_channel().genesis.digest)
        change = draft.change(found.registries[draft.base])
    except OSError as error:
        raise EnvironmentFault(f"{file} can't be read: {error}") from error
    except (registration.DraftError, RegistryError, KeyError) as error:
        raise typer.BadParameter(f"{file}: {error}") from error
    now = found.registries[draft.base]
    record = rules.signed(change, registrar, channel.read_seed(seed_file), draft.channel)
    refusal = rules.refusal(record, draft.number, draft.base, draft.channel, now)
    if refusal:
        raise refuse(f"{label(refusal)}: {seed_file} is not the key of the registrar {registrar}")
    produce(rules.proposal(record), rules.STREAM)
    _wait(draft, member)


def _wait(draft: "Draft", member: int) -> None:
    import time

    from carbon.refusal import label

    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        decided = history_of(member).decided
        if draft.number in decided:
            height, reason = decided[draft.number]
            if reason:
                raise refuse(f"refused at height {height}: {label(reason)}")
            print(f"recorded at height {height}: in force from height {draft.first}")
            return
        time.sleep(1)
    raise EnvironmentFault(f"not decided within {WAIT_SECONDS} s: see 'carbonledger status', then submit it again")
