"""Carbon codes: `<prefix>/<subject>.<object>.<time>.<hash>`, subject × object × time, sealed by a content hash.

The prefix has the shape country.industry.enterprise of the industrial-internet identifier resolution system
(YD/T 4495-2023 family); until a second-level node grants one, it is a private one under 99. Time is an instant for a
reading, start with ISO 8601 duration for a record, the time of its block for a submission, whose object is its kind; in
ISO 8601 basic format, UTC. The hash is 16 bytes (128 bits) in hex of a *salted* digest, so that a published code opens
nothing by guessing.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

HASH_BYTES = 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ID = r"[a-z0-9][a-z0-9-]*"
_CODE = re.compile(
    rf"(?P<prefix>\d+(?:\.\d+)*)/(?P<subject>{_ID})\.(?P<object>{_ID})"
    r"\.(?P<time>\d{8}T\d{6}(?:\d{3})?Z)(?:-PT(?P<seconds>\d+)S)?\.(?P<hash>[0-9a-f]{32})"
)


class CodeError(ValueError):
    """A text that is not a carbon code."""


@dataclass(frozen=True)
class CarbonCode:
    """A carbon code in its parts. `at_ms` is UTC; `window_seconds` is None but for a record; `hash` is 16 bytes."""

    prefix: str
    subject: str
    object: str
    at_ms: int
    window_seconds: int | None
    hash: bytes

    def __str__(self) -> str:
        span = "" if self.window_seconds is None else f"-PT{self.window_seconds}S"
        return f"{self.prefix}/{self.subject}.{self.object}.{instant(self.at_ms)}{span}.{self.hash.hex()}"


def instant(at_ms: int) -> str:
    """A time in ms UTC in ISO 8601 basic format; the milliseconds only where there are any."""
    moment = _EPOCH + timedelta(milliseconds=at_ms)
    millis = f"{at_ms % 1000:03d}" if at_ms % 1000 else ""
    return f"{moment:%Y%m%dT%H%M%S}{millis}Z"


def reading_code(prefix: str, subject: str, object_: str, at_ms: int, hash_: bytes) -> str:
    """Code of a reading; `hash_` is (the first 16 bytes of) its evidence leaf hash."""
    return str(CarbonCode(prefix, subject, object_, at_ms, None, hash_[:HASH_BYTES]))


def record_code(prefix: str, subject: str, object_: str, start_ms: int, seconds: int, hash_: bytes) -> str:
    """Code of a record; `hash_` is (the first 16 bytes of) its payload's commitment."""
    return str(CarbonCode(prefix, subject, object_, start_ms, seconds, hash_[:HASH_BYTES]))


def submission_code(prefix: str, subject: str, kind: str, at_ms: int, hash_: bytes) -> str:
    """Code of a submission in a block of that time; `hash_` is (the first 16 bytes of) its payload's commitment."""
    return str(CarbonCode(prefix, subject, kind, at_ms, None, hash_[:HASH_BYTES]))


def is_id(text: str) -> bool:
    """Whether a text can stand in a code as a subject or an object."""
    return re.fullmatch(_ID, text) is not None


def parse(text: str) -> CarbonCode:
    """The parts of a code. Raises CodeError."""
    match = _CODE.fullmatch(text)
    if match is None:
        raise CodeError(f"not a carbon code: {text!r} (wanted <prefix>/<subject>.<object>.<time>.<32 hex digits>)")
    time = match["time"]
    try:
        moment = datetime.strptime(time[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError as error:
        raise CodeError(f"no such time in {text!r}") from error
    at_ms = (moment - _EPOCH) // timedelta(milliseconds=1) + int(time[15:-1] or 0)
    seconds = int(match["seconds"]) if match["seconds"] else None
    return CarbonCode(match["prefix"], match["subject"], match["object"], at_ms, seconds, bytes.fromhex(match["hash"]))
