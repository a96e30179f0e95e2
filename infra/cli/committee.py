"""The commands about the committee: who its members are, epoch after epoch, and how they are changed.

A change goes `keygen` (whoever gets new keys), `propose`, `approve` (each institution by itself), `submit`.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.evidence import genesis_of, json_of
from infra.cli.ledger import copy_of, this_channel
from infra.cli.output import Form, Output, show
from infra.errors import EnvironmentFault

if TYPE_CHECKING:
    from consensus.log.committee import Committee
    from infra.committee import Draft

CHECK_FAILED = 1
WAIT_SECONDS = 60
EARLIEST = 200
"""Heights from the newest to the first of the new epoch by default: time enough to gather signatures."""

app = typer.Typer(no_args_is_help=True, help="The members of the committee, epoch after epoch, and their change.")

Epoch = Annotated[int | None, typer.Option(min=0, help="Epoch; default: the newest that the ledger knows.")]
Copy = Annotated[int, typer.Option("--member", help="Whose copy of the ledger to read.")]
DraftFile = Annotated[Path, typer.Argument(metavar="FILE", help="The change, as `committee propose` made it.")]


def _refuse(reason: object) -> typer.Exit:
    print(f"carbonledger: {reason}", file=sys.stderr)
    return typer.Exit(CHECK_FAILED)


def _known(member: int) -> tuple[tuple["Committee", ...], list[Any]]:
    """The committees of all epochs and the chain that shows them; before the first block those of the genesis."""
    from consensus.log.follower import LedgerError

    try:
        copy = copy_of(member)
        return copy.committees(), list(copy.epochs)
    except EnvironmentFault:
        return (this_channel().genesis.committee,), []
    except LedgerError as error:
        raise _refuse(error) from error


def _chosen(committees: tuple["Committee", ...], epoch: int | None) -> "Committee":
    if epoch is None:
        return committees[-1]
    if epoch >= len(committees):
        raise _refuse(f"the ledger knows no epoch {epoch}, only 0 to {len(committees) - 1}")
    return committees[epoch]


@app.command("vkeys")
def vkeys(
    epoch: Epoch = None,
    member: Copy = 0,
    chain: Annotated[
        Path | None, typer.Option(help="Read no ledger: check this file, made with --output json, offline.")
    ] = None,
    genesis: Annotated[Path | None, typer.Option(help="The genesis file; needed with --chain.")] = None,
    output: Output = Form.TABLE,
) -> None:
    """Print the signed-note verifier key of each member of an epoch, one a line.

    With --output json also the chain of certified records that leads from the genesis to that epoch: whoever holds the
    genesis checks it offline, with --chain.

    \b
      carbonledger committee vkeys > committee.vkeys
      carbonledger committee vkeys --epoch 1 --output json > epoch-1.json
      carbonledger committee vkeys --chain epoch-1.json --genesis genesis.json
    """
    from consensus.log import proof

    if chain is None:
        committees, links = _known(member)
    elif genesis is None:
        raise typer.BadParameter("--chain is checked with the genesis alone: name it with --genesis")
    else:
        try:
            links = json_of(chain)["epochs"]
            committees = proof.committees(links, genesis_of(genesis))
        except (proof.ProofRefused, KeyError, TypeError) as error:
            raise _refuse(f"the chain of epochs does not hold: {error}") from error
    found = _chosen(committees, epoch)
    keys = [str(key) for key in found.note_keys]
    if output is Form.JSON:
        row = {"epoch": found.epoch, "first": found.first, "vkeys": keys, "epochs": links[: found.epoch]}
        print(json.dumps(row, indent=1, ensure_ascii=False))
    else:
        print("\n".join(keys))


@app.command("list")
def members(epoch: Epoch = None, member: Copy = 0, output: Output = Form.TABLE) -> None:
    """List the members of an epoch with their roles, and the first height that they certify.

    \b
      carbonledger committee list
      carbonledger committee list --epoch 0 --output json
    """
    found = _chosen(_known(member)[0], epoch)
    rows = [
        {"epoch": found.epoch, "first": found.first, "index": m.index, "name": m.name, "role": m.role}
        | {"note_key": str(m.note_key)}
        for m in found.members
    ]
    show(rows, output, ("epoch", "first", "index", "name", "role", "note_key"))


@app.command("keygen")
def keygen(
    process: Annotated[str, typer.Argument(help="The member's process, such as member-3; member-7 for a newcomer.")],
    name: Annotated[str, typer.Option(help="Institution; default: as which the process stands in the committee.")] = "",
    role: Annotated[str, typer.Option(help="What it is; default as for the name.")] = "",
) -> None:
    """Make a new pair of keys for a member here, and print its card: name, role and public keys, for `propose`.

    The keys wait in the channel's folder, readable by their owner only. The old ones are destroyed by the member itself
    when the epoch begins in which they no longer stand.

    \b
      carbonledger committee keygen member-3 > card.json
      carbonledger committee keygen member-7 --name utility-8 --role "power company" > card.json
    """
    from consensus.log.committee import Member
    from consensus.log.note import NoteKey
    from infra import channel as channels

    channel, committees = this_channel(), _known(0)[0]
    held = channels.member_keys(channel.folder, process)
    places = [pair.index_in(committees[-1]) for pair in held]
    known = next((committees[-1].members[place] for place in places if place is not None), None)
    name, role = name or (known.name if known else ""), role or (known.role if known else "")
    if not name or not role:
        raise typer.BadParameter(f"{process} is no member of epoch {committees[-1].epoch}: give --name and --role")
    vote, note = channels.new_pair(channel.folder, process)
    note_key = NoteKey(f"carbonledger/{channel.genesis.channel}/{name}", note)
    print(json.dumps(Member(0, name, role, vote, note_key).card, indent=2))


@app.command("propose")
def propose(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write the change.")],
    replace: Annotated[list[str], typer.Option(metavar="INDEX=CARD", help="New keys, or another member.")] = [],  # noqa: B006
    add: Annotated[list[Path], typer.Option(metavar="CARD", help="One more member.")] = [],  # noqa: B006
    remove: Annotated[list[int], typer.Option(metavar="INDEX", help="A member that leaves.")] = [],  # noqa: B006
    first: Annotated[int | None, typer.Option(help="First height of the new epoch; default: 200 from now.")] = None,
    member: Copy = 0,
) -> None:
    """Write a change of the committee to a file, for the members to approve.

    \b
      carbonledger committee propose change.json --replace 3=card.json
      carbonledger committee propose change.json --add card.json --first 5000
      carbonledger committee propose change.json --remove 6 --add card.json
    """
    from infra import committee as changes

    copy = copy_of(member)
    committees, height = copy.committees(), copy.newest().height
    if committees[-1].first > height:
        raise _refuse(f"epoch {committees[-1].epoch} begins at height {committees[-1].first}: one change at a time")
    try:
        replaced = {int(index): changes.read_card(Path(path)) for index, _, path in (r.partition("=") for r in replace)}
        added = [changes.read_card(path) for path in add]
        number = 1 + max(copy.changes, default=0)
        change = changes.changed(committees[-1], number, first or height + EARLIEST, replaced, added, remove)
    except (changes.DraftError, ValueError) as error:
        raise typer.BadParameter(str(error)) from error
    draft = changes.Draft(this_channel().genesis.digest, change)
    file.write_text(draft.dump())
    needed = _needs(draft, committees[-1])
    print(f"{file}: epoch {change.committee.epoch} from height {change.committee.first}; {needed}", file=sys.stderr)


def _needs(draft: "Draft", now: "Committee") -> str:
    """In words, which signatures a change still needs."""
    from consensus import membership

    lacking = now.quorum - len(draft.approvals)
    silent = [i for i in membership.newcomers(draft.change.committee, now) if i not in draft.consents]
    names = ", ".join(draft.change.committee.members[i].name for i in silent)
    words = [f"{lacking} approvals"] if lacking > 0 else []
    words += [f"the consent of {names}"] if silent else []
    return f"needs {' and '.join(words)}" if words else "can be submitted"


@app.command("approve")
def approve(
    file: DraftFile,
    process: Annotated[str, typer.Option("--as", help="The member's process, such as member-3: its keys sign.")],
    member: Copy = 0,
) -> None:
    """Approve a change of the committee with a member's keys, and consent to it with keys that are new.

    Read the file first: it names all members of the next epoch and its first height, and that is what is signed.

    \b
      carbonledger committee approve change.json --as member-3
    """
    from infra import channel as channels

    committees, draft = _open(file, member)
    now = committees[-1]
    done = draft.sign(now, channels.member_keys(this_channel().folder, process))
    if not done:
        raise _refuse(f"{process} holds no keys that this change needs")
    file.write_text(draft.dump())
    print(f"{', '.join(done)}; {_needs(draft, now)}", file=sys.stderr)


def _open(file: Path, member: int) -> tuple[tuple["Committee", ...], "Draft"]:
    """The committees that the ledger knows, and the change of the last of them."""
    from infra import committee as changes

    committees = _known(member)[0]
    try:
        draft = changes.Draft.load(file.read_text(), this_channel().genesis.digest)
    except OSError as error:
        raise EnvironmentFault(f"{file} can't be read: {error}") from error
    except changes.DraftError as error:
        raise typer.BadParameter(f"{file}: {error}") from error
    if draft.change.committee.epoch != len(committees):
        raise _refuse(f"the change begins epoch {draft.change.committee.epoch}, the ledger's next is {len(committees)}")
    return committees, draft


@app.command("submit")
def submit(file: DraftFile, member: Copy = 0) -> None:
    """Hand an approved change to the committee, and wait for its verdict. Needs a running `up`.

    Exit code 0 when it is recorded, 1 when it lacks signatures or was refused, with the reason.

    \b
      carbonledger committee submit change.json
    """
    import time

    from carbon.refusal import label
    from consensus import membership

    committees, draft = _open(file, member)
    refusal = membership.refusal(draft.record, draft.change.number, draft.channel, committees)
    if refusal:
        raise _refuse(f"{label(refusal)}: it {_needs(draft, committees[-1])}")
    produce(membership.proposal(draft.record), membership.STREAM)
    number, deadline = draft.change.number, time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        copy = copy_of(member)
        copy.committees()
        if number in copy.changes:
            height, reason = copy.changes[number]
            if reason:
                raise _refuse(f"refused at height {height}: {label(reason)}")
            first = draft.change.committee.first
            print(f"recorded at height {height}: epoch {draft.change.committee.epoch} begins with height {first}")
            return
        time.sleep(1)
    raise EnvironmentFault(f"not decided within {WAIT_SECONDS} s: see 'carbonledger status', then submit it again")


def produce(message: bytes, key: str) -> None:
    """Put a change on records.proposed. Raises EnvironmentFault."""
    from confluent_kafka import Producer

    from infra import runfile, settings
    from infra.topics import unreachable
    from schemas import topics

    own = settings.load()
    client = own.client(own.bootstrap or runfile.running(own.data).bootstrap)
    producer = Producer(client | {"log_level": "0", "message.timeout.ms": "10000"})
    producer.produce(topics.RECORDS_PROPOSED, message, key, partition=this_channel().genesis.partition)
    if producer.flush(15):
        raise unreachable(client, Exception("the broker did not take the change"))
