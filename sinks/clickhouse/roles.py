"""The same sight on a server: a role for each party, row policies on the tables, and the readers as its users.

A role may read the tables that readers get rows of and the views made of these alone; a view reads with the rights of
who asks, so policies hold under it. Who has no role, such as the sink, is held by no policy.
"""

from collections.abc import Iterator, Mapping

from carbon.registry import Registry
from sinks.clickhouse.access import Reader
from sinks.clickhouse.engine import DATABASE
from sinks.clickhouse.sight import SHOWN, UNDER, quoted, sight_of
from sinks.clickhouse.views import derived

PUBLIC = "public"


def role_name(party: str) -> str:
    """The role of a party."""
    return quoted(f"{DATABASE}_{party}", "`")


def statements(registry: Registry, readers: Mapping[str, Reader], now_ms: int, cluster: str = "") -> Iterator[str]:
    """What makes all roles, policies and users, and can be repeated: to be run again when the registry has changed.

    `now_ms` is the time of the newest block, as of which balances are seen.
    """
    on = f" ON CLUSTER `{cluster}`" if cluster else ""
    for party in (*registry.parties, PUBLIC):
        yield from _role(party, registry, now_ms, on)
    for name, reader in readers.items():
        user = quoted(name, "`")
        yield f"CREATE USER IF NOT EXISTS {user}{on} IDENTIFIED WITH sha256_hash BY {quoted(reader.digest)}"
        yield f"ALTER USER {user}{on} IDENTIFIED WITH sha256_hash BY {quoted(reader.digest)}"
        yield f"GRANT{on} {role_name(reader.party)} TO {user}"


def _role(party: str, registry: Registry, now_ms: int, on: str) -> Iterator[str]:
    name, sight = role_name(party), sight_of(registry.parties.get(party), registry, now_ms)
    yield f"CREATE ROLE IF NOT EXISTS {name}{on} SETTINGS readonly = 2, allow_ddl = 0"
    bases = {shown.base for shown in SHOWN.values() if shown.base}
    for table in sorted({*SHOWN, *derived(), *bases, *UNDER, *(name.removesuffix("_log") for name in UNDER)}):
        yield f"GRANT{on} SELECT ON {DATABASE}.{table} TO {name}"
    for shown in (shown for shown in SHOWN.values() if shown.base):
        table, condition = f"{DATABASE}.{shown.base}", sight.condition(shown)
        yield f"CREATE ROW POLICY OR REPLACE {name}{on} ON {table} FOR SELECT USING {condition} TO {name}"
