"""Signed notes (C2SP signed-note) with Ed25519 signatures of type 1, and the checkpoint text (C2SP tlog-checkpoint)."""

import base64
import binascii
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from carbon import signing

ED25519 = b"\x01"
COSIGNATURE = b"\x04"
"""Type of a witness's key (C2SP tlog-cosignature, Ed25519 with a time)."""


class NoteError(ValueError):
    """A text that is not a well-formed note, or not the checkpoint that it should be."""


@dataclass(frozen=True)
class NoteKey:
    """A verifier key: `name+hash+base64(type ‖ key)`. A member's is of type 1, a witness's of type 4."""

    name: str
    key: bytes
    type: bytes = ED25519

    @cached_property
    def id(self) -> bytes:
        """The 4-byte key hash: SHA-256(name ‖ newline ‖ type ‖ key)[:4]."""
        return sha256(self.name.encode() + b"\n" + self.type + self.key).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(self.type + self.key).decode()}"

    @classmethod
    def parse(cls, text: str) -> "NoteKey":
        """The key of its text form. Raises NoteError."""
        name, _, rest = text.partition("+")
        hash_, _, encoded = rest.partition("+")
        try:
            typed = base64.b64decode(encoded, validate=True)
            key = cls(name, typed[1:])
            id_ = key.id
        except ValueError as error:
            # what is no base64, no ASCII, or no UTF-8
            raise NoteError(f"verifier key {text!r}: {error}") from error
        if typed[:1] != ED25519 or len(key.key) != 32 or id_.hex() != hash_ or not _is_name(name):
            raise NoteError(f"not an Ed25519 verifier key of type 1: {text!r}")
        return key


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(c.isspace() for c in name)


def checkpoint_text(origin: str, size: int, root: bytes, height: int, block: bytes, epoch: int) -> str:
    """The checkpoint body that members sign: origin, tree size, root; height, block digest and epoch as extensions."""
    extensions = f"height {height}\nblock {base64.b64encode(block).decode()}\nepoch {epoch}\n"
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n{extensions}"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint body in its parts; root and block are 32 bytes."""

    origin: str
    size: int
    root: bytes
    height: int
    block: bytes
    epoch: int


def parse_checkpoint(text: str) -> Checkpoint:
    """The parts of a checkpoint body. Raises NoteError for anything that `checkpoint_text` would not have written."""
    try:
        origin, size, root, height, block, epoch, end = text.split("\n")
        numbers = [int(part.removeprefix(word)) for part, word in ((height, "height "), (epoch, "epoch "))]
        hashes = [base64.b64decode(part, validate=True) for part in (root, block.removeprefix("block "))]
        checkpoint = Checkpoint(origin, int(size), hashes[0], numbers[0], hashes[1], numbers[1])
    except ValueError as error:
        raise NoteError(f"not a checkpoint: {error}") from error
    if end or checkpoint_text(*vars(checkpoint).values()) != text or {len(h) for h in hashes} != {32}:
        raise NoteError("not a checkpoint in its canonical form")
    return checkpoint


def signature_line(key: NoteKey, signature: bytes) -> str:
    """One signature line of a note."""
    return f"— {key.name} {base64.b64encode(key.id + signature).decode()}\n"


def assemble(text: str, signatures: Iterable[tuple[NoteKey, bytes]]) -> str:
    """The signed note of a text and its signatures."""
    return text + "\n" + "".join(signature_line(key, signature) for key, signature in signatures)


def split(note: str) -> tuple[str, list[str]]:
    """Text and signature lines of a note. Raises NoteError."""
    try:
        note.encode()
    except UnicodeEncodeError as error:
        raise NoteError(f"a note is UTF-8: {error}") from error
    text, mark, lines = note.partition("\n\n")
    if not mark or not lines.endswith("\n") or not text:
        raise NoteError("a note is a text, an empty line and signature lines")
    return text + "\n", lines[:-1].split("\n")


def signers(
    note: str, keys: Sequence[NoteKey], verify: Callable[[bytes, bytes, bytes], bool] = signing.verify_raw
) -> tuple[str, list[int]]:
    """Text of a note, and the places in `keys` of its signers, in the note's order.

    Stricter than the format asks: every line must be by a key of `keys`, valid, and no key twice. Raises NoteError.
    """
    text, found = signatures(note, keys)
    for place, signature in found:
        if not verify(keys[place].key, text.encode(), signature):
            raise NoteError(f"the signature of {keys[place].name} is wrong")
    places = [place for place, _ in found]
    if len(set(places)) != len(places):
        raise NoteError("a member signed twice")
    return text, places


def signatures(note: str, keys: Sequence[NoteKey]) -> tuple[str, list[tuple[int, bytes]]]:
    """Text of a note, and (place in `keys`, signature) of each line, unverified. Raises NoteError."""
    text, lines = split(note)
    return text, [_signature(line, keys) for line in lines]


def _signature(line: str, keys: Sequence[NoteKey]) -> tuple[int, bytes]:
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteError(f"signature line {line!r}: {error}") from error
    if dash != "—" or len(data) != 4 + signing.SIGNATURE_BYTES or base64.b64encode(data).decode() != encoded:
        raise NoteError(f"not a signature line: {line!r}")
    for place, key in enumerate(keys):
        if (key.name, key.id) == (name, data[:4]):
            return place, data[4:]
    raise NoteError(f"{name} is not a member's key")
