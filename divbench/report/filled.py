"""Templates of pages, filled: one file of HTML that holds its style and script and may load nothing."""

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from divbench import __version__


def filled(template: str, styles: Sequence[str], scripts: Sequence[str], **values: Any) -> str:
    """A template as text, ending in a newline; all that users named is escaped.

    Args:
        template: a file of the package, such as ``report/page.html.j2``.
        styles, scripts: likewise; the template gets them as ``style`` and ``script``, with the hashes that its
            Content-Security-Policy allows.
        values: what else the template asks for.
    """
    style, script = ("".join(map(_resource, names)) for names in (styles, scripts))
    text = _ENVIRONMENT.get_template(template).render(
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        version=__version__,
        **values,
    )
    return text + "\n"


def _resource(name: str) -> str:
    return (resources.files("divbench") / name).read_text(encoding="utf-8")


def _hash(source: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


_ENVIRONMENT = Environment(
    autoescape=True, trim_blocks=False, lstrip_blocks=True, undefined=StrictUndefined, loader=FunctionLoader(_resource)
)
