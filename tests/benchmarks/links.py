"""Bytes a reading in a frame, beside the packet's column bytes and plain JSON, and what that is worth on a link.

    python -m tests.benchmarks.links [--write]

SimBench's loads are quarter hours of the units of its Load table (Wh), as energies and as the register that adds them
up; the water flow is River's WaterFlow, hourly, in hundredths of a litre a second. One point a frame. With --write the
tables go to docs/links.md.
"""

import csv
import json
import random
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import accumulate, islice
from pathlib import Path

from river.datasets import WaterFlow

from streams.edge import links, modem
from streams.edge.links import HOUR_MS
from streams.edge.modem import Measured
from streams.edge.sources import simbench

DOCUMENT = Path(__file__).parents[2] / "docs" / "links.md"
START, END = "<!-- measured -->\n", "<!-- end -->\n"
PACKET_BYTES = 19
UNITS, DAYS = 20, 30


def loads() -> list[list[Measured]]:
    """The first 30 days of 20 units of SimBench's Load table, drawn once, in Wh."""
    units = random.Random(1).sample(sorted(simbench.units("Load").values()), UNITS)
    with simbench.path("LoadProfile").open(newline="") as file:
        rows = csv.reader(file, delimiter=";")
        places = {name: place for place, name in enumerate(next(rows))}
        table = list(islice(rows, DAYS * 96))
    factors = [(places[unit.column], Decimal(unit.rating) * simbench.WH_PER_MW_STEP) for unit in units]
    return [
        _series([int(Decimal(row[place]) * factor) for row in table], simbench.STEP_MS) for place, factor in factors
    ]


def registers(series: Sequence[Sequence[Measured]]) -> list[list[Measured]]:
    """The same as the registers of meters that add it up."""
    return [_series(list(accumulate(r.value for r in one)), simbench.STEP_MS) for one in series]


def water() -> list[list[Measured]]:
    """River's WaterFlow, hourly."""
    return [_series([round(100 * float(value)) for _, value in WaterFlow()], HOUR_MS)]


def _series(values: Sequence[int], step: int) -> list[Measured]:
    return [Measured(0, simbench.FIRST_MS + step * n, value) for n, value in enumerate(values)]


def as_json(reading: Measured) -> bytes:
    """A reading as meters send it in JSON, with a short point id."""
    fields = {"point": "meter-001/active", "at": reading.at, "value": reading.value, "flag": chr(reading.flag)}
    return json.dumps(fields, separators=(",", ":")).encode()


def filled(series: Sequence[Measured], size: int) -> Iterator[tuple[bytes, int]]:
    """The series in full frames of up to `size` bytes: each with its number of readings."""
    link = links.Link("x", payload_bytes=size, count=modem.MAX_READINGS, age_ms=1 << 60)
    place, number = 0, 0
    while isinstance(leaves := links.depart(link, number, series[place : place + 512], 0, 0), links.Departure):
        yield leaves.frame, leaves.taken
        place, number = place + leaves.taken, number + 1


def size_table(data: dict[str, list[list[Measured]]]) -> Iterator[str]:
    """Bytes a reading by frame size, beside the packet's columns and JSON."""
    sizes = sorted({*links.LORA_PAYLOAD.values(), 340})
    yield "| series | JSON | packet | " + " | ".join(f"frame {size}" for size in sizes) + " |"
    yield "| --- |" + " --- |" * (2 + len(sizes))
    for name, series in data.items():
        plain = sum(len(as_json(r)) for one in series for r in one) / sum(map(len, series))
        cells = []
        for size in sizes:
            made = [found for one in series for found in filled(one, size)]
            for frame, count in made:
                assert len(modem.decode(frame).readings) == count
            cells.append(f"{sum(len(frame) for frame, _ in made) / sum(count for _, count in made):.2f}")
        yield f"| {name} | {plain:.1f} | {PACKET_BYTES} | {' | '.join(cells)} |"


def packers() -> dict[str, Callable[[bytes], bytes]]:
    """What could be laid over a body: nothing, raw deflate, and others where they are installed."""

    def deflate(body: bytes) -> bytes:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        return packer.compress(body) + packer.flush()

    found: dict[str, Callable[[bytes], bytes]] = {"none": bytes, "deflate": deflate}
    try:
        from backports import zstd

        found["zstd 19"] = lambda body: zstd.compress(body, 19)
    except ImportError:
        pass
    return found


def packer_table(data: dict[str, list[list[Measured]]]) -> Iterator[str]:
    """Bytes a reading of bodies of 24 and 384 readings under each packer alone."""
    names = packers()
    yield "| series | readings | " + " | ".join(names) + " |"
    yield "| --- | --- |" + " --- |" * len(names)
    for name, series in data.items():
        for count in (24, 384):
            chunks = [one[at : at + count] for one in series for at in range(0, len(one) - count + 1, count)]
            bodies = [modem._body(1, chunk) for chunk in chunks]
            sizes = [sum(len(pack(body)) for body in bodies) / count / len(bodies) for pack in names.values()]
            yield f"| {name} | {count} | " + " | ".join(f"{size:.2f}" for size in sizes) + " |"


def lora_table(data: dict[str, list[list[Measured]]]) -> Iterator[str]:
    """What an hour bears at each spreading factor, by full frames of the loads."""
    series = data["SimBench loads"]
    yield "| link | frame, bytes | on air, ms | frames an hour | readings an hour | as JSON, one a frame |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for spreading, size in links.LORA_PAYLOAD.items():
        made = [found for one in series[:10] for found in filled(one, size)]
        on_air = links.lora_airtime(size + links.LORAWAN_BYTES, spreading)
        hourly = HOUR_MS * 10 // on_air
        readings = sum(count for _, count in made) / len(made)
        text = len(as_json(series[0][0]))
        alone = HOUR_MS * 10 // links.lora_airtime(text + links.LORAWAN_BYTES, spreading) if text <= size else 0
        beside = f"{alone:,}" if alone else f"does not fit ({text} bytes)"
        yield (
            f"| LoRa SF{spreading} | {size} | {on_air / 1000:.0f} | {hourly} | {hourly * readings:,.0f} | {beside} |"
        )


def left(link: links.Link, series: Sequence[Measured]) -> Iterator[tuple[bytes, int]]:
    """The frames in which a series leaves over a link, each reading given when it is due, with their readings."""
    waiting, sent, number, now = list[Measured](), tuple[links.Sent, ...](), 0, series[0].at
    for reading in [*series, None]:
        while True:
            outcome = links.depart(link, number, waiting, waiting[0].at if waiting else 0, now, sent)
            if isinstance(outcome, links.Departure):
                yield outcome.frame, outcome.taken
                waiting, sent, number = waiting[outcome.taken :], outcome.sent, number + 1
            elif outcome.until is None or (reading is not None and outcome.until >= reading.at):
                break
            else:
                now = outcome.until
        if reading is not None:
            waiting.append(reading)
            now = reading.at


def profile_table(data: dict[str, list[list[Measured]]]) -> Iterator[str]:
    """Bytes a reading as frames leave, by age where they don't fill."""
    profiles = [
        ("wired, 1 s", links.WIRED),
        ("LoRa SF9, 1 h", links.lora(9)),
        ("LoRa SF9, 6 h", links.lora(9, 6 * HOUR_MS)),
        ("LoRa SF12, 6 h", links.lora(12, 6 * HOUR_MS)),
        ("satellite, 1 d", links.satellite(None)),
    ]
    yield "| profile, age | readings a frame | " + " | ".join(data) + " | with the link's own |"
    yield "| --- | --- |" + " --- |" * (len(data) + 1)
    for name, link in profiles:
        made = {key: [found for one in series for found in left(link, one)] for key, series in data.items()}
        counts = {key: sum(count for _, count in frames) for key, frames in made.items()}
        sizes = {key: sum(len(frame) for frame, _ in frames) for key, frames in made.items()}
        key = next(iter(made))
        whole = (sizes[key] + len(made[key]) * link.overhead_bytes) / counts[key]
        cells = " | ".join(f"{sizes[key] / counts[key]:.2f}" for key in made)
        yield f"| {name} | {counts[key] / len(made[key]):.1f} | {cells} | {whole:.2f} |"


def lines() -> Iterator[str]:
    """All four tables."""
    series = loads()
    data = {
        "SimBench loads": series,
        "SimBench loads as registers": registers(series),
        "River's WaterFlow": water(),
    }
    yield from size_table(data)
    yield ""
    yield from profile_table(data)
    yield ""
    yield from packer_table(data)
    yield ""
    yield from lora_table(data)


def main() -> None:
    """Measure, print, and with --write keep."""
    text = "\n".join(lines()) + "\n"
    print(text)
    if "--write" in sys.argv:
        head, _, rest = DOCUMENT.read_text().partition(START)
        DOCUMENT.write_text(head + START + text + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
