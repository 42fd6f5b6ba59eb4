"""From a report's configuration to its page: read results and images, embed, tell."""

from pathlib import Path

from divbench.cache import Cache
from divbench.combine import only_nets
from divbench.errors import InputError
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
    given = [load_result(base / one) for one in config.results]
    if config.nets:
        given = only_nets(given, config.nets)
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
