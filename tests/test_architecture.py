"""Who may import whom, and what starts fast."""

import ast
import importlib
import itertools
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

import divbench

ROOT = Path(divbench.__file__).parent
RECORD_HALF = (
    "claims.asserting",
    "claims.draft",
    "claims.pins",
    "claims.written",
    "combine",
    "comparison",
    "gains",
    "leaderboard.check",
    "leaderboard.add",
    "planning",
    "pytest_plugin",
    "wording",
    "origin",
    "results",
    "protocol",
    "statistics",
    "report.cost",
    "report.layouts",
    "report.sets",
    "report.tables",
    "report.render",
    "files",
    "provenance",
    "cli",
    "errors",
    "registry",
    "progress",
    "generate.recipe",
    "settings",
    "train.recipe",
    "figures",
    "report.config",
)
TORCHLESS = ("report.page", "report.story", "report.gallery", "figures.canvas", "figures.per_class",
             "figures.references", "figures.training")  # fmt: skip
"""Drawn with matplotlib, but without torch."""
HEAVY = {"torch", "torchvision", "torchmetrics", "open_clip", "timm", "sklearn", "pandas", "matplotlib"}
ALLOWED = {
    "metrics": {"divbench.errors", "divbench.metrics", "divbench.precision", "divbench.registry"},
    "images": {
        "divbench.constants", "divbench.errors", "divbench.files", "divbench.images", "divbench.origin",
        "divbench.registry", "divbench.storage",
    },
    "report": {
        "divbench.__version__", "divbench.combine", "divbench.comparison", "divbench.errors", "divbench.figures",
        "divbench.gains", "divbench.origin", "divbench.protocol", "divbench.report", "divbench.results",
        "divbench.statistics", "divbench.wording",
    },
    # Of embeddings and images, and of results; those on results import no torch (`TORCHLESS`).
    "figures": {
        "divbench.combine", "divbench.comparison", "divbench.controls", "divbench.embedders", "divbench.errors",
        "divbench.figures", "divbench.files", "divbench.images", "divbench.metrics", "divbench.protocol",
        "divbench.results", "divbench.wording",
    },
    "leaderboard": {
        "divbench.claims", "divbench.comparison", "divbench.errors", "divbench.files", "divbench.leaderboard",
        "divbench.report", "divbench.results", "divbench.wording",
    },
    "claims": {
        "divbench.claims", "divbench.combine", "divbench.comparison", "divbench.embedders", "divbench.errors",
        "divbench.evaluate", "divbench.files", "divbench.gains", "divbench.images", "divbench.protocol",
        "divbench.report", "divbench.results", "divbench.scoring", "divbench.statistics",
    },
    "embedders": {
        "divbench.cache", "divbench.constants", "divbench.embedders", "divbench.errors", "divbench.images",
        "divbench.networks", "divbench.origin", "divbench.parallel", "divbench.precision", "divbench.registry",
        "divbench.storage",
    },
    # What optimises a number shares no code with what measures it: no metrics, scoring or controls.
    "generate": {
        "divbench.__version__", "divbench.augment", "divbench.cache", "divbench.constants", "divbench.embedders",
        "divbench.errors", "divbench.files", "divbench.generate", "divbench.images", "divbench.labels",
        "divbench.networks", "divbench.origin", "divbench.parallel", "divbench.precision", "divbench.progress",
        "divbench.provenance", "divbench.registry", "divbench.results", "divbench.seeds", "divbench.settings",
        "divbench.storage", "divbench.teacher", "divbench.train",
    },
    "train": {
        "divbench.augment", "divbench.cautions", "divbench.combine", "divbench.constants", "divbench.embedders",
        "divbench.errors", "divbench.files", "divbench.images", "divbench.labels", "divbench.networks",
        "divbench.parallel", "divbench.precision", "divbench.progress", "divbench.protocol", "divbench.provenance",
        "divbench.results", "divbench.seeds", "divbench.settings", "divbench.statistics", "divbench.storage",
        "divbench.teacher", "divbench.train",
    },
    "labels": {
        "divbench.augment", "divbench.errors", "divbench.files", "divbench.labels", "divbench.storage",
    },
    "augment": {"divbench.augment", "divbench.errors", "divbench.seeds"},
}  # fmt: skip


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("module", ["", *(f".{name}" for name in RECORD_HALF)])
def test_the_record_half_imports_nothing_heavy(module):
    code = f"import sys, divbench{module}\nprint(*{{m.split('.')[0] for m in sys.modules}})"
    assert not HEAVY & set(run(code).split())


@pytest.mark.parametrize("module", TORCHLESS)
def test_pages_of_results_need_no_torch(module):
    code = f"import sys, divbench.{module}\nprint(*{{m.split('.')[0] for m in sys.modules}})"
    assert not {"torch", "torchvision", "sklearn", "pandas"} & set(run(code).split())


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_rooms_import_only_what_they_may(room):
    for path in (ROOT / room).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"divbench.{a.name}" for a in node.names] if node.module == "divbench" else [node.module or ""]
            for name in (n for n in names if n.split(".")[0] == "divbench"):
                assert any(name == a or name.startswith(a + ".") for a in ALLOWED[room]), f"{path}: imports {name}"


def test_everything_that_is_imported_is_declared():
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    declared = {re.split(r"[<>=\[]", one)[0].lower().replace("-", "_") for one in named}
    called = {"PIL": "pillow", "sklearn": "scikit_learn", "open_clip": "open_clip_torch"}
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                modules = [node.module or "divbench"]
            for top in {module.partition(".")[0] for module in modules} - {"divbench"} - sys.stdlib_module_names:
                assert called.get(top, top) in declared, f"{path}: {top} is not in pyproject.toml"


def test_public_names_exist_and_are_listed():
    for name in divbench.__all__:
        assert getattr(divbench, name) is not None
    assert dir(divbench) == sorted(divbench.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = divbench.nothing


def test_every_module_says_what_it_is():
    for path in ROOT.rglob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text())), path


@pytest.mark.slow
def test_no_module_works_at_import_time():
    """Importing every module of the tensor half prints nothing."""
    names = [
        ".".join(("divbench", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
        for path in ROOT.rglob("*.py")
        if path.name != "__main__.py"
    ]
    assert run("import importlib\n" + "\n".join(f"importlib.import_module({name!r})" for name in sorted(names))) == ""
    assert importlib.import_module("divbench.cli").main.name == "main"


@pytest.mark.benchmark
@pytest.mark.parametrize("arguments", [["--help"], ["compare", "--help"]])
def test_the_command_line_answers_at_once(arguments):
    best = 9.0
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "divbench", *arguments], check=True, capture_output=True)
        best = min(best, time.perf_counter() - started)
    assert best < 0.5
