"""Who must have signed a submission, and whose word counts on whom, at the time that it is about."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from carbon import calendar, claims, factors, registry, submission
from carbon.refusal import Refusal
from carbon.registry import Registry
from carbon.signing import public_key
from tests.contents import CONTENTS, OFFSET, POINTS, SUBJECTS, YEAR, month
from tests.small import registry_bytes, seed

CHANNEL = bytes(range(32))
SOLD = {"parents": [{"start": month(7), "parent": "elsewhere"}]}
PARTIES = {
    "office": ("regulator", "region"),
    "other-office": ("regulator", "elsewhere"),
    "plant-co": ("enterprise", "plant"),
    "works-co": ("enterprise", "works"),
    "verifier": ("verifier", None),
    "statistics": ("statistics", "region"),
    "exchange": ("exchange", None),
    "credits": ("offset registry", None),
}


def world(**of_plant: Any) -> Registry:
    subjects = [entry | (of_plant if entry["id"] == "plant" else {}) for entry in SUBJECTS]
    parties = [
        {"id": name, "key": public_key(seed(name)).hex(), "role": role, "subject": subject}
        for name, (role, subject) in PARTIES.items()
    ]
    return registry.parse(registry_bytes(subjects=subjects, parties=parties, more=POINTS), factors.load())


WORLD = world()


def payload(kind: str, signers: Sequence[str], number: int = 2, salt: bytes = bytes(16), **changes: Any) -> bytes:
    body = submission.body_of(signers[0], number, kind, CONTENTS[kind] | changes, salt)
    return submission.signed(body, {name: seed(name) for name in signers}, CHANNEL)


def verdict(data: bytes, known: Registry = WORLD) -> Refusal:
    return claims.refusal(data, CHANNEL, known, OFFSET)


SIGNERS: Mapping[str, Sequence[str]] = {
    "allocation": ("office",),
    "transfer": ("plant-co", "works-co"),
    "surrender": ("plant-co",),
    "verification": ("verifier",),
    "output": ("plant-co",),
    "gdp": ("statistics",),
    "price": ("exchange",),
    "assessment": ("verifier",),
}


@pytest.mark.parametrize("kind", SIGNERS)
def test_who_may_say_it_is_heard_and_nobody_else(kind: str) -> None:
    assert verdict(payload(kind, SIGNERS[kind])) is Refusal.PASS
    for party, (role, _) in PARTIES.items():
        if role not in submission.ROLES[kind]:
            assert verdict(payload(kind, (party, *SIGNERS[kind][1:]))) is Refusal.WRONG_ROLE


@pytest.mark.parametrize(
    ("wanted", "data"),
    [
        (Refusal.MALFORMED, b""),
        (Refusal.MALFORMED, payload("price", ["exchange"], number=0)),
        (Refusal.UNKNOWN_PARTY, payload("price", ["nobody"])),
        (Refusal.NOT_SIGNED, payload("price", ["exchange", "nobody"])),
        (Refusal.WRONG_ROLE, payload("surrender", ["works-co"])),
        (Refusal.WRONG_ROLE, payload("allocation", ["other-office"])),
        (Refusal.UNKNOWN_SUBJECT, payload("allocation", ["office"], subject="nobody")),
        (Refusal.UNKNOWN_SUBJECT, payload("transfer", ["plant-co", "works-co"], buyer="nobody")),
        (Refusal.NOT_COUNTERSIGNED, payload("transfer", ["plant-co"])),
        (Refusal.NOT_COUNTERSIGNED, payload("transfer", ["plant-co", "office"])),
    ],
)
def test_what_the_envelope_refuses(wanted: Refusal, data: bytes) -> None:
    assert verdict(data) is wanted


def test_of_an_anomaly_verifier_and_authority_decide_and_the_subject_itself_comments() -> None:
    for party in ("verifier", "office"):
        for said in ("CONFIRMED", "DISMISSED", "COMMENTED"):
            assert verdict(payload("assessment", [party], verdict=said)) is Refusal.PASS
    for said, wanted in (
        ("COMMENTED", Refusal.PASS),
        ("CONFIRMED", Refusal.WRONG_ROLE),
        ("DISMISSED", Refusal.WRONG_ROLE),
    ):
        assert verdict(payload("assessment", ["plant-co"], verdict=said)) is wanted
    assert verdict(payload("assessment", ["works-co"], verdict="COMMENTED")) is Refusal.WRONG_ROLE
    assert verdict(payload("assessment", ["other-office"])) is Refusal.WRONG_ROLE
    assert verdict(payload("assessment", ["other-office"]), world(**SOLD)) is Refusal.WRONG_ROLE, "in March it is ours"
    july = {"anomaly": f"anomaly/plant-0-0/gap/raised/{month(7)}"}
    assert verdict(payload("assessment", ["other-office"], **july), world(**SOLD)) is Refusal.PASS


def test_one_signature_for_another_channel_or_body_is_none() -> None:
    body = submission.body_of("exchange", 2, "price", CONTENTS["price"], bytes(16))
    other = submission.body_of("exchange", 3, "price", CONTENTS["price"], bytes(16))
    elsewhere = submission.signed(body, {"exchange": seed("exchange")}, bytes(32))
    assert verdict(elsewhere) is Refusal.NOT_SIGNED
    swapped = submission.read(submission.signed(other, {"exchange": seed("exchange")}, CHANNEL)).signatures
    made = submission.codec.encode_bare(
        "submission", {"body": body, "signatures": [{"party": p, "signature": s} for p, s in swapped]}
    )
    assert verdict(made) is Refusal.NOT_SIGNED


def test_the_authority_is_that_of_the_last_instant_of_what_is_meant() -> None:
    sold = world(**SOLD)
    assert verdict(payload("allocation", ["office"]), sold) is Refusal.WRONG_ROLE
    assert verdict(payload("allocation", ["other-office"]), sold) is Refusal.PASS
    june = {"subject": "plant", "start": month(6), "end": month(7)}
    assert verdict(payload("gdp", ["statistics"], **june), sold) is Refusal.PASS
    july = {"subject": "plant", "start": month(7), "end": month(8)}
    assert verdict(payload("gdp", ["statistics"], **july), sold) is Refusal.WRONG_ROLE


def test_the_moment_of_a_submission() -> None:
    moments = {
        kind: submission.moment(submission.read(payload(kind, signers)), OFFSET) for kind, signers in SIGNERS.items()
    }
    end_of_year = calendar.year_start(YEAR + 1, OFFSET) - 1
    assert moments["allocation"] == moments["verification"] == moments["price"] == end_of_year
    assert moments["gdp"] == moments["output"] == month(4) - 1
    assert moments["transfer"] == 0
    assert moments["assessment"] == month(3)
    assert submission.moment(submission.read(payload("price", ["exchange"], year=2**31 - 1)), OFFSET) == 0


def test_the_table_of_rules_is_the_codes() -> None:
    page = (Path(__file__).parents[2] / "docs" / "submission-rules.md").read_text()
    stated = {name: int(number) for number, name in re.findall(r"^\| (\d+) \| `(\w+)` \|", page, re.MULTILINE)}
    assert stated == {refusal.label: refusal.value for refusal in Refusal if refusal.label in stated}
    assert {refusal for refusal in Refusal if 15 <= refusal <= 39} <= {Refusal(number) for number in stated.values()}
