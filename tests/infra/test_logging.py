"""Log lines in a process of their own, since logging is set for a whole process."""

import json
import subprocess
import sys

SCRIPT = """
import logging, sys, structlog
from infra.logging import configure
from schemas import tracing
from tests.tracing import traced
configure(sys.argv[1], sys.argv[2], "member-3")
with traced(), tracing.span("member.block"):
    secrets = {"sasl_password": "hunter2", "kafka": {"ssl.key.PASSWORD": "hunter2"}}
    structlog.get_logger("ours").info("block applied", height=7, **secrets)
structlog.get_logger("ours").debug("too much")
logging.getLogger("aiokafka").warning("rebalance of %s", "carbon.ingest")
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger("ours").exception("failed")
raise RuntimeError("the end")
"""


def logged(form: str, level: str = "info") -> list[str]:
    done = subprocess.run([sys.executable, "-c", SCRIPT, form, level], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, ""), "standard output belongs to the data"
    return done.stderr.splitlines()


def test_json_lines_for_programs_ours_and_the_libraries() -> None:
    ours, theirs, failed, died = (json.loads(text) for text in logged("json"))
    assert (ours["event"], ours["height"], ours["level"], ours["logger"]) == ("block applied", 7, "info", "ours")
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("rebalance of carbon.ingest", "warning", "aiokafka")
    assert "ZeroDivisionError" in failed["exception"]
    assert (died["event"], died["level"]) == ("died of an error", "critical") and "the end" in died["exception"]
    assert {line["process"] for line in (ours, theirs, failed, died)} == {"member-3"}
    assert (len(ours["trace_id"]), len(ours["span_id"])) == (32, 16) and "trace_id" not in failed
    assert ours["timestamp"].endswith("Z")


def test_no_secret_is_logged() -> None:
    for form in ("json", "console"):
        assert not [text for text in logged(form) if "hunter2" in text]


def test_lines_for_people_and_the_level() -> None:
    assert "height=7" in logged("console")[0]
    assert not [text for text in logged("console") if "too much" in text]
    assert [text for text in logged("console", "debug") if "too much" in text]
    assert "block applied" not in "".join(logged("console", "error"))
