"""Bytewax: one message a reading, checked a batch at a time, counted and summed by window, in memory."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import orjson
from bytewax._bytewax import cli_main
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.operators.windowing import EventClock, TumblingWindower, fold_window
from reading import Job
from shape import WINDOW_MS

Sums = tuple[int, int]
"""Count and sum."""


def flow(job: Job) -> Dataflow:
    def check(messages: list[KafkaSourceMessage]) -> Iterator[tuple[str, dict[str, Any]]]:
        for message in messages:
            if (reading := job.read(message.value)) is not None:
                yield reading["point"], reading

    def at(reading: dict[str, Any]) -> datetime:
        return datetime.fromtimestamp(reading["at"] / 1000, UTC)

    def written(windows: Iterable[tuple[str, tuple[int, Sums]]]) -> Iterator[KafkaSinkMessage]:
        for point, (number, (count, total)) in windows:
            value = {"start": number * WINDOW_MS, "count": count, "sum": total}
            yield KafkaSinkMessage(point.encode(), orjson.dumps(value))

    made = Dataflow("peer")
    messages = op.input("messages", made, KafkaSource([job.bootstrap], [job.source]))
    readings = op.flat_map_batch("check", messages, check)
    clock = EventClock(at, wait_for_system_duration=timedelta())
    windower = TumblingWindower(length=timedelta(milliseconds=WINDOW_MS), align_to=datetime(1970, 1, 1, tzinfo=UTC))
    windows = fold_window("sums", readings, clock, windower, lambda: (0, 0), _add, _merge, ordered=False)
    op.output("out", op.flat_map_batch("write", windows.down, written), KafkaSink([job.bootstrap], job.target))
    return made


def _add(sums: Sums, reading: dict[str, Any]) -> Sums:
    return sums[0] + 1, sums[1] + reading["value"]


def _merge(one: Sums, other: Sums) -> Sums:
    return one[0] + other[0], one[1] + other[1]


if __name__ == "__main__":
    cli_main(flow(Job.of_arguments()))
