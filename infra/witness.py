"""A witness on disk: its key, and in one file all that it has to remember so as never to cosign two histories."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from carbon import signing
from consensus.log import witness as deciding
from consensus.log.follower import LedgerError, Position
from consensus.log.genesis import Genesis
from consensus.log.note import COSIGNATURE, NoteKey
from consensus.log.witness import Forked, Witness
from consensus.member.evidence import FOLDER, EvidenceFolder, Kept, write
from consensus.member.wire import good
from infra import channel, verification
from infra.errors import EnvironmentFault
from schemas import codec, topics

STATE = "witness.json"


class WitnessFolder:
    """The folder of one witness of one channel. Raises EnvironmentFault when it is another's, or damaged."""

    def __init__(self, folder: Path, genesis: Genesis, name: str) -> None:
        self._folder, self._genesis = folder, genesis
        seed = folder / "witness.seed"
        if not seed.exists():
            channel.new_seed(seed)
        self._seed = channel.read_seed(seed)
        self.key = NoteKey(name, signing.public_key(self._seed), COSIGNATURE)
        self._evidence = EvidenceFolder(folder / FOLDER, genesis)
        self.witness, self.offset = self._resume()
        """`offset`: where on the topic to go on."""

    @property
    def fork(self) -> Kept | None:
        """Evidence that the ledger has forked: after it this witness cosigns nothing more."""
        return next(self._evidence.kept(), None)

    def _resume(self) -> tuple[Witness, int]:
        path = self._folder / STATE
        if not path.exists():
            return Witness(self._genesis), 0
        try:
            state = json.loads(path.read_bytes())
            position, checkpoint, offset = Position.load(state["position"]), state["checkpoint"], int(state["offset"])
            is_whole, genesis = deciding.is_of(self._genesis, position, checkpoint), state["genesis"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, AssertionError, OverflowError) as error:
            raise EnvironmentFault(f"{path} can't be read, restore it: {error!r}") from error
        if genesis != self._genesis.digest.hex():
            raise EnvironmentFault(f"{path} is of another channel: give this witness a folder of its own")
        if not is_whole:
            raise EnvironmentFault(f"{path} is damaged, restore it: its checkpoint is not that of its position")
        return Witness(self._genesis, position, checkpoint), offset

    def cosign(self, seconds: int) -> str:
        """The checkpoint with this witness's cosignature, remembered durably before anybody sees it."""
        position, checkpoint = self.witness.position, self.witness.checkpoint
        line = deciding.cosignature(self._seed, self.key, checkpoint, seconds)
        waiting = self.witness.oldest_waiting
        offset = self.offset if waiting is None else min(waiting, self.offset)
        head = {"genesis": self._genesis.digest.hex(), "offset": offset, "position": position.dump()}
        state = head | {"checkpoint": checkpoint, "cosignature": line}
        write(self._folder / STATE, json.dumps(state, indent=1, ensure_ascii=False) + "\n")
        return checkpoint + line

    def take(self, message: bytes, offset: int) -> bool:
        """Look at a message of the ledger topic; whether the position moved. Raises Forked, its evidence kept."""
        try:
            moved = self.witness.offer(message, offset)
        except Forked as error:
            self._evidence.keep(error.file)
            raise
        self.offset = offset + 1
        return moved


def blocks_of(path: Path) -> Iterator[tuple[bytes, int]]:
    """The blocks of an exported ledger with their places there. Raises LedgerError, EnvironmentFault."""
    try:
        for place, package in enumerate(verification.from_file(path)):
            yield codec.decode_bare("block-package", package)["block"], place
    except codec.CodecError as error:
        raise LedgerError(f"no export of a ledger: {error}") from error
    except OSError as error:
        raise EnvironmentFault(f"{path} can't be read: {error}") from error


def follow(
    client: dict[str, str], partition: int, offset: int, stopped: Callable[[], bool], *, once: bool
) -> Iterator[list[tuple[bytes, int]]]:
    """What comes on the ledger topic from `offset` on, with offsets; up to its end if `once`, else until `stopped`.

    Raises EnvironmentFault when the broker is away at the start, or before the end.
    """
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    own = {"group.id": "carbon.witness", "enable.auto.commit": "false", "auto.offset.reset": "earliest"}
    consumer = Consumer(client | own | {"log_level": "0"})
    try:
        end = consumer.get_watermark_offsets(TopicPartition(topics.LEDGER_BLOCKS, partition), timeout=10)[1]
        # a topic that is shorter than it was has been made anew
        place = offset if offset <= end else 0
        consumer.assign([TopicPartition(topics.LEDGER_BLOCKS, partition, place)])
        while not stopped() and not (once and place >= end):
            messages: list[Any] = list(good(consumer.consume(100, 5.0 if once else 0.5)))
            if once and not messages:
                raise EnvironmentFault("the broker stopped answering: try again")
            place = messages[-1].offset() + 1 if messages else place
            yield [(message.value() or b"", message.offset()) for message in messages]
    except KafkaException as error:
        raise EnvironmentFault(f"the broker does not answer: {error}; 'carbonledger up' starts it") from error
    finally:
        consumer.close()
