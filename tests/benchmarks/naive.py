"""The way not taken, to measure against: a Faust agent, one event a reading, the same checks, one table write.

With Faust's own settings, at least once; nothing is awaited but the hand-over to the producer.
"""

import sys
from hashlib import sha256, shake_128
from pathlib import Path
from typing import Any

import faust

from carbon import factors, registry
from carbon.registry import Registry
from carbon.validation import FLAGS
from schemas import codec
from schemas.topics import METER_PARTITIONS, METER_SINGLE, Topic
from streams import faust_app

APP_ID = "carbon.naive"
OUTPUT = Topic("naive.coded", "point id", "none", "of the benchmark", METER_PARTITIONS)
CHANGELOG = Topic(f"{APP_ID}-sums-changelog", "point id", "none", "of the benchmark", METER_PARTITIONS)


def create_app(bootstrap: str, known: Registry, folder: Path) -> Any:
    app = faust.App(
        APP_ID,
        broker=f"kafka://{bootstrap}",
        key_serializer="raw",
        value_serializer="raw",
        datadir=str(folder),
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        autodiscover=False,
        consumer_auto_offset_reset="earliest",
    )
    options = {"key_type": bytes, "value_type": bytes, "partitions": METER_PARTITIONS, "default": bytes}
    sums = app.Table("sums", **options)
    output = app.topic(OUTPUT.name)

    async def handle(stream: Any) -> None:
        async for event in stream.events():
            reading = codec.decode("reading", event.value)
            key, leaf = reading["point"].encode(), code(reading, known)
            total = int(sums[key] or b"0") + int(reading["value"])
            sums[key] = str(total).encode()
            await output.send(key=key, value=leaf)

    app.agent(app.topic(METER_SINGLE), name=APP_ID, concurrency=1)(handle)
    return app


def code(reading: dict[str, Any], known: Registry) -> bytes:
    """The checks of a reading and its salted leaf hash."""
    point, at, value = known.points[reading["point"]], reading["at"], int(reading["value"])
    assert ord(reading["flag"]) in FLAGS and point.start <= at and at % (1000 * point.step_seconds) == 0
    assert point.min <= value <= point.max
    salt = shake_128(b"salt" + at.to_bytes(8, "big")).digest(16)
    body = point.key + at.to_bytes(8, "big") + value.to_bytes(8, "big") + reading["flag"].encode()
    return sha256(b"\0" + salt + body).digest()


if __name__ == "__main__":
    home = Path(sys.argv[2])
    known_ = registry.parse((home / "registry.json").read_bytes(), factors.load())
    faust_app.run(create_app(sys.argv[1], known_, home))
