"""The settings of a live gateway, as its JSON or YAML file states them; secrets stand in files of their own."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

import structlog
import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from carbon import factors, signing
from carbon import registry as registries
from carbon.packet import MAX_READINGS
from carbon.registry import Registry, RegistryError
from consensus.log import genesis as geneses
from consensus.log.genesis import Genesis, GenesisError
from schemas.observed import Observed
from streams import flow
from streams.edge.downlink import Downlink
from streams.edge.gateway import GatewayConfig
from streams.edge.inbox import MAX_MESSAGE, Inbox
from streams.edge.live import LiveGateway
from streams.edge.packing import PacketLimits
from streams.edge.sampling import Rule
from streams.edge.signer import Signer, read_seed
from streams.edge.sources import LiveSource
from streams.edge.sources.hj212.server import Hj212Settings, Hj212Source
from streams.edge.sources.modbus import ModbusSettings, ModbusSource
from streams.edge.sources.mqtt import MqttSettings, MqttSource
from streams.edge.store import HORIZON, REMEMBERED, RunOverError, Store
from streams.edge.terms import Stated, Terms, TermsError, terms_of

Source = Annotated[Hj212Settings | ModbusSettings | MqttSettings, Field(discriminator="kind")]
"""The settings of one source. A kind more is one more here and in `source_of`."""

MOST_COUNTED = MAX_READINGS // 3
"""A register's reading can be the end of one step and the start of the next, so a packet may hold three for one."""
_T = TypeVar("_T")
_log = structlog.get_logger(__name__)
KEEP_SECONDS = 4 * 3600
LEAST_DISK = 16 * 2**20
_SECRET_SETTINGS = ("sasl.password", "ssl.key.password", "ssl.keystore.password", "sasl.oauthbearer.client.secret")


class ConfigError(Exception):
    """A file of settings that can't be used; what it holds is not repeated, it may be secret."""


class SecretError(Exception):
    """A file with a secret that can't be read, or that others can read."""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Packing(_Settings):
    """When a packet is made: at so many readings, or bytes of messages; when the first of it has waited for `age`
    seconds; and, without readings, after every `silence` seconds."""

    readings: int = Field(default=1_000, ge=1, le=MAX_READINGS)
    bytes: int = Field(default=262_144, ge=1, le=MAX_MESSAGE)
    age: float = Field(default=10.0, gt=0)
    silence: float = Field(default=60.0, gt=0)


class LiveConfig(_Settings):
    """One live gateway.

    `seed_file` holds the Ed25519 seed of `run` as 64 hex digits, `next_seed_file` that of the run behind it, which
    begins once the registry has it; `channel` is the genesis digest in hex; `scales` the decimal places of each point,
    which a registry has too. `kafka` is the client's configuration by
    librdkafka's names, `kafka_secrets` those of it that are secret: each a file that holds the value alone. `folder`
    holds the store, which takes at most `disk_bytes`, and progress.json. `future_seconds` is the registry's bound on
    readings ahead of their packet. Of the last `remembered` messages it is known when they come again. `genesis` is the
    channel's genesis file, `registry` the registry file that it names: from there the gateway follows the ledger, goes
    by the registry in force, and takes its operators' commands.
    `counters` names points that are registers, with the point of what each counts in a step, as the registry has them.
    What is sent is kept for `keep_seconds`, as long as there is room: for a next `run`, with a key of its own, in which
    it is sent again. With more than `most_behind` packets waiting for the channel's ingest the gateway keeps its own.
    """

    gateway: str = Field(min_length=1)
    run: int = Field(default=1, ge=0)
    seed_file: Path
    next_seed_file: Path | None = None
    channel: str = Field(pattern="^[0-9a-f]{64}$")
    kafka: dict[str, str]
    kafka_secrets: dict[str, Path] = Field(default_factory=dict)
    folder: Path
    disk_bytes: int = Field(default=2**30, ge=LEAST_DISK)
    remembered: int = Field(default=REMEMBERED, ge=0)
    keep_seconds: int = Field(default=KEEP_SECONDS, ge=0)
    future_seconds: int = Field(default=0, ge=0)
    packet: Packing = Packing()
    scales: dict[str, int] = Field(default_factory=dict)
    sources: tuple[Source, ...] = Field(min_length=1)
    genesis: Path | None = None
    registry: Path | None = None
    counters: dict[str, str] = Field(default_factory=dict)
    most_behind: int = Field(default=flow.MOST_BEHIND, ge=1)

    @field_validator("kafka")
    @classmethod
    def _no_secrets(cls, kafka: dict[str, str]) -> dict[str, str]:
        if secret := [name for name in _SECRET_SETTINGS if name in kafka]:
            raise ValueError(f"{secret[0]} belongs into a file that kafka_secrets names")
        if "bootstrap.servers" not in kafka:
            raise ValueError("bootstrap.servers is missing")
        return kafka

    @model_validator(mode="after")
    def _whose_registry(self) -> Self:
        if self.registry is not None and self.genesis is None:
            raise ValueError("a registry needs the genesis that names it")
        if self.counters and self.registry is None:
            raise ValueError("counters need the registry")
        if self.next_seed_file is not None and self.registry is None:
            raise ValueError("when the next run begins, a registry says")
        if self.counters and self.packet.readings > MOST_COUNTED:
            raise ValueError(f"with counters a packet takes at most {MOST_COUNTED} readings")
        return self

    @property
    def store_file(self) -> Path:
        """The store."""
        return self.folder / "store.sqlite"

    def open(self) -> Store:
        """The store, opened. Raises StoreError."""
        keep = (1000 * self.keep_seconds, self.disk_bytes // 2)
        return Store(self.store_file, HORIZON, self.remembered, *keep)

    @property
    def status_file(self) -> Path:
        """What says how the gateway stands."""
        return self.folder / "progress.json"


def load(path: Path) -> LiveConfig | GatewayConfig:
    """The settings of a file: of a live gateway, or with `replay` instead of `sources` of one that replays.

    Raises ConfigError that names every field that is wrong; SecretError if it holds a logger's password and others can
    read it.
    """
    try:
        stated = yaml.safe_load(path.read_bytes())
        replays = isinstance(stated, dict) and "replay" in stated
        config = (GatewayConfig if replays else LiveConfig).model_validate(stated)
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is neither JSON nor YAML: {getattr(error, 'problem', '')}") from None
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False))
        raise ConfigError(f"{path} can't be used:\n  " + "\n  ".join(wrong)) from None
    if any(isinstance(value, SecretStr) for _, value in _values(config)):
        read_secret(path)
    return config


def read_secret(path: Path) -> str:
    """What a secret's file holds, without the end of its line. Raises SecretError."""
    try:
        if path.stat().st_mode & 0o077:
            raise SecretError(f"{path} holds a secret and others can read it: chmod 600 {path}")
        return path.read_text().rstrip("\r\n")
    except OSError as error:
        raise SecretError(f"{path} can't be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise SecretError(f"{path} holds no text") from None


def secret_files(config: LiveConfig) -> list[Path]:
    """The files that the settings name for secrets: seed, Kafka's, passwords and keys of sources."""
    named = (value for name, value in _values(config) if name.endswith(("seed_file", "password_file", "key_file")))
    return [*config.kafka_secrets.values(), *(value for value in named if isinstance(value, Path))]


def _values(model: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every value within a model, with the name of its field."""
    if isinstance(model, BaseModel):
        for field, value in model:
            yield from _values(value, field)
    elif isinstance(model, tuple | list):
        for value in model:
            yield from _values(value, name)
    else:
        yield name, model


def source_of(
    settings: Hj212Settings | ModbusSettings | MqttSettings, slow_down: Callable[[], bool], rules: Mapping[str, Rule]
) -> LiveSource:
    """The source that has these settings; one that asks its devices does so by `rules`, and less on `slow_down`."""
    match settings:
        case Hj212Settings():
            return Hj212Source(settings)
        case ModbusSettings():
            return ModbusSource(settings, slow_down=slow_down, rules=rules)
        case MqttSettings():
            return MqttSource(settings)


def gateway_of(
    config: LiveConfig,
    store: Store,
    in_force: tuple[int, Registry] | None = None,
    observed: Observed | None = None,
) -> LiveGateway:
    """The gateway that has these settings, on its open store, by the registry in force behind its height.

    Without that it is the one of the settings. A run behind that of the store begins with what is kept. Raises
    ConfigError like `channel_of`, for a run that is over, and for what the registry has otherwise; SecretError,
    SeedError, and KafkaException for settings that Kafka's client refuses.
    """
    for path in secret_files(config):
        read_secret(path)
    _, registry = channel_of(config)
    height, registry = in_force or (0, registry)
    try:
        now = _own_terms(config) if registry is None else terms(config, store, registry)
    except TermsError as error:
        raise ConfigError(str(error)) from error
    signer = Signer(config.gateway, now.run, _seeds(config)[now.run], bytes.fromhex(config.channel), now.scales)
    try:
        count = store.begin(signer.run, signer.again)
    except RunOverError as error:
        raise ConfigError(f"{config.gateway}: {error}") from error
    if count:
        _log.info("a run begins", gateway=signer.gateway, run=signer.run, packets_sent_again=count)
    kafka, limits = kafka_of(config), config.packet
    rules = _rules(config)
    downlink = None
    if registry is not None and not now.silent:
        downlink = Downlink(kafka, store, signer, registry, dict(rules), rules.update)
    inbox = Inbox(store, config.disk_bytes, MOST_COUNTED if config.counters else MAX_READINGS)
    return LiveGateway(
        store,
        inbox,
        signer,
        {
            f"{place} {one.kind}": source_of(one, lambda: inbox.slow_down, rules)
            for place, one in enumerate(config.sources)
        },
        kafka=kafka,
        limits=PacketLimits(limits.readings, limits.bytes, limits.age, limits.silence),
        future_ms=now.future_ms,
        status=config.status_file,
        downlink=downlink,
        counters=now.counters,
        most_behind=config.most_behind,
        silent=now.silent,
        registry=height,
        observed=observed,
    )


def kafka_of(config: LiveConfig) -> dict[str, str]:
    """The client's configuration with its secrets. Raises SecretError."""
    return {**config.kafka, **{name: read_secret(path) for name, path in config.kafka_secrets.items()}}


def terms(config: LiveConfig, store: Store, registry: Registry) -> Terms:
    """What the gateway goes by under a registry. Raises TermsError, SeedError, StoreError."""
    seeds, kept = _seeds(config), store.run()
    keys = {run: signing.public_key(seed) for run, seed in seeds.items()}
    stated = Stated(config.gateway, keys, config.scales, config.counters)
    return terms_of(registry, stated, kept if kept is not None and kept in seeds else config.run)


def _own_terms(config: LiveConfig) -> Terms:
    return Terms(config.run, "", config.scales, {}, {}, 1000 * config.future_seconds)


def _seeds(config: LiveConfig) -> dict[int, bytes]:
    """The seeds at hand, by the run that each is for. Raises SeedError."""
    files = {config.run: config.seed_file}
    if config.next_seed_file is not None:
        files[config.run + 1] = config.next_seed_file
    return {run: read_seed(file) for run, file in files.items()}


def _rules(config: LiveConfig) -> dict[str, Rule]:
    asking = [one.rules() for one in config.sources if isinstance(one, ModbusSettings)]
    return {point: rule for one in asking for point, rule in one.items()}


def channel_of(config: LiveConfig) -> tuple[Genesis | None, Registry | None]:
    """The genesis and the registry that the settings name, if they do.

    Raises ConfigError for one that can't be used, a genesis of another channel, a registry that it doesn't name.
    """
    if config.genesis is None:
        return None, None
    genesis = _parsed(config.genesis, geneses.parse)
    if genesis.digest.hex() != config.channel:
        raise ConfigError(f"{config.genesis} is the genesis of {genesis.digest.hex()}, not of channel {config.channel}")
    if config.registry is None:
        return genesis, None
    registry = _parsed(config.registry, lambda data: registries.parse(data, factors.load()))
    if registry.digest != genesis.registry:
        raise ConfigError(f"{config.registry} is not the registry that {config.genesis} names")
    return genesis, registry


def _parsed(path: Path, parse: Callable[[bytes], _T]) -> _T:
    try:
        return parse(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from None
    except (RegistryError, GenesisError) as error:
        raise ConfigError(f"{path} can't be used: {error}") from None
