"""The broker's jars: pinned with their hashes in `broker-jars.lock`, kept in the user's Maven cache, fetched by jgo.

A start with a full cache opens no connection and resolves nothing: the lock is the class path. A jar counts only with
the hash of the lock, and enters the cache by a rename, so a download that was cut short is never taken for a jar.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

from infra.errors import EnvironmentFault

KAFKA = "4.1.2"
_ROOTS = f"org.apache.kafka:kafka_2.13:{KAFKA}+org.slf4j:slf4j-simple:1.7.36"
LOCK = Path(__file__).with_name("broker-jars.lock")


@dataclass(frozen=True)
class Jar:
    """One jar of the class path: `group:artifact:version` and the SHA-256 of its file in hex."""

    coordinate: str
    sha256: str

    @property
    def place(self) -> Path:
        """Its path inside a Maven repository."""
        group, artifact, version = self.coordinate.split(":")
        return Path(*group.split("."), artifact, version, f"{artifact}-{version}.jar")


def locked() -> list[Jar]:
    """The jars of the lock, in class path order."""
    return [Jar(*line.split()) for line in LOCK.read_text().splitlines()]


def repository() -> Path:
    """The user's Maven cache: `M2_REPO`, or `~/.m2/repository`."""
    return Path(os.environ.get("M2_REPO") or Path.home() / ".m2" / "repository")


def class_path(say: Callable[[str], None] = lambda _: None) -> str:
    """The broker's class path; what the cache lacks is fetched first, and `say` hears of it.

    Raises EnvironmentFault when a jar can't be had.
    """
    jars, cache = locked(), repository()
    missing = [jar for jar in jars if not _holds(cache / jar.place, jar)]
    if missing:
        say(f"Fetching Apache Kafka {KAFKA}: {len(missing)} jars from Maven Central into {cache}, once")
        fetch(missing, cache)
    return os.pathsep.join(str(cache / jar.place) for jar in jars)


def fetch(jars: Iterable[Jar], cache: Path) -> None:
    """Download `jars` into the Maven cache. Raises EnvironmentFault."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".carbonledger-") as staging:
            context = _context(Path(staging))
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda jar: _fetch(context, jar, cache), jars))
    except (OSError, RuntimeError) as error:
        # requests' errors are OSErrors; jgo raises RuntimeError for what no repository has
        raise EnvironmentFault(
            f"The broker's jars could not be fetched ({error}). Connect to the internet and start again, name a mirror "
            f"in jgo's configuration ([repositories] central = …), or use a cluster of your own: CARBONLEDGER_BOOTSTRAP"
        ) from error


def _context(cache: Path) -> Any:
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    remote = {"central": MAVEN_CENTRAL_URL} | GlobalSettings.load().repositories
    return MavenContext(repo_cache=cache, remote_repos=remote, timeout=30)


def _fetch(context: Any, jar: Jar, cache: Path) -> None:
    # the jar alone: jgo's environments would also fetch a second JDK, only to sort jars into modules
    fetched = context.create_dependency(jar.coordinate).artifact.resolve()
    if not _holds(fetched, jar):
        raise RuntimeError(f"{jar.coordinate} is not the file that infra/broker-jars.lock names")
    target = cache / jar.place
    target.parent.mkdir(parents=True, exist_ok=True)
    fetched.replace(target)


def _holds(path: Path, jar: Jar) -> bool:
    return path.is_file() and _sha256(path) == jar.sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def relock() -> str:
    """The text of a new lock: Kafka's run-time dependencies as Maven Central states them now, with hashes."""
    from jgo import resolve

    artifacts = sorted(resolve(_ROOTS), key=lambda artifact: str(artifact.component))
    lines = (f"{a.groupId}:{a.artifactId}:{a.version} {_sha256(a.resolve())}\n" for a in artifacts)
    return "".join(lines)


if __name__ == "__main__":
    sys.stdout.write(relock())
