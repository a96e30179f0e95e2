import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from schemas.history import SCHEMAS_DIR, HistoryError, current_ids, current_schema, published, versions
from schemas.publish import problems, publish, unreadable

OLD_BALANCE = {
    "account": "a:s",
    "subject": "s",
    "debit_g": 3,
    "credit_g": 1,
    "records": 2,
    "height": 7,
    "kind": "a",
    "unit": "g",
    "year": None,
    "detail": "",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the schemas with their code, to change at will; its history begins with the current versions."""
    folder = tmp_path / "schemas"
    shutil.copytree(SCHEMAS_DIR, folder, ignore=shutil.ignore_patterns("__pycache__", "history"))
    publish(folder)
    return folder


def edit(folder: Path, name: str, change: Any) -> None:
    schema = current_schema(name, folder)
    change(schema)
    (folder / "avro" / f"{name}.avsc").write_text(json.dumps(schema, indent=2))


def add_field(kind: Any, **default: Any) -> Any:
    return lambda schema: schema["fields"].insert(1, {"name": "extra", "type": kind, **default})


def drop_field(name: str) -> Any:
    return lambda schema: schema.update(fields=[field for field in schema["fields"] if field["name"] != name])


def retype(name: str, kind: Any) -> Any:
    def change(schema: Any) -> None:
        next(field for field in schema["fields"] if field["name"] == name)["type"] = kind

    return change


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_committed_schemas_are_published_and_fully_compatible() -> None:
    assert problems() == []


def test_publishing_without_a_change_changes_nothing(folder: Path) -> None:
    before = snapshot(folder)
    assert publish(folder) == []
    assert snapshot(folder) == before


def test_a_compatible_change_gets_the_next_version_and_an_unused_id(folder: Path) -> None:
    free = max(version.id for version in versions(folder)) + 1
    old = current_ids(folder)["balance"]
    edit(folder, "balance", add_field("string", default="?"))
    edit(folder, "alert", drop_field("height"))
    assert len(problems(folder)) == 2
    assert sorted((new.name, new.number) for new in publish(folder)) == [("alert", 2), ("balance", 2)]
    assert problems(folder) == []
    assert sorted([current_ids(folder)["balance"], current_ids(folder)["alert"]]) == [free, free + 1]
    assert [version.id for version in published(folder)["balance"]] == [old, current_ids(folder)["balance"]]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("balance", add_field("string")),
        ("balance", drop_field("height")),
        ("balance", retype("height", "string")),
        ("balance", retype("records", "int")),
        ("payload", retype("schema_id", "long")),
        ("block", retype("header", "string")),
        ("alert", retype("text", "bytes")),
        ("balance", lambda schema: schema.update(name="Saldo")),
        ("balance", lambda schema: schema["fields"][2].update(name="debit")),
        ("packet", retype("signature", {"type": "fixed", "name": "Signature", "size": 65})),
    ],
)
def test_an_incompatible_change_is_refused_and_nothing_is_written(folder: Path, name: str, change: Any) -> None:
    edit(folder, "reading", add_field("string", default="?"))
    edit(folder, name, change)
    before = snapshot(folder)
    with pytest.raises(HistoryError, match=f"{name}: version .* can't read version"):
        publish(folder)
    assert snapshot(folder) == before


def test_compatibility_reaches_back_to_the_first_version(folder: Path) -> None:
    edit(folder, "reading", drop_field("flag"))
    publish(folder)
    edit(folder, "reading", add_field("string", default="?"))
    publish(folder)
    edit(folder, "reading", lambda schema: schema["fields"].append({"name": "flag", "type": "long", "default": 0}))
    with pytest.raises(HistoryError) as refused:
        publish(folder)
    assert "version 4 can't read version 1" in str(refused.value)
    assert "version 2" not in str(refused.value) and "version 3" not in str(refused.value)


def test_an_old_id_stays_readable_and_strict(folder: Path) -> None:
    first = current_ids(folder)["balance"]
    edit(folder, "balance", add_field("string", default="?"))
    publish(folder)
    script = f"""
from schemas import codec
value = {OLD_BALANCE!r}
old = codec.encode_bare("balance@1", value)
message = b"\\0" + ({first}).to_bytes(4, "big") + old
assert codec.header("balance@1") + old == message
assert codec.split(message) == ("balance@1", old) and codec.schema_name({first}) == "balance@1"
assert codec.decode("balance", message) == value | {{"extra": "?"}}
assert codec.decode_bare(codec.schema_name({first}), old) == codec.decode("balance", message)
new = codec.encode("balance", value)
assert codec.decode("balance", new) == codec.decode("balance", message) and new != message
for wrong in (message + b"\\0", message[:-1] + b"\\x80\\0", message[:-1]):
    try:
        codec.decode("balance", wrong)
    except codec.CodecError:
        continue
    raise SystemExit(f"{{wrong!r}} was read")
print(codec.schema_ids()["balance@1"], codec.schema_ids()["balance"])
"""
    said = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": str(folder.parent)},
        cwd=folder.parent,
        capture_output=True,
        text=True,
    )
    assert said.stderr == ""
    assert said.stdout.split() == [str(first), str(current_ids(folder)["balance"])]


def test_the_command_publishes_and_explains(folder: Path) -> None:
    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "schemas.publish"],
            env=os.environ | {"PYTHONPATH": str(folder.parent)},
            cwd=folder.parent,
            capture_output=True,
            text=True,
        )

    edit(folder, "balance", add_field("string", default="?"))
    said = run()
    assert (said.returncode, said.stdout) == (0, f"balance version 2 is id {current_ids(folder)['balance']}\n")
    edit(folder, "balance", drop_field("height"))
    said = run()
    assert said.returncode == 1
    assert re.search(r"balance: version 1 can't read version 3 \(.*/fields/5: height\)", said.stderr)


def test_a_draft_counts_as_a_version_before_it_is_published(folder: Path) -> None:
    ids = current_ids(folder)
    (folder / "avro" / "draft.avsc").write_text(json.dumps({"type": "record", "name": "Draft", "fields": []}))
    (folder / "avro" / "ids.json").write_text(json.dumps(ids | {"draft": 900}))
    assert versions(folder)[-1].path == "history/draft/v1-id900.avsc"
    assert problems(folder) == ["draft: not published (python -m schemas.publish)"]
    assert [new.id for new in publish(folder)] == [900]
    assert problems(folder) == []


def test_damage_to_the_history_is_found(folder: Path) -> None:
    def after(change: Any) -> str:
        saved = snapshot(folder)
        change()
        found = "\n".join(problems(folder))
        for path in folder.rglob("*"):
            if path.is_file() and str(path.relative_to(folder)) not in saved:
                path.unlink()
        for name, content in saved.items():
            (folder / name).write_bytes(content)
        return found

    number, other = current_ids(folder)["balance"], current_ids(folder)["block"]
    balance = folder / "history" / "balance"
    first = balance / f"v1-id{number}.avsc"
    assert "differs from its newest" in after(lambda: first.write_text(first.read_text().replace("Balance", "B")))
    assert "not published" in after(first.unlink)
    assert "not numbered 1, 2, 3" in after(lambda: first.rename(balance / f"v2-id{number}.avsc"))
    assert f"ids.json says {number}" in after(lambda: first.rename(balance / "v1-id7777.avsc"))
    assert f"id {other} stands for 2 versions" in after(lambda: first.rename(balance / f"v1-id{other}.avsc"))
    gone = {name: number for name, number in current_ids(folder).items() if name != "balance"}
    ids = folder / "avro" / "ids.json"
    assert "without a current schema" in after(lambda: ids.write_text(json.dumps(gone)))
    assert problems(folder) == []
    first.rename(balance / "one.avsc")
    with pytest.raises(HistoryError, match=r"balance/one\.avsc"):
        problems(folder)


def test_an_id_given_twice_is_not_published(folder: Path) -> None:
    (folder / "avro" / "draft.avsc").write_text(json.dumps({"type": "record", "name": "Draft", "fields": []}))
    (folder / "avro" / "ids.json").write_text(json.dumps(current_ids(folder) | {"draft": 1}))
    with pytest.raises(HistoryError, match="id 1 stands for 2 versions"):
        publish(folder)


def test_what_avro_calls_readable_is_read_both_ways() -> None:
    def one(kind: Any) -> Any:
        return {"type": "record", "name": "R", "fields": [{"name": "a", "type": kind}]}

    assert unreadable(one("long"), one("int")) == []
    assert unreadable(one("int"), one("long")) != []
    assert unreadable(one("string"), one("bytes")) != []
    assert unreadable(one(["null", "bytes"]), one(["null", "string"])) != []
