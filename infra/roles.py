"""The processes of the product: which function each runs, after whom, when it is ready, and its consumer group.

A role's function is named, not imported, so that listing the roles costs nothing; `carbonledger run ROLE` imports and
calls it as `function(settings, *args)`. It returns at SIGTERM. To add a process, add an entry.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from infra.settings import Settings


@dataclass(frozen=True)
class Role:
    """One kind of process. `target` is `package.module:function`."""

    name: str
    target: str
    args: tuple[str, ...] = ()
    depends: tuple[str, ...] = ("broker",)
    group: str | None = None
    ready: "Callable[[Settings], bool] | None" = None
    stop_within: float = 10.0

    def function(self) -> Callable[..., None]:
        """The function that is the process."""
        module, name = self.target.split(":")
        function: Callable[..., None] = getattr(import_module(module), name)
        return function


_ALL = (Role("broker", "infra.services:become_broker", depends=(), stop_within=30.0),)

ROLES = {role.name: role for role in _ALL}
