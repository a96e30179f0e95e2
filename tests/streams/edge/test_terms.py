"""What a gateway goes by: whose key counts, and what a registry has of its points and operators."""

import json
from typing import Any

import pytest

from carbon import factors, registry, signing
from carbon.registry import Registry, canonical_json
from streams.edge.counter import Counted, Register
from streams.edge.terms import Stated, TermsError, terms_of
from tests.registrars import rotation
from tests.small import registry_bytes, seed
from tests.streams.edge.test_commands import OPERATORS
from tests.streams.edge.test_config import COUNTED

KEYS = {0: signing.public_key(seed("gw-0")), 1: signing.public_key(seed("next"))}
STATED = Stated("gw-0", KEYS, {}, {})


def parsed(file: Any) -> Registry:
    return registry.parse(file if isinstance(file, bytes) else canonical_json(file), factors.load())


NOW = parsed(registry_bytes(gateways=2, operators=OPERATORS))


def changed(section: str, name: str, **fields: Any) -> Registry:
    file = json.loads(NOW.file)
    next(entry for entry in file[section] if entry["id"] == name).update(fields)
    return parsed(file)


def rotated(key: str) -> Registry:
    return changed("gateways", "gw-0", **rotation(NOW, "gw-0", key)[1])


def test_a_key_of_the_registry_s_run_may_send() -> None:
    assert terms_of(NOW, STATED, 0)[:2] == (0, "")
    assert terms_of(rotated("next"), STATED, 0)[:2] == (1, "")


@pytest.mark.parametrize(
    ("now", "stated", "says"),
    [
        (changed("gateways", "gw-0", revoked=True), STATED, "the key of run 0 is revoked"),
        (rotated("another"), STATED, "run 1 is registered, with a key that is not at hand"),
        (NOW, STATED._replace(keys={1: KEYS[1]}), "run 0 is registered, with a key that is not at hand"),
        (NOW, STATED._replace(keys={0: KEYS[1]}), "run 0 is registered, with a key that is not at hand"),
        (NOW, STATED._replace(gateway="gw-9"), "the gateway is not registered"),
    ],
)
def test_without_such_a_key_nothing_is_sent_and_the_run_stands(now: Registry, stated: Stated, says: str) -> None:
    assert terms_of(now, stated, 5)[:2] == (5, says)


def test_its_points_have_their_scales_of_the_registry_and_others_of_the_settings() -> None:
    now = changed("points", "plant-0-1", scale=3)
    terms = terms_of(now, STATED._replace(scales={"plant-0-1": 3, "not-yet": 2}), 0)
    assert terms.scales == {"plant-0-0": 0, "plant-0-1": 3, "plant-0-2": 0, "not-yet": 2}
    with pytest.raises(TermsError, match="plant-0-1 has 3 decimal places"):
        terms_of(now, STATED._replace(scales={"plant-0-1": 2}), 0)


def test_only_its_own_operators_command_it() -> None:
    assert set(terms_of(NOW, STATED, 0).operators) == {"control-room"}


def test_what_is_changed_of_others_leaves_the_terms() -> None:
    terms = terms_of(NOW, STATED, 0)
    for section, name, fields in (
        ("points", "plant-1-0", {"max": 7}),
        ("points", "plant-0-0", {"max": 7}),
        ("gateways", "gw-1", {"revoked": True}),
        ("operators", "other-plant", {"key": KEYS[1].hex()}),
    ):
        assert terms_of(changed(section, name, **fields), STATED, 0) == terms
    assert terms_of(changed("operators", "control-room", key=KEYS[1].hex()), STATED, 0) != terms


def test_another_rate_is_another_register() -> None:
    stated = STATED._replace(counters={"plant-0-0": "plant-0-1"})
    for rate, most in ((500, 2_000), (50, 200)):
        more = {**COUNTED, "plant-0-0": {**COUNTED["plant-0-0"], "rate": rate}}
        terms = terms_of(parsed(registry_bytes(more=more)), stated, 0)
        assert terms.counters == {"plant-0-0": Counted("plant-0-1", Register(10**6, most), 900_000, 1)}
        assert terms.future_ms == 0
