"""Messages, without IO: what a segment says, and what is answered to it (HJ 212-2017, 6.3.2 and table 9).

    QN=…;ST=…;CN=…;PW=…;MN=…;Flag=…;PNUM=…;PNO=…;CP=&&data&&

Flag is `V5 … V0 D A`: version, parts numbered, answer wanted. Devices of the 2005 edition may leave out QN and Flag;
then nothing is answered. Fields that the standard has not are let through, for provinces add some (RF=1 for what is
sent again).

The password stands in every segment in plain text. What is kept of a frame goes to a topic that others read, so it is
the frame without the password's characters, with the length and checksum that it then has: whoever knows the password
puts it back and has the frame as it was sent. The checksum that was sent would tell a part of it.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, NamedTuple

from streams.edge.sources.hj212.frame import frame, segment_of

EDITION_2005, EDITION_2017, EDITION_2025 = range(3)
"""The version bits of Flag."""
MAX_FIELDS = 16
DATA_RECEIVED, NOTIFIED = 9014, 9013
INTERACTION = 91
"""System code (ST) of answers."""
_CLOCK_WANTED, _HEARTBEAT = 1013, 9015
_ANSWERS = range(9011, 9015)
_UPLOADS = range(2000, 4000)

_FIELDS = {
    "QN": r"\d{17}",
    "ST": r"[0-9A-Z]{2}",
    "CN": r"\d{4}",
    "PW": r"[0-9A-Za-z]{0,32}",
    "MN": r"[0-9A-Za-z_-]{1,32}",
    "Flag": r"\d{1,3}",
    "PNUM": r"\d{1,4}",
    "PNO": r"\d{1,4}",
}
_KNOWN = {name: re.compile(pattern, re.ASCII) for name, pattern in _FIELDS.items()}
_OTHER = re.compile(r"[0-9A-Za-z]{1,12}=[ -~]{0,32}", re.ASCII)
_NEEDED = ("ST", "CN", "PW", "MN")


class MessageError(ValueError):
    """A segment that is refused. `reason` is the name that it is counted under."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


Kind = Literal["upload", "notification", "answer", "other"]
"""What a device's command is: something to keep, something to hear of, an answer, or a command not spoken here."""


class Message(NamedTuple):
    """What one frame says. `qn` is empty where the device gives none; a whole message is part 1 of 1.

    `raw` is the frame without its password: what is kept.
    """

    raw: bytes
    qn: str
    st: str
    cn: int
    pw: str
    mn: str
    version: int
    answer_wanted: bool
    part: int
    parts: int
    data: str

    @property
    def kind(self) -> Kind:
        """What the command is, when it comes from a device (table 9; 9015 is of 2025)."""
        if self.cn in _UPLOADS:
            return "upload"
        if self.cn in (_CLOCK_WANTED, _HEARTBEAT):
            return "notification"
        return "answer" if self.cn in _ANSWERS else "other"


def parse(raw: bytes) -> Message:
    """The message of a whole frame. Raises MessageError `malformed`, `wrong_flag` or `wrong_part`."""
    segment = segment_of(raw)
    try:
        text = segment.decode()
    except UnicodeDecodeError as error:
        raise MessageError("malformed", "the segment is no UTF-8") from error
    head, found, data = text.partition("CP=&&")
    if not found or not data.endswith("&&") or "&&" in data[:-2]:
        raise MessageError("malformed", "no data section between && and &&")
    fields = _fields(head)
    flag = int(fields.get("Flag", 0))
    if flag >> 2 > EDITION_2025:
        raise MessageError("wrong_flag", f"Flag {flag}: no edition that is known")
    part, parts = _part(fields, bool(flag & 2))
    return Message(
        raw=_without(fields["PW"], segment),
        qn=fields.get("QN", ""),
        st=fields["ST"],
        cn=int(fields["CN"]),
        pw=fields["PW"],
        mn=fields["MN"],
        version=flag >> 2,
        answer_wanted=bool(flag & 1),
        part=part,
        parts=parts,
        data=data[:-2],
    )


def _without(password: str, segment: bytes) -> bytes:
    """The frame of a segment whose field PW has that value, without it."""
    return frame((b";" + segment).replace(f";PW={password};".encode(), b";PW=;", 1)[1:])


def _fields(head: str) -> Mapping[str, str]:
    pairs = head.split(";", MAX_FIELDS + 1)
    if pairs.pop() or len(pairs) > MAX_FIELDS:
        raise MessageError("malformed", f"the fields do not end before CP, or are more than {MAX_FIELDS}")
    fields: dict[str, str] = {}
    for place, pair in enumerate(pairs, 1):
        name, value = _field(pair)
        if not name or name in fields:
            # not the field itself, which may be a password that lacks its name
            raise MessageError("malformed", f"field {place} comes twice, or is not allowed")
        fields[name] = value
    for name in _NEEDED:
        if name not in fields:
            raise MessageError("malformed", f"no field {name}")
    return fields


@lru_cache(maxsize=1 << 14)
def _field(pair: str) -> tuple[str, str]:
    """Name and value, no name for what is not allowed; of a logger's fields all but QN are the same each time."""
    name, _, value = pair.partition("=")
    known = _KNOWN.get(name)
    is_allowed = known.fullmatch(value) if known else _OTHER.fullmatch(pair)
    return (name, value) if is_allowed else ("", "")


def _part(fields: Mapping[str, str], numbered: bool) -> tuple[int, int]:
    part, parts = int(fields.get("PNO", 1)), int(fields.get("PNUM", 1))
    stated = "PNO" in fields and "PNUM" in fields
    if not 1 <= part <= parts or (numbered and not stated) or (parts > 1 and not numbered):
        raise MessageError(
            "wrong_part", f"part {part} of {parts}, where Flag says {'parts' if numbered else 'a whole'}"
        )
    return part, parts


def compose(fields: Mapping[str, object], data: str = "") -> bytes:
    """The frame of a message. `fields` are those before CP, in order."""
    head = "".join([f"{name}={value};" for name, value in fields.items()])
    return frame(f"{head}CP=&&{data}&&".encode())


def answer(message: Message, command: int, data: str = "") -> bytes:
    """The answer 9011 … 9014 to a message: the same QN, MN and PW, system 91, the asker's edition, nothing asked.

    The 2005 edition names QN and command in the data (second-hand: B), where 2017 has QN in front (annex C: A).
    """
    fields = _answering(command, message.pw, message.mn, message.version)
    if message.version == EDITION_2005:
        known = [f"QN={message.qn}"] * bool(message.qn)
        data = ";".join([*known, f"CN={message.cn}", *[data] * bool(data)])
    elif message.qn:
        fields = f"QN={message.qn};{fields}"
    return frame(f"{fields}CP=&&{data}&&".encode())


@lru_cache(maxsize=1 << 12)
def _answering(command: int, pw: str, mn: str, version: int) -> str:
    return f"ST={INTERACTION};CN={command};PW={pw};MN={mn};Flag={version << 2};"


def receipt(message: Message) -> bytes | None:
    """The answer to an upload that is kept, or to a notification; None where none is wanted or defined."""
    command = {"upload": DATA_RECEIVED, "notification": NOTIFIED}.get(message.kind)
    return answer(message, command) if command and message.answer_wanted else None
