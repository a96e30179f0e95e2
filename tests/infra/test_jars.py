"""The broker's class path: pinned, checked, atomic in the cache."""

from pathlib import Path

import pytest

from infra import jars
from infra.errors import EnvironmentFault
from infra.jars import Jar


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Maven cache of its own, in which nothing can be fetched."""
    monkeypatch.setenv("M2_REPO", str(tmp_path))
    return tmp_path


def test_the_lock_pins_the_broker_and_its_logger() -> None:
    coordinates = [jar.coordinate for jar in jars.locked()]
    assert f"org.apache.kafka:kafka_2.13:{jars.KAFKA}" in coordinates
    assert len(set(coordinates)) == len(coordinates)
    assert all(len(bytes.fromhex(jar.sha256)) == 32 for jar in jars.locked())


def test_a_jar_has_its_place_in_a_maven_repository() -> None:
    assert Jar("org.slf4j:slf4j-api:1.7.36", "").place == Path("org/slf4j/slf4j-api/1.7.36/slf4j-api-1.7.36.jar")


def test_a_damaged_jar_is_fetched_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[Jar] = []
    monkeypatch.setattr(jars, "fetch", lambda missing, _: fetched.extend(missing))
    said: list[str] = []
    for jar in jars.locked():
        (cache / jar.place).parent.mkdir(parents=True)
        (cache / jar.place).write_bytes(b"cut short")
    jars.class_path(said.append)
    assert fetched == jars.locked()
    assert len(said) == 1


def test_another_file_than_the_locked_one_never_enters_the_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forged = cache / "forged.jar"
    forged.write_bytes(b"not what was locked")

    class Forger:
        artifact = property(lambda self: self)

        def create_dependency(self, _: str) -> "Forger":
            return self

        def resolve(self) -> Path:
            return forged

    monkeypatch.setattr(jars, "_context", lambda _: Forger())
    jar = jars.locked()[0]
    with pytest.raises(EnvironmentFault, match="is not the file that"):
        jars.fetch([jar], cache)
    assert not (cache / jar.place).exists()


def test_without_a_network_it_says_what_to_do(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf = cache / "jgo.conf"
    conf.write_text("[repositories]\ncentral = http://127.0.0.1:1\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(conf))
    with pytest.raises(EnvironmentFault, match="Connect to the internet"):
        jars.class_path()
    assert not list(cache.glob(".carbonledger-*"))
