"""Settings from the environment, with the prefix CARBONLEDGER_. The defaults run everything embedded on one machine."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from infra.errors import EnvironmentFault

PREFIX = "CARBONLEDGER_"


class Settings(BaseSettings):
    """What may differ from one place to another. Secrets are masked wherever they are printed."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    data: Path = Path("var/ledger")
    """The folder of everything that stays: broker, ledger, tables, keys, logs."""
    bootstrap: str = ""
    """`host:port,…` of a Kafka cluster; empty for the embedded broker."""
    kafka: dict[str, SecretStr] = Field(default_factory=dict)
    """A JSON object of more client settings by librdkafka's names: `security.protocol`, `sasl.*`, `ssl.*`."""
    port: int = Field(default=0, ge=0, le=65535)
    """The embedded broker's port on loopback; 0 for that of the last time, or a free one."""
    heap_mb: int = Field(default=512, ge=128)
    """Megabytes of the embedded broker's heap."""
    metrics_port: int = Field(default=0, ge=0, le=65535)
    """The port of /metrics, /live and /ready, of `up` or of the one process that is run; 0 for a free one."""
    metrics_host: str = "127.0.0.1"
    """The address that they are served on: there is no sign-in, so it is loopback or a network of one's own."""
    clickhouse: SecretStr = SecretStr("")
    """URL of a ClickHouse server; empty for the embedded chDB."""
    webhook_networks: str = ""
    """Networks beyond the public ones to which webhooks may go: `10.1.0.0/16,::1`. http goes to these only."""
    log: Literal["console", "json"] = "console"
    """Log lines for people, or one JSON object a line."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def embedded_broker(self) -> bool:
        """Whether the broker is ours to run."""
        return not self.bootstrap

    def client(self, bootstrap: str = "") -> dict[str, str]:
        """A Kafka client's configuration, by librdkafka's names, secrets in clear: not to be logged."""
        extra = {key: value.get_secret_value() for key, value in self.kafka.items()}
        return {"bootstrap.servers": bootstrap or self.bootstrap, **extra}


def load() -> Settings:
    """The settings of this process. Raises EnvironmentFault that names every variable that can't be understood."""
    try:
        return Settings()
    except SettingsError:
        raise EnvironmentFault(f"A setting can't be understood: {PREFIX}KAFKA is not a JSON object") from None
    except ValidationError as error:
        # never the value that was found: it may be a secret
        wrong = (f"{PREFIX}{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        raise EnvironmentFault(f"A setting can't be understood: {'; '.join(wrong)}") from None
