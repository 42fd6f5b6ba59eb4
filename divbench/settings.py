"""Values of recipes as people write them. No torch in here."""

from typing import Any

import msgspec


def json_types(value: Any) -> Any:
    """A record made of what JSON holds: tuples become lists, so that it is equal to what is read back."""
    return msgspec.json.decode(msgspec.json.encode(value))


def parse_value(text: str) -> Any:
    """A value in TOML; what is none is taken as a text."""
    try:
        return msgspec.toml.decode(f"value = {text}")["value"]
    except msgspec.DecodeError:
        return text


def leaves(plain: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted name -> value of everything in nested tables."""
    found: dict[str, Any] = {}
    for key, value in plain.items():
        found |= leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return found
