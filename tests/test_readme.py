"""What the README tells a reader to type exists."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = sorted(set(re.findall(r"\.venv/bin/carbonledger ((?:[a-z-]+ ?){1,2})", README)))


def test_the_two_commands_come_first():
    assert README.index("make demo") < README.index("make test") < README.index("carbonledger query")


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_of_the_readme_teaches_by_example(words):
    parts = words.split()
    argv = [sys.executable, "-m", "infra.cli", *parts, "--help"]
    shown = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert f"carbonledger {' '.join(parts)}" in shown.stdout


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:    |`)make ([a-z-]+)", README))))
def test_make_knows_the_target(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", README))
def test_links_lead_somewhere(link):
    assert (ROOT / link).exists()
