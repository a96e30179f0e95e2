"""What becomes of a frame, without IO: whose it is, what is to be kept of it, and what is answered once it is.

A message of a device that is not registered, or with a wrong password, is refused, and so is one that can't be read: it
is counted by its reason and not answered. The standard gives uploads one answer, 9014, and that says the data is there;
QnRtn 3 and 4 (PW, MN wrong) are for requests of the other direction.
"""

from collections import Counter
from collections.abc import Sequence
from secrets import compare_digest
from typing import NamedTuple

from streams.edge.sources import Arrival
from streams.edge.sources.hj212.devices import Catalogue, Device
from streams.edge.sources.hj212.message import Message, MessageError, parse, receipt
from streams.edge.sources.hj212.parts import Parts, Whole


class Received(NamedTuple):
    """What is to be kept first, if anything, and what is answered then, if anything."""

    arrival: Arrival | None
    answer: bytes | None


class _Registered:
    def __init__(self, device: Device) -> None:
        self.password = device.password.get_secret_value().encode()
        self.catalogue = Catalogue(device)
        self.parts = Parts() if device.split == "joined" else None


class Reception:
    """All registered devices, whichever connection they come by. `counts` says what has become of their frames."""

    def __init__(self, devices: Sequence[Device], counts: Counter[str]) -> None:
        self._devices = {device.mn: _Registered(device) for device in devices}
        self._counts = counts

    def receive(self, raw: bytes, now: float) -> Received:
        """What to do about a whole frame; `now` in seconds. Raises MessageError for what is refused."""
        message = parse(raw)
        device = self._device(message)
        kind = message.kind
        if kind == "upload":
            return self._upload(message, device, now)
        if kind == "other":
            raise MessageError("command_not_spoken", f"command {message.cn}")
        self._counts[f"{kind}s"] += 1
        return Received(None, receipt(message))

    def _device(self, message: Message) -> _Registered:
        device = self._devices.get(message.mn)
        if device is None:
            raise MessageError("unknown_device", f"{message.mn} is not registered")
        if not compare_digest(device.password, message.pw.encode()):
            raise MessageError("wrong_password", f"not the password of {message.mn}")
        return device

    def _upload(self, message: Message, device: _Registered, now: float) -> Received:
        whole: Whole | None = Whole(message.raw, message.data)
        if message.parts > 1 and device.parts is not None:
            before = device.parts.dropped
            whole = device.parts.add(message, now)
            self._counts["parts_missing"] += device.parts.dropped - before
        if whole is None:
            self._counts["parts_waiting"] += 1
            return Received(None, None)
        measured = device.catalogue.read(message.cn, whole.data)
        self._counts["readings"] += len(measured.readings)
        self._counts["uploads_unread"] += not measured.readings
        self._counts["codes_unread"] += measured.codes_unread
        return Received(Arrival(message.mn, whole.raw, measured.readings), receipt(message))
