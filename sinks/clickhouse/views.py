"""The views of one sight: a database of its own that holds nothing else, made of the same statements as everybody's."""

import re
from functools import cache
from hashlib import sha256

from sinks.clickhouse.engine import DATABASE
from sinks.clickhouse.migrate import load
from sinks.clickhouse.sight import SHOWN, Sight

PREFIX = "sight_"
_VIEW = re.compile(r"CREATE (?:OR REPLACE )?VIEW (?:IF NOT EXISTS )?(\w+)")
_COMPUTED = re.compile(r"\*, code(, coverage)?,")
"""What a table computes when it is asked; in the view of a sight over that table it is a column as any other."""
_SOURCE = re.compile(r"\b(?:FROM|(?<!ARRAY )JOIN)\s+(\w+)")


@cache
def derived() -> dict[str, str]:
    """The views that are made of what readers get and of nothing else, each as what follows its name, in order."""
    found: dict[str, str] = {}
    for migration in load():
        for statement in migration.statements():
            if (view := _VIEW.search(statement)) is not None:
                found[view[1]] = statement[view.end() :]
    known = set(SHOWN)
    for name in [name for name in found if name not in known]:
        if set(_SOURCE.findall(found[name])) <= known:
            known.add(name)
    return {name: text for name, text in found.items() if name in known and name not in SHOWN}


def statements(sight: Sight) -> list[str]:
    """What makes the views of a sight, in the database that is in use."""
    made = []
    for name, shown in SHOWN.items():
        columns = ", ".join(("*", *shown.extra))
        where = sight.condition(shown)
        made.append(f"CREATE OR REPLACE VIEW {name} AS SELECT {columns} FROM {DATABASE}.{name} WHERE {where}")
    return [*made, *(f"CREATE OR REPLACE VIEW {name}{_COMPUTED.sub('*,', text)}" for name, text in derived().items())]


def database(made: list[str]) -> str:
    """The database of these statements: the same for whoever sees the same."""
    return PREFIX + sha256("\n".join(made).encode()).hexdigest()[:16]
