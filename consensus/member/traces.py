"""The traces of batches on their way into blocks: from the proposal that a member read to the block that it keeps."""

import time
from collections.abc import Iterable

from confluent_kafka import Message
from opentelemetry.trace import SpanContext

from schemas import codec, tracing

MOST_BLOCKS = 256
"""Blocks whose headers are remembered for their publication."""


class BlockTraces:
    """What the blocks of this life came from. Headers decide nothing; with nothing traced it stays empty."""

    def __init__(self) -> None:
        self._batches: dict[bytes, tuple[SpanContext, int]] = {}
        """The span that each batch came from, and when it was read (Unix time, ns)."""
        self._blocks: dict[int, tracing.Headers] = {}

    def read(self, digest: bytes, message: Message) -> None:
        """A batch that waits now came by this message."""
        if (parent := tracing.parent_of(message)) is not None:
            self._batches.setdefault(digest, (parent, time.time_ns()))

    def judged(self, digest: bytes, records: int) -> None:
        """The evidence half of a batch is decided."""
        if digest in self._batches:
            tracing.past("member.judge", *self._batches[digest], records=records)

    def settled(self, height: int, package: bytes) -> None:
        """A block is certified: it comes from its first batch, and is linked to the others."""
        if not self._batches:
            return
        block = codec.read("block", codec.read_first("block-package", package))
        batches = codec.read_bare("block-header", block["header"])["batches"]
        found = [self._batches[batch["digest"]] for batch in batches if batch["digest"] in self._batches]
        if found:
            (first, _), began = found[0], min(began for _, began in found)
            links = [context for context, _ in found[1:]]
            self._blocks[height] = tracing.past("member.block", first, began, links, height=height)
        while len(self._blocks) > MOST_BLOCKS:
            del self._blocks[next(iter(self._blocks))]

    def forget(self, digests: Iterable[bytes]) -> None:
        """These batches are done with."""
        for digest in digests:
            self._batches.pop(digest, None)

    def of_block(self, key: bytes) -> tracing.Headers:
        """The headers of a block's message, by its key."""
        return self._blocks.get(int.from_bytes(key, "big"), ())
