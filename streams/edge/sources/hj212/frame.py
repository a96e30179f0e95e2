"""Frames, without IO: `##` ‖ length (4 digits) ‖ segment ‖ CRC (4 hex digits) ‖ CR LF (HJ 212-2017, table 2).

A reader is given bytes as they come and gives whole frames. Whatever is between them it counts and drops. It holds no
more than one unfinished frame, and nothing depends on the pieces that the bytes come in: a segment has no line end, so
the first CR LF behind a `##` ends its frame or shows that it is none, and what follows is looked at again from there.
"""

from collections import Counter

START, END = b"##", b"\r\n"
MAX_SEGMENT = 1024
"""Bytes of a segment by the standard (table 2)."""
HIGHEST_SEGMENT = 9999
"""What four digits can say; some loggers go beyond the standard."""
_HEAD, _TAIL = 6, 6


def _shifted(register: int) -> int:
    for _ in range(8):
        register = register >> 1 ^ (0xA001 if register & 1 else 0)
    return register


_TABLE = tuple(_shifted(register) for register in range(256))
_HIGH = bytes(register >> 8 for register in _TABLE)


def crc(segment: bytes | bytearray) -> int:
    """The CRC of Annex A, 16 bits: not Modbus', for each byte meets the register's high half, and the low half is lost.

    So all that a byte hands to the next one is 8 bits, by a linear map whose eighth power is the identity: bytes that
    stand eight places apart are as good as their XOR.
    """
    if not segment:
        return 0xFFFF
    before = -len(segment) % 8
    folded = int.from_bytes(segment, "little") << 8 * before ^ 0xFF << 8 * before
    bits = 1 << (8 * (before + len(segment)) - 1).bit_length()
    while bits > 64:
        bits >>= 1
        folded = folded >> bits ^ folded & ((1 << bits) - 1)
    *first, last = folded.to_bytes(8, "little")
    high = 0
    for byte in first:
        high = _HIGH[high ^ byte]
    return _TABLE[high ^ last]


def frame(segment: bytes) -> bytes:
    """The frame of a segment. Raises ValueError for one that is too long or has a line end."""
    if len(segment) > HIGHEST_SEGMENT or END in segment:
        raise ValueError(f"a segment of {len(segment)} bytes can't be framed")
    return b"##%04d%b%04X\r\n" % (len(segment), segment, crc(segment))


def segment_of(whole: bytes) -> bytes:
    """The segment of a whole frame."""
    return whole[_HEAD:-_TAIL]


class FrameReader:
    """Bytes in, whole frames out.

    `dropped` counts by reason: `garbage_bytes` between frames; and frames of `wrong_length`, which is no number, too
    great or not where the line ends, or of `wrong_crc`.
    """

    def __init__(self, max_segment: int = MAX_SEGMENT) -> None:
        self._max = max_segment
        self._buffer = bytearray()
        self.dropped: Counter[str] = Counter()

    @property
    def pending(self) -> int:
        """Bytes that wait for the rest of their frame; at most what one frame has."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that end in `data`, whole and in order."""
        self._buffer += data
        frames: list[bytes] = []
        at = 0
        while (at := self._start(at)) >= 0:
            size = self._size(at)
            if size is None:
                break
            if size:
                frames.append(bytes(self._buffer[at : at + size]))
                at += size
            else:
                self.dropped["garbage_bytes"] += 1
                at += 1
        if at > 0:
            del self._buffer[:at]
        return frames

    def _start(self, at: int) -> int:
        """Where the next `##` begins, -1 for none; what is before it is garbage, but for a last `#`."""
        found = self._buffer.find(START, at)
        end = found if found >= 0 else len(self._buffer) - self._buffer.endswith(b"#")
        if end > at:
            self.dropped["garbage_bytes"] += end - at
        if found < 0:
            del self._buffer[:end]
        return found

    def _size(self, at: int) -> int | None:
        """Bytes of the frame that begins here; 0 for none, None while that can't be said."""
        held = len(self._buffer) - at
        if held < _HEAD:
            return None
        digits = self._buffer[at + len(START) : at + _HEAD]
        if not digits.isdigit() or (length := int(digits)) > self._max:
            return self._drop("wrong_length")
        size = _HEAD + length + _TAIL
        line_end = self._buffer.find(END, at + _HEAD, at + size)
        if line_end < 0 and held < size:
            return None
        if line_end != at + size - len(END):
            return self._drop("wrong_length")
        check = self._buffer[line_end - 4 : line_end]
        if check.upper() != b"%04X" % crc(self._buffer[at + _HEAD : line_end - 4]):
            return self._drop("wrong_crc")
        return size

    def _drop(self, reason: str) -> int:
        self.dropped[reason] += 1
        return 0
