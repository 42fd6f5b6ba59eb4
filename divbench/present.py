"""From a report's configuration to its page: read results and images, embed, tell."""

from collections.abc import Sequence
from pathlib import Path

from divbench.cache import Cache
from divbench.combine import joined, only_nets
from divbench.errors import InputError, ResultError
from divbench.evaluate import Embedding
from divbench.exhibits import MOST_CLASSES, MapOptions, find_sets, gallery, see
from divbench.images import DATASETS, read_images, read_repeats
from divbench.progress import Progress, no_progress
from divbench.report._page_tables import ends
from divbench.report.config import ReportConfig
from divbench.report.gallery import NO_GALLERY, Gallery
from divbench.report.page import Wording, checked, named_pairs, page
from divbench.report.verdicts import pairs_to_tell
from divbench.results import Result, load_result


def present(
    config: ReportConfig,
    base: Path,
    *,
    device: str | None = None,
    batch_size: int = 128,
    data_dir: Path | None = None,
    download: bool = False,
    cache: Cache | None = None,
    progress: Progress = no_progress,
) -> str:
    """The HTML of a report.

    Args:
        config: what it is made of.
        base: folder that the paths of ``config`` are relative to.
        device, batch_size, data_dir, download, cache: as for scoring; needed where there are real images.

    Raises:
        ResultError: results that cannot stand on one page, or were made with another embedder or other real images.
        InputError: images that cannot be read or belong to none of the results.
    """
    given = _shown([load_result(base / one) for one in config.results], config.nets)
    results = checked(given)
    pairs = named_pairs(results, config.pairs) if config.pairs else pairs_to_tell(results)
    shown = NO_GALLERY
    if config.sets:
        shown = _gallery(config, base, results, ends(results, pairs, MOST_CLASSES), device, batch_size, data_dir,
                         download, cache, progress)  # fmt: skip
    elif config.real is not None:
        raise InputError("real images alone show nothing of the entries: give the sets, too (--sets)")
    cost = [load_result(base / one) for one in config.cost]
    return page(given, shown, Wording(config.title, config.note, config.pairs), cost)


def _shown(results: list[Result], nets: Sequence[str]) -> list[Result]:
    """The results with students of these networks alone; of all where none is named."""
    if not nets:
        return results
    held = dict.fromkeys(one.net for result in results for one in result.accuracies)
    if missing := [net for net in nets if net not in held]:
        raise ResultError(
            f"no result has students of {', '.join(missing)}; there are those of {', '.join(held) or 'none'}"
        )
    found = [only_nets(result, nets) for result in joined(results)]
    if empty := [result.name for result in found if not result.scores]:
        raise ResultError(f"{', '.join(empty)}: has no diversity and no students of {', '.join(nets)}; leave it out")
    return found


def _gallery(
    config: ReportConfig, base: Path, results: list[Result], focus: list[int], device: str | None, batch_size: int,
    data_dir: Path | None, download: bool, cache: Cache | None, progress: Progress,
) -> Gallery:  # fmt: skip
    sets = [
        images
        for one in config.sets
        for images in read_repeats(
            str(base / one.path), normalized=one.normalized, per_class=one.per_class, as_is=one.as_is
        )
    ]
    found = find_sets(results, sets, config.classes)
    if config.real is None:
        return gallery(results, found, focus=focus)
    source = config.real if config.real in DATASETS or ":" in config.real else str(base / config.real)
    real = read_images(source, split=config.split, data_dir=data_dir, download=download)
    asked = config.embedder
    embedding = Embedding(
        asked.name,
        None if asked.weights is None else base / asked.weights,
        asked.mean_std,
        asked.input_size,
        asked.precision,
        device,
        batch_size,
    )
    seen = see(results, found, real, embedding, cache=cache, progress=progress)
    options = MapOptions(config.tsne.perplexity, config.tsne.real, config.tsne.seed)
    return gallery(results, found, seen, focus=focus, options=options)
