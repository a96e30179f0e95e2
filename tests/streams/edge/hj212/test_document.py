"""docs/hj212.md: its frame is one, its registration is taken."""

import re
from pathlib import Path

from streams.edge.sources.hj212.frame import FrameReader
from streams.edge.sources.hj212.server import Hj212Settings

DOCUMENT = (Path(__file__).parents[4] / "docs" / "hj212.md").read_text()


def test_the_frame() -> None:
    (line,) = re.findall(r"^    (##.*)$", DOCUMENT, re.MULTILINE)
    assert len(FrameReader().feed(f"{line}\r\n".encode())) == 1


def test_the_registration() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)
    settings = Hj212Settings.model_validate_json(example)
    assert {name for device in settings.devices for name in device.model_fields_set} == {
        "mn",
        "password",
        "utc_offset",
        "split",
        "items",
    }
