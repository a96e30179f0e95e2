"""Quix Streams: one message a reading, checked, counted and summed by window, kept in its RocksDB with a changelog."""

from quixstreams import Application
from quixstreams.dataframe.windows import Count, Sum
from reading import Job
from shape import WINDOW_MS


def main(job: Job) -> None:
    app = Application(
        broker_address=job.bootstrap,
        consumer_group=job.target,
        auto_offset_reset="earliest",
        state_dir=job.folder / "state",
        loglevel="WARNING",
    )
    source = app.topic(job.source, key_deserializer="str", value_deserializer="bytes")
    target = app.topic(job.target, key_serializer="str", value_serializer="json")
    readings = app.dataframe(source).apply(job.read).filter(lambda reading: reading is not None)
    readings = readings.set_timestamp(lambda reading, key, at, headers: reading["at"])
    windows = readings.tumbling_window(WINDOW_MS).agg(count=Count(), sum=Sum("value"))
    windows.final().to_topic(target)
    app.run()


if __name__ == "__main__":
    main(Job.of_arguments())
