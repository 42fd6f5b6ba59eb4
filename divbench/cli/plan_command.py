"""``divbench plan``."""

from pathlib import Path

import click

from divbench.cli import _options

_SEEDS = (1, 2, 3, 5, 10)


@click.command()
@click.argument("results", nargs=-1, type=_options.PATH, metavar="[BASELINE.json CANDIDATE.json]")
@click.option(
    "--gain",
    type=click.FloatRange(0, min_open=True),
    required=True,
    help="To be shown, in the metric's units; of an accuracy a share of the test images: 0.01 is a point.",
)
@click.option("--metric", default="coverage", show_default=True, help="Of the results, to measure how it varies.")
@click.option("--classes", type=click.IntRange(2), default=None, help="Classes.  [default: those of the results]")
@click.option(
    "--class-sd",
    type=click.FloatRange(0, min_open=True),
    default=None,
    help="Standard deviation over classes of the difference.  [default: that of the results]",
)
@click.option(
    "--seed-sd",
    type=click.FloatRange(0),
    default=None,
    help="Standard deviation over seeds of a set's mean.  [default: that of the results, else 0]",
)
@click.option("--power", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.8, show_default=True)
@click.option("--confidence", type=click.FloatRange(0.5, 1, max_open=True), default=0.95, show_default=True)
def plan(
    results: tuple[Path, ...], gain: float, metric: str, classes: int | None, class_sd: float | None,
    seed_sd: float | None, power: float, confidence: float,
) -> None:  # fmt: skip
    """How many seeds and classes it takes to show a gain of this size."""
    from divbench.combine import relevant
    from divbench.comparison import check_comparable, check_equal_sizes, per_set
    from divbench.planning import needed, spread_of
    from divbench.planning import power as power_of
    from divbench.report.render import Cell, Table, render
    from divbench.results import ACCURACY, load_result
    from divbench.statistics import fewest_classes

    if len(results) not in (0, 2):
        raise click.UsageError(
            "give a baseline and a candidate, from which to measure how the metric varies, or neither"
        )
    accuracy = bool(results) and metric.startswith(ACCURACY)
    if accuracy and gain > 1:
        raise click.UsageError(
            f"--gain {gain:g}: of {metric} it is a share of the test images, at most 1; a point is 0.01"
        )
    noise_sd = None
    if results:
        first, second = (relevant(load_result(path), metric) for path in results)
        check_comparable([first, second])
        check_equal_sizes(first, second)
        before, after = per_set(first, first.score(metric)), per_set(second, second.score(metric))
        spread = spread_of(before, after)
        classes = classes or len(before.per_class[0])
        class_sd = spread.class_sd if class_sd is None else class_sd
        seed_sd = spread.seed_sd if seed_sd is None else seed_sd
        noise_sd = spread.noise_sd
    if classes is None or class_sd is None:
        raise click.UsageError("give --classes and --class-sd, or two results to measure them from")
    hopeful = " (not measured, taken as 0: too hopeful)" if seed_sd is None else ""
    seed_sd = seed_sd or 0.0
    seeds = [one for one in _SEEDS if one > 1 or classes >= fewest_classes(confidence)]
    rows: list[list[Cell]] = [
        [one, power_of(gain, classes, class_sd, seed_sd, one, confidence, noise_sd), _about(one)] for one in seeds
    ]
    found = needed(gain, classes, class_sd, seed_sd, confidence, power, noise_sd=noise_sd)
    points = f" ({100 * gain:g} points)" if accuracy else ""
    notes = [
        f"a gain of {gain:g}{points} over {classes} classes; standard deviation {class_sd:.3g} over classes, "
        f"{seed_sd:.3g} over seeds{hopeful}; two-sided test at {confidence:.4g}",
        f"power {power:g} takes {_said(found.seeds, 'seeds')} at {classes} classes, or "
        f"{_said(found.classes, 'classes')} with one set each",
        "what one set each gains may be its seed's alone",
    ]
    click.echo(render(Table("power to show a gain", ["seeds", "power", "speaks about"], rows, notes)), nl=False)


def _about(seeds: int) -> str:
    return "these sets" if seeds == 1 else "the method"


def _said(count: int | None, what: str) -> str:
    return f"more {what} than anybody makes" if count is None else f"{count} {what}"
