"""Read-only questions to the embedded engine, each in a session of its own.

Three locks, because whoever reaches the loopback port may ask. The session is `readonly = 1`, which refuses writes,
settings, and table functions that reach files or the network. The statement, parsed by the engine's own parser, must
be one that reads. And it may not use the few words that reach files even in a read-only session of this engine.

Whoever may not see everything has two more, either of which is enough. The session's database holds the views of a
sight and nothing else, and the statement must stay in it. And whatever table of the ledger is read, however it is
named, the engine filters its rows by the same conditions.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import chdb

from sinks.clickhouse import views
from sinks.clickhouse.engine import DATABASE, EngineError
from sinks.clickhouse.sight import SHOWN, Sight, quoted
from sinks.clickhouse.statement import NUMBERS, table_functions, why_not, words_of

_READS = re.compile(r"(SELECT|WITH|SHOW|DESCRIBE|EXPLAIN|EXISTS)\b")
_REACHES_OUT = re.compile(r"\b(file|outfile|python)\b", re.IGNORECASE)
_SETTING = re.compile(
    r"max_(threads|execution_time|block_size|memory_usage|result_rows|result_bytes|rows_to_read)|result_overflow_mode"
    r"|limit|offset|final|extremes|join_use_nulls|session_timezone|date_time_output_format|asterisk_include_\w+"
    r"|(output_)?format_\w+"
)
_DEFAULTS = {"session_timezone": "UTC", "max_memory_usage": "4000000000", "max_execution_time": "300"}
_PART_ONLY = {
    # nothing of a question is computed of rows that its sight leaves out: an error would tell of them
    "query_plan_filter_push_down": "0", "query_plan_merge_filters": "0", "query_plan_optimize_prewhere": "0",
    "optimize_move_to_prewhere": "0",
    # how many rows were read, or would be, tells of others'
    "output_format_write_statistics": "0", "max_rows_to_read": "0",
}  # fmt: skip
_FUNCTIONS = "SELECT name FROM system.table_functions WHERE name NOT IN (SELECT name FROM system.functions)"
_TABLES = f"SELECT name FROM system.tables WHERE database = '{DATABASE}' AND engine LIKE '%MergeTree'"
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
        self._made = set[str]()
        self._no_functions = set[str]()
        self._making = Lock()

    def ask(
        self,
        sql: str,
        *,
        database: str = DATABASE,
        format_: str = "TabSeparated",
        parameters: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
        sight: Sight | None = None,
    ) -> bytes:
        """The answer to one reading statement in `format_`, unless the statement itself names a format.

        `parameters` are for its `{name:Type}` places; `sight` is what may be seen, None for everything. Raises
        StatementError; EngineError while another process owns the folder.
        """
        with self._session(database, settings or {}, sight) as session:
            _check(session, sql)
            if sight is not None:
                self._check_part(session, sql, parameters)
            return _run(session, sql, format_, parameters)

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            session = chdb.connect(self._path)
        except RuntimeError as error:
            raise EngineError(f"{self._path} can't be opened; another process may own it ({error})") from error
        try:
            yield session
        finally:
            session.close()

    @contextmanager
    def _session(self, database: str, settings: Mapping[str, str], sight: Sight | None) -> Iterator[Any]:
        with self._opened() as session:
            for name, value in {**_DEFAULTS, **settings}.items():
                _set(session, name, value)
            if sight is None:
                _run(session, f"USE {quoted(database, '`')}")
            else:
                self._keep_to(session, database, sight)
            _run(session, "SET readonly = 1")
            yield session

    def _keep_to(self, session: Any, database: str, sight: Sight) -> None:
        """Use the views of a sight, made now if they aren't there, and let the engine filter what is under them."""
        made = views.statements(sight)
        own = views.database(made)
        if database not in (DATABASE, own):
            raise StatementError(f"Code: 81. DB::Exception: Database {database} does not exist. (UNKNOWN_DATABASE)")
        with self._making:
            if own not in self._made:
                self._make(session, own, made)
        _run(session, f"USE {own}")
        for name, value in _PART_ONLY.items():
            _run(session, f"SET {name} = {value}")
        _run(session, f"SET additional_table_filters = {_filters(session, sight)}")

    def _check_part(self, session: Any, sql: str, parameters: Mapping[str, str] | None) -> None:
        """Refuse what does not stay in the session's own database."""
        (own,) = _lines(session, "SELECT currentDatabase()")
        others = [name for name in _lines(session, "SHOW DATABASES") if name != own]
        if not self._no_functions:
            self._no_functions = set(_lines(session, _FUNCTIONS)) - NUMBERS
        reason = why_not(_formatted(session, sql), others, self._no_functions)
        if reason is None:
            tree = _run(session, f"EXPLAIN AST {sql}", "TSVRaw", parameters).decode()
            strange = table_functions(tree) - NUMBERS - set(views.derived())
            reason = f"The table function {min(strange)} is not answered here" if strange else None
        if reason is not None:
            raise StatementError.refused(reason)

    def _make(self, session: Any, own: str, made: list[str]) -> None:
        if not self._made:  # what earlier lives made, of sights that may be no more
            for name in _lines(session, "SHOW DATABASES"):
                if name.startswith(views.PREFIX):
                    _run(session, f"DROP DATABASE {name}")
        _run(session, f"CREATE DATABASE {own} ENGINE = Atomic")
        _run(session, f"USE {own}")
        for statement in made:
            _run(session, statement)
        self._made.add(own)


def _check(session: Any, sql: str) -> None:
    """Refuse what is not one statement that reads. The engine's parser leaves no comments and no needless quotes."""
    words = words_of(_formatted(session, sql))
    if not _READS.match(words.lstrip("(")):
        raise StatementError.refused(f"Only statements that read are answered here, not {words.split(' ')[0]}")
    if (found := _REACHES_OUT.search(words)) is not None:
        raise StatementError.refused(f"The word {found[0]} is not answered here, because it can reach files")


def _filters(session: Any, sight: Sight) -> str:
    """Conditions by table, as a map in SQL; of a table that nobody is shown no row passes."""
    by_base = {shown.base: sight.condition(shown) for shown in SHOWN.values()}
    conditions = {table: by_base.get(table, "0") for table in _lines(session, _TABLES)}
    pairs = (f"{quoted(f'{DATABASE}.{table}')}: {quoted(where)}" for table, where in conditions.items() if where != "1")
    return f"{{{', '.join(pairs)}}}"


def _formatted(session: Any, sql: str) -> str:
    return _run(session, f"SELECT formatQuerySingleLine({quoted(sql)})", "TSVRaw").decode().rstrip("\n")


def _lines(session: Any, sql: str) -> list[str]:
    return _run(session, sql).decode().split()


def _set(session: Any, name: str, value: str) -> None:
    if not _SETTING.fullmatch(name):
        raise StatementError.refused(f"Cannot modify '{name}' setting in readonly mode.")
    _run(session, f"SET {name} = {quoted(value)}")


def _run(session: Any, sql: str, format_: str = "TabSeparated", parameters: Mapping[str, str] | None = None) -> bytes:
    try:
        answer: bytes = session.query(sql, format_, params=dict(parameters or {})).bytes()
    except RuntimeError as error:
        raise StatementError(str(error)) from error
    return answer
