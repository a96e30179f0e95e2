"""Read-only questions to the embedded engine, each in a session of its own.

Three locks, because whoever reaches the loopback port may ask. The session is `readonly = 1`, which refuses writes,
settings, and table functions that reach files or the network. The statement, parsed by the engine's own parser, must
be one that reads. And it may not use the few words that reach files even in a read-only session of this engine.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import chdb

from sinks.clickhouse.engine import DATABASE, EngineError

_READS = re.compile(r"(SELECT|WITH|SHOW|DESCRIBE|EXPLAIN|EXISTS)\b")
_LITERAL = re.compile(r"'(?:[^'\\]|\\.)*'", re.DOTALL)
_REACHES_OUT = re.compile(r"\b(file|outfile|python)\b", re.IGNORECASE)
_SETTING = re.compile(
    r"max_(threads|execution_time|block_size|memory_usage|result_rows|result_bytes|rows_to_read)|result_overflow_mode"
    r"|limit|offset|final|extremes|join_use_nulls|session_timezone|date_time_output_format|asterisk_include_\w+"
    r"|(output_)?format_\w+"
)
_DEFAULTS = {"session_timezone": "UTC", "max_memory_usage": "4000000000", "max_execution_time": "300"}
_CODE = re.compile(r"Code: (\d+)\. DB::Exception: ")


class StatementError(ValueError):
    """The engine's answer to a statement that it could not or may not run; `code` is ClickHouse's number."""

    def __init__(self, text: str) -> None:
        start = _CODE.search(text)
        super().__init__(text[start.start() :].strip() if start else f"Code: 1002. DB::Exception: {text}")
        self.code = int(start[1]) if start else 1002

    @classmethod
    def refused(cls, sentence: str) -> "StatementError":
        """A statement that is not even tried."""
        return cls(f"Code: 164. DB::Exception: {sentence} (READONLY)")


class Reader:
    """Asks the engine of a folder. Used by any number of threads."""

    def __init__(self, folder: Path) -> None:
        # the engine compares paths by their letters
        self._path = os.path.realpath(folder)

    def ask(
        self,
        sql: str,
        *,
        database: str = DATABASE,
        format_: str = "TabSeparated",
        parameters: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> bytes:
        """The answer to one reading statement in `format_`, unless the statement itself names a format.

        `parameters` are for its `{name:Type}` places. Raises StatementError; EngineError while another process owns
        the folder.
        """
        with self._session(database, settings or {}) as session:
            _check(session, sql)
            return _run(session, sql, format_, parameters)

    @contextmanager
    def _session(self, database: str, settings: Mapping[str, str]) -> Iterator[Any]:
        try:
            session = chdb.connect(self._path)
        except RuntimeError as error:
            raise EngineError(f"{self._path} can't be opened; another process may own it ({error})") from error
        try:
            for name, value in {**_DEFAULTS, **settings}.items():
                _set(session, name, value)
            _run(session, f"USE {_quoted(database, '`')}")
            _run(session, "SET readonly = 1")
            yield session
        finally:
            session.close()


def _check(session: Any, sql: str) -> None:
    """Refuse what is not one statement that reads. The engine's parser leaves no comments and no needless quotes."""
    plain = _run(session, f"SELECT formatQuerySingleLine({_quoted(sql)})", "TSVRaw").decode()
    words = _LITERAL.sub("''", plain)
    if not _READS.match(words.lstrip("(")):
        raise StatementError.refused(f"Only statements that read are answered here, not {words.split(' ')[0]}")
    if (found := _REACHES_OUT.search(words)) is not None:
        raise StatementError.refused(f"The word {found[0]} is not answered here, because it can reach files")


def _set(session: Any, name: str, value: str) -> None:
    if not _SETTING.fullmatch(name):
        raise StatementError.refused(f"Cannot modify '{name}' setting in readonly mode.")
    _run(session, f"SET {name} = {_quoted(value)}")


def _quoted(text: str, mark: str = "'") -> str:
    return mark + text.replace("\\", "\\\\").replace(mark, f"\\{mark}") + mark


def _run(session: Any, sql: str, format_: str = "TabSeparated", parameters: Mapping[str, str] | None = None) -> bytes:
    try:
        answer: bytes = session.query(sql, format_, params=dict(parameters or {})).bytes()
    except RuntimeError as error:
        raise StatementError(str(error)) from error
    return answer
