"""`carbonledger meter`: what a direct meter does, by hand or from a script."""

import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infra.errors import EnvironmentFault

if TYPE_CHECKING:
    from streams.edge.field import FieldModem, FieldSettings
    from streams.edge.sources.mqtt import Broker

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Send readings as a direct meter does.")


@app.command("send")
def send(
    point: Annotated[str, typer.Argument(help="The point's id, or by MQTT the name that the gateway knows it by.")],
    value: Annotated[str, typer.Argument(help="A decimal number in the point's unit; after -- when it is negative.")],
    at: Annotated[str | None, typer.Option(help="Event time, ms UTC or ISO 8601 with an offset. Default: now.")] = None,
    flag: Annotated[str, typer.Option(help="HJ 212 data flag.")] = "N",
    mqtt: Annotated[
        str | None, typer.Option(help="HOST[:PORT] of an MQTT broker; default: Kafka's meter.single.")
    ] = None,
    topic: Annotated[str | None, typer.Option(help="The meter's topic on the MQTT broker.")] = None,
    username: Annotated[str | None, typer.Option(help="Of the MQTT broker.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="A file that holds the password alone.")] = None,
    ca_file: Annotated[Path | None, typer.Option(help="TLS, with this authority.")] = None,
) -> None:
    """Send one reading and wait until it is taken. Sent twice it counts once, so try again after exit code 3.

    It is signed by the gateway that receives it, which attests no more than that it came. docs/direct-meters.md.

    \b
      carbonledger meter send shop-1/grid 12.50 --at 2026-01-01T00:15:00Z
      carbonledger meter send grid 12.50 --mqtt broker.example:8883 --topic meters/shop-1 \\
        --username shop-1 --password-file secret --ca-file ca.pem
    """
    import asyncio

    from streams.edge import meter
    from streams.edge.message import RefusedError

    try:
        payload = meter.message(point, _instant(at), Decimal(value), flag)
    except (RefusedError, InvalidOperation) as error:
        raise typer.BadParameter(f"no reading: {error}") from None
    broker = _broker(mqtt, topic, username, password_file, ca_file)
    try:
        if broker is not None and topic is not None:
            asyncio.run(meter.send_by_mqtt(broker, topic, payload))
        else:
            _by_kafka(point, payload)
    except (meter.NotTakenError, OSError) as error:
        raise EnvironmentFault(f"not taken, send it again: {error}") from None


@app.command("modem")
def modem(
    config: Annotated[Path, typer.Option(help="The modem's settings, JSON or YAML.")],
) -> None:
    """Send readings from standard input as a modem does: in small numbered frames, as its link bears.

    Each line is a message of docs/direct-meters.md. A frame leaves when it is full or old enough, within the duty
    cycle or the windows of the link; at the end of the input readings wait for no others. What was given and not sent
    is in the state file: after Ctrl-C or exit code 3 start it again. docs/links.md.

    \b
      carbonledger meter modem --config modem.yaml < readings.jsonl

    \b
    A whole modem.yaml, of a gas meter's register by LoRa:
      link: {kind: lora, spreading: 9, age: 3600}     # or kind: wired, kind: satellite
      state: modem.json
      broker: {host: broker.example, username: modem-7, password_file: secret}
      topic: application/1/device/70b3d57ed0000007/event/up
      field: data
      points: [{point: gas, scale: 2}]

    \b
    Exit codes: 0 all has left, 2 a line or the settings are wrong, 3 the rest waits in the state file.
    """
    import asyncio

    from streams.edge import field
    from streams.edge.modem import FrameError

    def say(what: str) -> None:
        print(f"carbonledger: {what}", file=sys.stderr, flush=True)

    try:
        settings = field.load(config)
        sender = field.FieldModem(settings.link.link(), settings.state)
        refused = asyncio.run(_relay(settings, sender, say))
    except (field.SettingsError, FrameError) as error:
        raise typer.BadParameter(str(error)) from None
    except (OSError, ValueError, TypeError) as error:
        raise EnvironmentFault(f"{config}: {error}") from None
    if sender.waiting:
        raise EnvironmentFault(f"{len(sender.waiting)} readings wait in {settings.state}: no window is left")
    if refused:
        raise typer.Exit(2)


async def _relay(settings: "FieldSettings", sender: "FieldModem", say: Callable[[str], None]) -> int:
    import asyncio
    from threading import Thread

    from streams.edge.field import relay

    lines: asyncio.Queue[bytes | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        with suppress(RuntimeError):
            for line in chain(sys.stdin.buffer, [None]):
                loop.call_soon_threadsafe(lines.put_nowait, line)

    # a thread that nobody waits for, nothing interrupts a read of standard input; it may outlive the loop
    Thread(target=read, daemon=True).start()
    return await relay(settings, sender, lines, say)


def _instant(text: str | None) -> int:
    from streams.edge.message import instant_of

    if text is None:
        # whole seconds: no point has a finer step
        return int(datetime.now(UTC).timestamp()) * 1000
    return instant_of(text)


def _broker(
    mqtt: str | None, topic: str | None, username: str | None, password_file: Path | None, ca_file: Path | None
) -> "Broker | None":
    from pydantic import ValidationError

    from streams.edge.sources.mqtt import Broker, Tls

    if mqtt is None:
        if topic or username or password_file or ca_file:
            raise typer.BadParameter("--topic, --username, --password-file and --ca-file go with --mqtt")
        return None
    if topic is None:
        raise typer.BadParameter("--mqtt goes with --topic")
    host, _, port = mqtt.partition(":")
    tls = Tls(ca_file=ca_file) if ca_file is not None else None
    fields = {"host": host, "port": port or (8883 if tls else 1883)}
    try:
        return Broker.model_validate(fields | {"username": username, "password_file": password_file, "tls": tls})
    except ValidationError as error:
        raise typer.BadParameter("; ".join(wrong["msg"] for wrong in error.errors())) from None


def _by_kafka(point: str, payload: bytes) -> None:
    from infra import services, settings
    from streams.edge.meter import send_by_kafka

    send_by_kafka(services.client(settings.load()), point, payload)
