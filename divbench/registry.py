"""Name -> item, filled from the modules of one package; unknown names are answered with a suggestion."""

import difflib
import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from divbench.errors import DivbenchError, ProtocolError

Item = TypeVar("Item")


class Registry(Generic[Item]):
    """Items that the modules of ``package`` add on import; the modules are imported at the first look-up.

    Args:
        kind: what the items are called in messages, such as ``"metric"``.
        package: dotted name of the package whose public modules register items.
        error: what an unknown name raises.
    """

    def __init__(self, kind: str, package: str, error: type[DivbenchError] = ProtocolError) -> None:
        self.kind, self.package, self.error = kind, package, error
        self._items: dict[str, Item] = {}
        self._filled = False

    def add(self, name: str, item: Item) -> None:
        """Register ``item``; a name is given once."""
        if name in self._items:
            raise ValueError(f"{self.kind} {name!r} is registered twice")
        self._items[name] = item

    def _fill(self) -> dict[str, Item]:
        if not self._filled:
            self._filled = True
            package = importlib.import_module(self.package)
            for module in pkgutil.iter_modules(package.__path__):
                if not module.name.startswith("_"):
                    importlib.import_module(f"{self.package}.{module.name}")
        return self._items

    def __getitem__(self, name: str) -> Item:
        items = self._fill()
        if name in items:
            return items[name]
        close = difflib.get_close_matches(name, items, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(items))}"
        raise self.error(f"unknown {self.kind} {name!r}; {hint}")

    def __contains__(self, name: str) -> bool:
        return name in self._fill()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._fill()))

    def items(self) -> list[tuple[str, Item]]:
        """All (name, item) pairs, sorted by name."""
        return sorted(self._fill().items())


def resolve_settings(
    owner: str,
    defaults: dict[str, Any],
    given: dict[str, Any],
    error: type[DivbenchError],
    *,
    least: int | None = None,
) -> dict[str, Any]:
    """All settings, the given ones with the types of their defaults.

    Args:
        owner: what has the settings, for messages, such as ``"term 'dpp'"``.
        defaults: names and defaults, of type bool, int, float or str.
        given: some of them; a whole number is taken for a float.
        error: what to raise for an unknown setting, a value of another type, or one that is too small.
        least: of whole numbers.
    """
    resolved = dict(defaults)
    for key, value in given.items():
        if key not in defaults:
            raise error(f"{owner} has no setting {key!r}; settings: {', '.join(defaults) or 'none'}")
        kind = type(defaults[key])
        if type(value) is not kind and not (kind is float and type(value) is int):
            raise error(f"{owner}: {key} is {_KINDS[kind]}, got {value!r}")
        if kind is int and least is not None and value < least:
            raise error(f"{owner}: {key} is {value}; it must be at least {least}")
        resolved[key] = kind(value)
    return resolved


_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
