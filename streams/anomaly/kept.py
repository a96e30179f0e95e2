"""What a detector knows as plain data, and back: numbers, texts, lists and mappings by text, fit for JSON."""

from collections import deque
from collections.abc import Mapping
from typing import Any, ClassVar


class Kept:
    """Something whose attributes are its state, but for private ones and those that come from settings: `declared`."""

    declared: ClassVar[frozenset[str]] = frozenset()

    def state(self) -> dict[str, Any]:
        """Everything that it knows."""
        return {
            name: _plain(value) for name, value in vars(self).items() if name not in self.declared and name[0] != "_"
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Know what `state` of the same class said, and go on as it would have. What is no attribute is left out."""
        for name, value in state.items():
            if not hasattr(self, name):
                continue
            setattr(self, name, _like(getattr(self, name), value))


def _plain(value: Any) -> Any:
    if isinstance(value, Kept):
        return value.state()
    if isinstance(value, (deque, list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return value


def _like(old: Any, new: Any) -> Any:
    if isinstance(old, Kept):
        old.restore(new)
        return old
    if isinstance(old, deque):
        return deque(new, old.maxlen)
    if isinstance(old, list) and old and isinstance(old[0], Kept):
        for one, state in zip(old, new, strict=True):
            one.restore(state)
        return old
    if isinstance(old, dict) and old and isinstance(next(iter(old.values())), Kept):
        for key, state in new.items():
            if key in old:
                old[key].restore(state)
        return old
    return new
