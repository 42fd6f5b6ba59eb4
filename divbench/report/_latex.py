"""Texts and numbers as LaTeX that pdflatex sets as they are, with no package but booktabs."""

import re

NEEDS = r"needs \usepackage{booktabs}; letters other than é, ü, ñ and their like need LuaLaTeX"
_SIGNS = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
        **{sign: f"${sign}$" for sign in "<>|"},
        **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
        # After the end of a row these would be read as its options.
        **{"[": "{[}", "*": "{*}"},
        **{"↑": r"$\uparrow$", "↓": r"$\downarrow$", "→": r"$\to$", "Δ": r"$\Delta$"},
        **{"±": r"$\pm$", "×": r"$\times$", "−": "$-$", "–": "--", "—": "---", "…": r"\dots{}"},
    }
)


def escaped(text: str) -> str:
    """Any text; letters beyond ASCII stay as they are."""
    return text.translate(_SIGNS)


def number(shown: str) -> str:
    """A number as `divbench.report.render.text` shows it.

    >>> print(number("-9.8e-06"))
    $-$9.8$\\times10^{-6}$
    """
    signed = re.sub(r"^-", "−", shown)
    return re.sub(r"e([+-]\d+)", lambda found: rf"$\times10^{{{int(found[1])}}}$", escaped(signed))


def comments(lines: list[str]) -> list[str]:
    """Each text as one line that LaTeX leaves out."""
    return [f"% {' '.join(line.split())}" for line in lines]
