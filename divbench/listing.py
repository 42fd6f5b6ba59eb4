"""What `divbench list` shows."""

import inspect
from collections.abc import Mapping

from divbench.embedders import EMBEDDERS
from divbench.generate.methods import METHODS
from divbench.generate.recipe import load_recipe, recipe_names
from divbench.generate.terms import TERMS
from divbench.images import DATASETS, READERS
from divbench.metrics import METRICS
from divbench.networks import CLASSIFIERS
from divbench.protocol import load_protocol, protocol_names
from divbench.report.render import Cell, Table
from divbench.train.recipe import load_training
from divbench.train.recipe import recipe_names as training_names


def _first_line(item: object) -> str:
    return (inspect.getdoc(item) or "").split("\n")[0]


def metrics() -> Table:
    """Every metric with its direction, settings and source."""
    better = {"higher": "higher", "lower": "lower", None: "neither"}
    rows: list[list[Cell]] = [
        [name, better[m.better], _settings(m.parameters), m.summary, m.cite] for name, m in METRICS.items()
    ]
    return Table("metrics", ["metric", "more diverse", "settings", "what it is", "source"], rows)


def embedders() -> Table:
    """Every family of embedders."""
    return Table("embedders", ["embedder", "what it is"], [[name, _first_line(f)] for name, f in EMBEDDERS.items()])


def protocols() -> Table:
    """Every protocol that comes with divbench."""
    rows = [load_protocol(name) for name in protocol_names()]
    return Table(
        "protocols", ["protocol", "embedder", "what it is"], [[p.name, p.embedder, p.description] for p in rows]
    )


def readers() -> Table:
    """Every format that is read."""
    return Table("readers", ["reader", "what it reads"], [[name, r.summary] for name, r in READERS.items()])


def datasets() -> Table:
    """Every data set that is known by name."""
    rows: list[list[Cell]] = [[d.name, d.classes, ", ".join(d.splits), d.size, d.origin] for d in DATASETS.values()]
    return Table("datasets", ["data set", "classes", "splits", "size", "where it comes from"], rows)


def recipes() -> Table:
    """Every recipe that comes with divbench."""
    found = [(name, load_recipe(name)) for name in recipe_names()]
    rows: list[list[Cell]] = [[name, r.parity, r.ipc, r.iterations, r.description] for name, r in found]
    return Table("recipes", ["recipe", "parity", "images per class", "iterations", "what it is"], rows)


def students() -> Table:
    """Every recipe for students that comes with divbench."""
    rows: list[list[Cell]] = []
    for name in training_names("students"):
        r = load_training("students", name)
        rows.append([name, r.net, r.epochs, r.batch, r.labels.kind, r.loss.kind, r.augment.mix, r.description])
    columns = ["recipe", "network", "epochs", "batch", "labels", "loss", "mix", "what it is"]
    return Table("recipes for students (divbench train --recipe)", columns, rows)


def networks() -> Table:
    """Every network that can be a teacher or a student."""
    rows: list[list[Cell]] = [[name, what] for name, what in CLASSIFIERS.items()]
    return Table("networks (--net)", ["network", "what it is"], rows)


def terms() -> Table:
    """Every loss term with its settings and source."""
    rows: list[list[Cell]] = [[name, _settings(t.settings), t.summary, t.cite] for name, t in TERMS.items()]
    return Table("terms", ["term", "settings", "what it is", "source"], rows)


def methods() -> Table:
    """Every method with its settings and source."""
    rows: list[list[Cell]] = [[name, _settings(m.settings), m.summary, m.cite] for name, m in METHODS.items()]
    return Table("methods", ["method", "settings", "what it is", "source"], rows)


def _settings(defaults: Mapping[str, object]) -> str:
    return ", ".join(f"{key}={value}" for key, value in defaults.items())
