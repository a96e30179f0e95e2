"""One record by its carbon code: what it says, what it rests on, and the commands that prove it."""

from dashboards.boards.words import CODE, WHEN
from dashboards.model import PERCENT, TEXT, TONNES, Board, Column, Panel, Variable

CODE_ASKED = "${code:sqlstring}"
HASH = f"splitByChar('.', {CODE_ASKED})[-1]"
FOUND = (
    "(SELECT *, code, coverage FROM records WHERE verdict = 'accepted' "
    f"AND startsWith(commitment, {HASH}) AND {HASH} != '')"
)

HEAD = Panel(
    "Record",
    "What the record says, as the committee computed it again from the signed packets.",
    "table",
    "SELECT point, subject, window_start, version, cause, count AS readings, expected, round(100 * coverage, 1) AS "
    "coverage, "
    f"quantity / exp10(scale) AS quantity, unit, emission_g / 1e6 AS emission, rule FROM {FOUND}",
    width=24,
    height=4,
    columns={"window_start": WHEN, "coverage": Column(unit=PERCENT), "emission": Column(unit=TONNES)},
)
VERSIONS = Panel(
    "Versions of the window",
    "Every accepted record of the same window: the highest version counts.",
    "table",
    "SELECT version, cause, count AS readings, emission_g / 1e6 AS emission, height, code FROM records "
    f"WHERE verdict = 'accepted' AND (point, window_start) IN (SELECT point, window_start FROM {FOUND}) ORDER BY "
    "version",
    width=12,
    height=5,
    columns={"emission": Column(unit=TONNES), "height": Column(unit="none"), "code": CODE},
)
BLOCK = Panel(
    "Its block",
    "The block that certifies it, with who signed.",
    "table",
    "SELECT height, time, arrayStringConcat(signers, ', ') AS signers, digest FROM blocks "
    f"WHERE height IN (SELECT height FROM {FOUND})",
    "none",
    width=12,
    height=5,
    columns={"time": WHEN},
)
EVIDENCE = Panel(
    "Its evidence",
    "The packets that the record rests on: by the digest of the last one every byte of them is fixed.",
    "table",
    "SELECT one.1 AS gateway, one.2 AS run, one.3 AS first, one.4 AS last, one.5 AS digest "
    f"FROM (SELECT arrayJoin(evidence) AS one FROM {FOUND})",
    "none",
    width=12,
    height=5,
)
READINGS = Panel(
    "Its readings",
    "Those of its window, valid and refused.",
    "table",
    "SELECT at, value / exp10(r.scale) AS value, r.unit AS unit, flag, reason, r.gateway AS gateway, r.run AS run, "
    "sequence "
    f"FROM readings AS r INNER JOIN {FOUND} AS f ON f.point = r.point "
    "WHERE at >= f.window_start AND at < f.window_start + toIntervalSecond(f.window_seconds) ORDER BY at LIMIT 500",
    "none",
    width=12,
    height=8,
    columns={"at": WHEN},
)
COMMANDS = Panel(
    "Prove it yourself",
    "Commands for a machine with a member's copy. `verify-proof` needs the genesis file alone: no broker, and no "
    "trust in "
    "who handed the proof over.",
    "table",
    f"SELECT arrayJoin([concat('carbonledger resolve ', {CODE_ASKED}), concat('carbonledger prove ', {CODE_ASKED}, "
    "' > proof.json'), 'carbonledger verify-proof proof.json --genesis genesis.json']) AS command",
    TEXT,
    width=12,
    height=8,
)

BOARD = Board(
    "cl-record",
    "Record",
    "One record by its carbon code: what it says, its versions, its block, the packets it rests on, and how to prove "
    "it.",
    (Variable("code", "Carbon code"),),
    ((HEAD,), (VERSIONS, BLOCK), (EVIDENCE, COMMANDS), (READINGS,)),
)
