"""The methods of the field: `leaderboards/methods.toml`, which people edit, one table per method.

A key such as ``sre2l`` names a method wherever numbers are compared; ``sre2l+dire`` is SRe2L with the addition DiRe.
"""

import difflib
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import msgspec
from msgspec import Struct

from divbench.errors import ResultError
from divbench.leaderboard.facts import normalise

Kind = Literal["optimised", "selected", "generated", "addition"]
"""Pixels by gradients; real images or parts of them; by a generative model; plugged into one of those."""


class Method(Struct, frozen=True, forbid_unknown_fields=True):
    """A method and where it comes from; "" where that is not known.

    Attributes:
        name: how tables print it.
        kind: what its images are, or ``addition``.
        title, authors, venue: of the paper; authors short, "et al." from the fourth on.
        arxiv: number of the paper, such as ``2306.13092``.
        code: address of the authors' code.
        aliases: other printed spellings; spaces at brackets do not count.
    """

    name: str
    kind: Kind
    title: str = ""
    authors: str = ""
    venue: str = ""
    arxiv: str = ""
    code: str = ""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Methods:
    """All methods by key, in the order of the file."""

    known: dict[str, Method]

    @property
    def aliases(self) -> dict[str, str]:
        """Every printed spelling and the key itself -> key, for `divbench.leaderboard.facts.facts`."""
        return {spelling: key for key, one in self.known.items() for spelling in (key, one.name, *one.aliases)}

    def check(self, key: str) -> None:
        """Refuse a key that names no method, or joins what cannot be joined.

        Raises:
            ResultError: a part around "+" is unknown or stands twice, the first is an addition, or another is none.
        """
        for place, part in enumerate(key.split("+")):
            if part not in self.known:
                hint = f"did you mean {close!r}? " if (close := self._close(key, part)) else ""
                raise ResultError(f"{key!r}: unknown method {part!r}; {hint}To add one, write a table in methods.toml")
            kind = self.known[part].kind
            if place == 0 and kind == "addition":
                raise ResultError(f"{key!r}: {part!r} is an addition; name what it is added to first: 'sre2l+{part}'")
            if key.split("+").count(part) > 1:
                raise ResultError(f"{key!r}: {part!r} is added twice")
            if place > 0 and kind != "addition":
                raise ResultError(f"{key!r}: only additions follow a '+', and {part!r} is of kind {kind!r}")

    def _close(self, key: str, part: str) -> str:
        """What was meant by an unknown part: the key of a printed name, or the nearest key; "" if none is near."""
        whole = normalise(key, self.aliases)
        if self.known.keys() >= set(whole.split("+")):
            return whole
        return next(iter(difflib.get_close_matches(part.lower(), self.known, n=1)), "")

    def name(self, key: str) -> str:
        """``SRe2L + DiRe`` for ``sre2l+dire``; parts that are not known stay as they are."""
        parts = re.split(r"\+(?=[^+])", key)  # an unknown SRe2L++ is one part
        return " + ".join(self.known[part].name if part in self.known else part for part in parts)

    def order(self, key: str) -> tuple[int, ...]:
        """Sorts keys as the file does, a method before what is added to it; parts that are not known come last."""
        places = {part: place for place, part in enumerate(self.known)}
        return tuple(places.get(part, len(places)) for part in key.split("+"))

    def kind(self, key: str) -> str:
        """What the images are, by the first part; "" where that is not known."""
        first = self.known.get(key.split("+")[0])
        return "" if first is None else first.kind


def load_methods(path: Path) -> Methods:
    """Read `methods.toml`.

    Raises:
        ResultError: it cannot be read, holds no method, has unknown or missing keys or malformed values, or two methods
            share a spelling; the message names file, method and key.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ResultError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    except tomllib.TOMLDecodeError as error:
        raise ResultError(f"{path}: is no TOML: {error}") from error
    if not data:
        raise ResultError(f"{path}: holds no method; add a table with its name and kind under a key, such as [sre2l]")
    known: dict[str, Method] = {}
    owners: dict[str, str] = {}
    for key, table in data.items():
        try:
            known[key] = msgspec.convert(table, Method)
        except msgspec.ValidationError as error:
            raise ResultError(f"{path}: {key}: {error}; a method has {_FIELDS}") from error
        for problem in _problems(key, known[key]):
            raise ResultError(f"{path}: {key}: {problem}")
        for spelling in (key, known[key].name, *known[key].aliases):
            if (owner := owners.setdefault(normalise(spelling, {}), key)) != key:
                raise ResultError(f"{path}: {key}: {spelling!r} is a spelling of {owner} already; drop one")
    return Methods(known)


_FIELDS = f"name, kind ({', '.join(get_args(Kind))}) and, where known, {', '.join(Method.__struct_fields__[2:])}"


def _problems(key: str, method: Method) -> Iterator[str]:
    """What a type cannot say."""
    if not re.fullmatch(r"[a-z0-9-]+", key):
        yield f"a key is of lower-case letters, digits and '-', got {key!r}; '+' joins keys, as in sre2l+dire"
    for spelling in (method.name, *method.aliases):
        if not spelling.strip() or re.search(r"\s\+\s", spelling):
            yield f"name and aliases are spellings of one method, not empty and without ' + ', got {spelling!r}"
    if method.arxiv and not re.fullmatch(r"[0-9]{4}\.[0-9]{4,5}", method.arxiv):
        yield f"arxiv is a number such as 2306.13092, got {method.arxiv!r}"
    if method.code and not method.code.startswith("https://"):
        yield f"code is an address that begins with https://, got {method.code!r}"
