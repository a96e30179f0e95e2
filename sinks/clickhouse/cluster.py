"""The same statements for a cluster: replicated engines, and every change on all of its servers.

Nothing else differs. One shard: replicas hold the same rows, so a table's greatest height or offset is one, and the
names of shard and replica are macros of each server's own configuration.
"""

import re

_CREATE = re.compile(r"\b(CREATE (?:OR REPLACE )?(?:TABLE|VIEW|DATABASE) (?:IF NOT EXISTS )?)(\w+)")
_ALTER = re.compile(r"^((?:ALTER|TRUNCATE) TABLE )(\w+)", re.MULTILINE)
_ENGINE = re.compile(r"\bENGINE = (\w*MergeTree)(?:\((\w+)\))?")
_WINDOW = re.compile(r"\bnon_replicated_deduplication_window\b")
SETTINGS = {"insert_quorum": "auto", "insert_quorum_parallel": "0", "select_sequential_consistency": "1"}
"""With these a sink that resumes at another replica reads there what was written here."""


def rendered(statement: str, cluster: str) -> str:
    """A statement of the migrations for all servers of a cluster; as it is if `cluster` is empty."""
    if not cluster:
        return statement
    on = rf"\1\2 ON CLUSTER `{cluster}`"
    changed = _ALTER.sub(on, _CREATE.sub(on, statement, count=1))
    return _WINDOW.sub("replicated_deduplication_window", _ENGINE.sub(_replicated, changed))


def _replicated(found: re.Match[str]) -> str:
    place = ["'/clickhouse/tables/{shard}/{database}/{table}'", "'{replica}'"]
    return f"ENGINE = Replicated{found[1]}({', '.join([*place, *filter(None, [found[2]])])})"
