"""What the peers do with one message before they count it. Runs in their environment: nothing of this project is there.

A message is an Ed25519 signature (64 bytes) ‖ JSON of point, at (ms UTC), value (integer) and flag.
"""

import sys
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

_FLAGS = frozenset("NFMSDCTBX")


class Job(NamedTuple):
    """What a peer is started with: the broker, its topics, a folder of its own, and the points to check against."""

    bootstrap: str
    source: str
    target: str
    folder: Path
    points: dict[str, Any]
    verified: bool

    @classmethod
    def of_arguments(cls) -> "Job":
        """The job of this process."""
        bootstrap, source, target, folder = sys.argv[1:]
        settings = orjson.loads((Path(folder) / "settings.json").read_bytes())
        points = settings["points"]
        for point in points.values():
            point["key"] = VerifyKey(bytes.fromhex(point["key"]))
        return cls(bootstrap, source, target, Path(folder), points, settings["verified"])

    def read(self, message: bytes) -> dict[str, Any] | None:
        """The reading of a message; None for one that breaks a rule."""
        try:
            reading = orjson.loads(memoryview(message)[64:])
            point, at, value = self.points[reading["point"]], reading["at"], reading["value"]
            if self.verified:
                point["key"].verify(message[64:], message[:64])
        except (ValueError, KeyError, TypeError, BadSignatureError):
            return None
        known = type(at) is int and type(value) is int and reading["flag"] in _FLAGS
        if known and point["start"] <= at and not at % point["step_ms"] and point["min"] <= value <= point["max"]:
            return reading
        return None
