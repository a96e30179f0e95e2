"""Log lines: for people on a terminal, or one JSON object a line; the same for our own and for libraries' loggers.

An event has a name that never changes and fields that say what it was this time; `process` and the trace's ids stand in
every line that has them. What ends a process by an error is an event too.
"""

import logging
import sys
import threading
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal

import structlog

from schemas import tracing

_SECRET = ("password", "secret", "token", "seed", "salt", "private")
_MASK = "**********"


def mask_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor that hides every value whose key names a secret, however deep it stands."""
    return _masked(event)


def _masked(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _MASK if _is_secret(key) else _masked(v) if isinstance(v, Mapping) else v for key, v in values.items()}


def _is_secret(key: object) -> bool:
    return any(word in str(key).lower() for word in _SECRET)


def configure(form: Literal["console", "json"], level: str, process: str = "") -> None:
    """Send structlog's and the standard library's log lines of at least `level` to standard error in one form."""

    def say_who(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.update({"process": process} if process else {}, **tracing.log_fields())
        return event

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        say_who,
        mask_secrets,
    ]
    as_json = form == "json"
    last: Any = (
        structlog.processors.JSONRenderer(default=repr)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last]
        )
    )
    logging.captureWarnings(True)
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        cache_logger_on_first_use=True,
    )
    if as_json:
        sys.excepthook = _died
        threading.excepthook = lambda args: _died(args.exc_type, args.exc_value, args.exc_traceback)


def _died(kind: Any, error: Any, trace: Any) -> None:
    structlog.get_logger(__name__).critical("died of an error", exc_info=(kind, error, trace))
