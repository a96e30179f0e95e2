"""One table of rates, each beside a floor or a peer that was measured in the same run: `make bench`."""

import argparse
import os
import platform
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import psutil

from tests.benchmarks import (
    accounts,
    committee,
    edge,
    hj212,
    ingest,
    latency,
    memory,
    pipeline,
    points,
    verification,
    webhooks,
)
from tests.sinks import bench as sink

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
START, END = "<!-- measured -->\n", "<!-- end -->\n"


class Row(NamedTuple):
    """One line: what was measured, its rate, and what stands beside it with its rate in the same unit."""

    what: str
    rate: float
    unit: str
    beside: str
    other: float
    note: str = ""

    def __str__(self) -> str:
        ratio = self.rate / self.other
        shown = f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"
        return (
            f"| {self.what} | {self.rate:,.0f} {self.unit} | {self.beside}: {self.other:,.0f} | {shown} | {self.note} |"
        )


def _edge() -> Iterator[Row]:
    kept, backlog = edge.run()
    note = f"CPU {kept.cpu_us:.0f} µs an arrival of {edge.POINTS} readings; {kept.group:.0f} share a sync"
    what, beside = "live gateway, arrivals made durable", "appended to a file in groups of that size, fdatasync"
    yield Row(what, kept.rate, "arrivals/s", beside, kept.floor, note)
    before, most = backlog.memory
    note = f"{backlog.readings:,} readings of {edge.DEVICES} devices in {backlog.seconds:.1f} s; "
    note += f"{backlog.disk_bytes:.0f} bytes a reading on disk; memory {before:.0f} MiB before, {most:.0f} at most"
    rate, real = backlog.readings / backlog.seconds, backlog.readings / edge.DAY_SECONDS
    yield Row("live gateway, a day's backlog to a broker", rate, "readings/s", "in real time", real, note)


def _hj212() -> Iterator[Row]:
    stored, bare, echo = hj212.run()
    beside = "asyncio's echo of the same bytes"
    for one, kept in ((stored, "answered once on disk"), (bare, "with a keep that does nothing")):
        note = f"CPU a frame {1e6 / one.cpu_rate:.0f} µs, the echo's {1e6 / echo.cpu_rate:.0f}"
        yield Row(f"HJ 212, {hj212.LOGGERS:,} loggers, {kept}", one.rate, "frames/s", beside, echo.rate, note)


def _ingest() -> Iterator[Row]:
    bare, ours, naive = (row["readings_per_s"] for row in ingest.run())
    what = "ingest, one worker, packets of 900 readings"
    yield Row(what, ours, "readings/s", "bare loop of salts, hashes and trees, no broker", bare)
    yield Row(what, ours, "readings/s", "a naive Faust agent, one event a reading", naive)


def _points() -> Iterator[Row]:
    few, *more = points.run()
    for one in more:
        note = f"CPU a reading {one.ingest_us:.1f} µs in ingest, {one.aggregate_us:.1f} in aggregate"
        yield Row(
            f"ingest and aggregate, {one.points:,} points",
            one.rate,
            "readings/s",
            f"{few.points} points",
            few.rate,
            note,
        )


def _committee() -> Iterator[Row]:
    alone = "the same batches through the same broker to seven bare readers"
    for what, beside, settings in (
        (
            "every member recomputing the evidence, batches of 288 records",
            "the evidence half alone, seven times over the cores",
            {},
        ),
        ("records alone, batches of 288", alone, {"judged": False}),
        ("records alone, batches of 960", alone, {"judged": False, "points": 40, "days": 30}),
    ):
        found = committee.measure(**settings)
        note = f"{found.record_bytes:.0f} bytes a record, {found.records_per_block:.0f} records a block, CPU a record "
        note += f"{found.cpu_us:.0f} µs in each member; at half the rate latency p50 {found.p50_ms:.0f} ms, "
        note += f"p99 {found.p99_ms:.0f} ms"
        yield Row(f"committee, {what}", found.rate, "records/s", beside, found.floor, note)


def _pipeline() -> Iterator[Row]:
    for one in pipeline.run():
        yield from _whole(one)


def _whole(one: pipeline.Measured) -> Iterator[Row]:
    used = dict(one.cpu_us)
    members = sum(used.pop(name) for name in list(used) if name.startswith("member-"))
    parts = ", ".join(f"{name} {us:.1f}" for name, us in {**used, "seven members": members}.items())
    note = f"{one.shape.readings:,} readings; CPU µs a reading {sum(one.cpu_us.values()):.1f}: {parts}"
    what = f"whole pipeline, synthetic readings as {one.shape.name}"
    beside = "salts, hashes and trees alone, nine times over the cores"
    yield Row(what, one.rate, "readings/s", beside, one.floor, note)
    held = ", ".join(f"{role} {start:.0f} to {end:.0f}" for role, (start, end) in one.memory.items())
    beside = "the same packets through the broker and nothing else"
    yield Row(what, one.rate, "readings/s", beside, one.carried, f"MiB of memory: {held}")


def _latency() -> Iterator[Row]:
    found = latency.measure()
    note = f"{found.windows:,} windows of minutes at {found.offered:,.0f} readings/s, seven members"
    for name, measured, goal in (("p50", found.p50_ms, 1_000), ("p99", found.p99_ms, 2_000)):
        yield Row(f"from a window's close to its balance, {name}", measured, "ms", "the goal", goal, note)


def _sink() -> Iterator[Row]:
    found = sink.measure()
    note = f"on one core, by CPU time; {found.bytes_on_disk:.1f} bytes a reading on disk"
    what, beside = "sink, coded packets to rows", "the same Arrow blocks inserted bare"
    yield Row(what, found.rate(sink.FED), "rows/s", beside, found.rate(sink.BARE), note)


def _memory() -> Iterator[Row]:
    low, later = memory.measure(0, *memory.LIFE)
    (high,) = memory.measure(memory.HIGH - memory.LIFE[0], memory.HIGH)
    first, last = (f"{height:,}" for height in memory.LIFE)
    what, beside = "resident memory of a member", f"at height {first}"
    yield Row(
        f"{what} at height {memory.HIGH:,}", high, "MiB", beside, low, f"the last {first} real, the rest filled in"
    )
    yield Row(f"{what} at height {last}", later, "MiB", beside, low, "one life, one packet and one record a height")


def _verification() -> Iterator[Row]:
    for found in verification.run():
        what, beside = f"verifying a ledger offline, {found.what}", "its hashes alone"
        yield Row(what, found.rate, "records/s", beside, found.floor, "on one core, by CPU time")


def _accounts() -> Iterator[Row]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:  # memory is measured too
        measured = fresh.submit(_in_turn, accounts.run).result()
    for found in measured:
        yield Row(found.what, found.rate, found.unit, found.beside, found.floor, found.note)


def _webhooks() -> Iterator[Row]:
    measured = webhooks.run()
    for said, one in (("ten endpoints", measured.alive), ("ten endpoints, one of them dead", measured.one_dead)):
        note = (
            f"to the other nine; {webhooks.ALERTS:,} alerts of {webhooks.KEYS} keys; CPU {one.cpu_us:.0f} µs a delivery"
        )
        beside = "a bare client's requests, nothing kept"
        yield Row(f"webhooks, {said}", one.rate, "deliveries/s", beside, measured.floor, note)


def _in_turn(run: Callable[[], Iterator[accounts.Measured]]) -> list[accounts.Measured]:
    return list(run())


PARTS: dict[str, Callable[[], Iterator[Row]]] = {
    "edge": _edge,
    "hj212": _hj212,
    "ingest": _ingest,
    "points": _points,
    "committee": _committee,
    "pipeline": _pipeline,
    "latency": _latency,
    "sink": _sink,
    "memory": _memory,
    "verification": _verification,
    "accounts": _accounts,
    "webhooks": _webhooks,
}
"""The parts of the table, in its order."""


def conditions() -> str:
    """The machine, what else it was doing when the run began, and the day."""
    memory = psutil.virtual_memory().total / 2**30
    machine = f"{os.cpu_count()} cores ({platform.machine()}), {memory:.0f} GB, Python {platform.python_version()}"
    return f"{machine}; load {os.getloadavg()[0]:.1f} before the run; {datetime.now(UTC):%Y-%m-%d}."


def _identity(line: str) -> tuple[str, str]:
    """What a line measures, and beside what."""
    cells = line.split(" | ")
    return cells[0], cells[2].rpartition(":")[0]


def write(lines: list[str], *, whole: bool) -> None:
    """Keep these lines in docs/benchmarks.md; without the `whole`, each in the place of what measured the same."""
    head, _, rest = DOCUMENT.read_text().partition(START)
    old, _, tail = rest.partition(END)
    if not whole:
        kept, today = old.splitlines(), f"; measured on {datetime.now(UTC):%Y-%m-%d} |"
        places = {_identity(line): place for place, line in enumerate(kept) if line.startswith("| ")}
        for line in lines[2 + len(HEAD) :]:
            place = places.get(_identity(line), len(kept))
            kept[place : place + 1] = [line.removesuffix(" |") + today]
        lines = kept
    DOCUMENT.write_text(head + START + "\n".join(lines) + "\n" + END + tail)


HEAD = ["| what | rate | beside it | ratio | remarks |", "| --- | --- | --- | --- | --- |"]


def main() -> None:
    """Measure, print, and with --write keep."""
    arguments = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    arguments.add_argument("part", nargs="*", help=f"what to measure, all if none is named: {', '.join(PARTS)}")
    arguments.add_argument("--write", action="store_true", help="keep the lines in docs/benchmarks.md")
    asked = arguments.parse_args()
    if unknown := set(asked.part) - set(PARTS):
        arguments.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    lines = [conditions(), "", *HEAD]
    print("\n".join(lines), flush=True)
    for name in asked.part or PARTS:
        for row in PARTS[name]():
            lines.append(str(row))
            print(row, flush=True)
    if asked.write:
        write(lines, whole=not asked.part)


if __name__ == "__main__":
    main()
