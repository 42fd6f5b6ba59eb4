"""Map the classes of a synthetic set onto the real set's, by name, index or WordNet id, and never in silence."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch

from divbench.errors import InputError, shorten
from divbench.images.imageset import NO_CLASSES, ImageSet
from divbench.images.layout import number_of
from divbench.images.wordnet import WNID, names_of, plain

HOW = ("name", "index", "wnid")
Mapping = dict[str, int]
"""Synthetic class name -> label in the real set."""


@dataclass(frozen=True, eq=False)
class ClassMatch:
    """Synthetic classes in terms of the real set's.

    Attributes:
        fake: the synthetic set with ``classes`` as its classes.
        classes: the real set's classes in its order; with ``common``, those that both sides have.
        how: ``"name"``, ``"index"`` or ``"wnid"``.
        note: one line that says what was mapped onto what.
    """

    fake: ImageSet
    classes: tuple[str, ...]
    how: str
    note: str

    def restrict(self, real: ImageSet) -> ImageSet:
        """The real set with only the images of ``classes``, labelled in their order."""
        if real.classes == self.classes:
            return real
        return _relabel(real, {real.classes.index(name): new for new, name in enumerate(self.classes)}, self.classes)


def match_classes(
    fake: ImageSet, real_classes: tuple[str, ...], *, how: str | None = None, common: bool = False
) -> ClassMatch:
    """Map the classes of ``fake`` onto ``real_classes``.

    Equal names are matched by name. Numbered classes (``new007``, ``00007``, tensors) are indices into the real
    set's order where the highest is the real set's last. Anything else has to be confirmed with ``how``.

    Args:
        fake: the synthetic set; one without labels is refused.
        real_classes: class names of the real set in its label order.
        how: ``"name"`` (case and punctuation do not count), ``"index"`` or ``"wnid"`` (ImageNet names and WordNet ids).
        common: keep only the classes that both sides have.

    Raises:
        InputError: the mapping is not certain, is ambiguous, or leaves synthetic classes without a real one; or the
            real set has none.
    """
    if not fake.labelled:
        raise InputError(f"{fake.name}: has no class labels; only measures of the whole set apply")
    if how is not None and how not in HOW:
        raise InputError(f"classes cannot be matched by {how!r}; choose {', '.join(HOW)}")
    used = _used(fake)
    if real_classes == NO_CLASSES and used != NO_CLASSES:
        raise InputError(
            f"{fake.name}: has {len(used)} classes ({shorten(used)}), and the real set has none; give real data with "
            "class folders, or a flat synthetic folder, which is measured as a whole (dataset scope)"
        )
    real = {name: label for label, name in enumerate(real_classes)}
    if how is None:
        how = _certain(used, real_classes)
        if how is None and not (common and any(name in real for name in used)):
            raise InputError(_question(fake, used, real_classes))
        mapping = _by_equal_name(used, real) if how in (None, "name") else _by_index(fake, used, real_classes)
    else:
        mapping = _MAPPINGS[how](fake, used, real_classes)
    return _matched(fake, used, real_classes, mapping, how or "name", common)


def match_sets(
    sets: Sequence[ImageSet], real: ImageSet, how: str | None = None, common: bool = False
) -> tuple[list[ImageSet], ImageSet]:
    """The sets with labels over the classes of the real set, which is restricted to them where only some are common.

    Args:
        sets, real: without labels in some set, all come back as they are.
        how: as for `match_classes`.
        common: keep only the classes of which every one has images.

    Raises:
        InputError: as `match_classes`; or the sets have different classes in common with the real set, or the real set
            no image of any.
    """
    if not all(fake.labelled for fake in sets):
        return list(sets), real
    matches = [match_classes(fake, real.classes, how=how, common=common) for fake in sets]
    for match in matches[1:]:
        if match.classes != matches[0].classes:
            raise InputError(
                f"{match.fake.name} and {matches[0].fake.name} have different classes in common with {real.name}; "
                "score them separately"
            )
    fakes, truth = [replace(m.fake, notes=(*m.fake.notes, m.note)) for m in matches], matches[0].restrict(real)
    return _with_real_images(fakes, truth) if common else (fakes, truth)


def _with_real_images(fakes: list[ImageSet], real: ImageSet) -> tuple[list[ImageSet], ImageSet]:
    """All sets with only the classes of which the real set has images."""
    kept = real.labels.unique().tolist()
    if len(kept) == len(real.classes):
        return fakes, real
    classes, new = tuple(real.classes[label] for label in kept), {label: i for i, label in enumerate(kept)}
    note = f"left out for want of real images: {shorten([name for name in real.classes if name not in classes])}"
    fakes = [replace(_relabel(fake, new, classes), notes=(*fake.notes, note)) for fake in fakes]
    return fakes, _relabel(real, new, classes)


def take_per_class(images: ImageSet, n: int) -> ImageSet:
    """The first ``n`` images of every class, in stored order.

    Raises:
        InputError: some class has fewer; the message names it.
    """
    if n < 1:
        raise InputError(f"{images.name}: cannot take {n} images per class; give at least 1")
    rows = []
    for label, name in enumerate(images.classes):
        of_class = (images.labels == label).nonzero()[:, 0]
        if len(of_class) < n:
            raise InputError(f"{images.name}: class {name!r} has {len(of_class)} images, {n} were asked for")
        rows.append(of_class[:n])
    return images.select(torch.cat(rows).sort().values)


def _used(fake: ImageSet) -> tuple[str, ...]:
    """The classes that have images; those without cannot be wrong."""
    return tuple(fake.classes[label] for label in fake.labels.unique().tolist())


def _numbers(names: Iterable[str]) -> list[int | None]:
    return [number_of(name) for name in names]


def _certain(used: tuple[str, ...], real: tuple[str, ...]) -> str | None:
    """How to match where nothing has to be confirmed."""
    if set(used) <= set(real):
        return "name"
    numbers = [number for number in _numbers(used) if number is not None]
    return "index" if len(numbers) == len(used) and max(numbers) == len(real) - 1 else None


def _by_equal_name(used: tuple[str, ...], real: Mapping) -> Mapping:
    return {name: real[name] for name in used if name in real}


def _by_index(fake: ImageSet, used: tuple[str, ...], real: tuple[str, ...]) -> Mapping:
    """Numbers as indices; other names by their place in the order, which needs equally many on both sides."""
    numbers = _numbers(fake.classes)
    if None not in numbers:
        # Where the real classes are numbered too, numbers meet numbers.
        theirs = _numbers(real)
        place = {number: label for label, number in enumerate(theirs)} if None not in theirs else None
        of_name = dict(zip(fake.classes, numbers, strict=True))
        wanted = {name: place.get(of_name[name]) if place else of_name[name] for name in used}
        return {name: label for name, label in wanted.items() if label is not None and label < len(real)}
    if len(fake.classes) != len(real):
        raise InputError(
            f"{fake.name}: has {len(fake.classes)} classes that are not numbered and the real set {len(real)}: "
            "their order says nothing"
        )
    return {name: fake.classes.index(name) for name in used}


def _by_name(fake: ImageSet, used: tuple[str, ...], real: tuple[str, ...]) -> Mapping:
    return _by_keys(fake, {name: {plain(name)} for name in used}, {name: {plain(name)} for name in real})


def _by_wnid(fake: ImageSet, used: tuple[str, ...], real: tuple[str, ...]) -> Mapping:
    return _by_keys(fake, _with_synonyms(used), _with_synonyms(real))


def _with_synonyms(names: tuple[str, ...]) -> dict[str, set[str]]:
    known = names_of(tuple(name for name in names if WNID.fullmatch(name)))
    return {name: {name, *known.get(name, ())} if WNID.fullmatch(name) else _spellings(name) for name in names}


def _spellings(name: str) -> set[str]:
    return {plain(name), *(plain(one) for one in name.split(",") if plain(one))}


def _by_keys(fake: ImageSet, used: dict[str, set[str]], real: dict[str, set[str]]) -> Mapping:
    names = list(real)
    with_key: dict[str, set[int]] = defaultdict(set)
    for label, keys in enumerate(real.values()):
        for key in keys:
            with_key[key].add(label)
    mapping: Mapping = {}
    for name, keys in used.items():
        found = set().union(*(with_key.get(key, set()) for key in keys))
        if len(found) > 1:
            raise InputError(f"{fake.name}: class {name!r} could be {' or '.join(names[i] for i in found)}; rename it")
        if found:
            mapping[name] = found.pop()
    return mapping


_MAPPINGS = {"name": _by_name, "index": _by_index, "wnid": _by_wnid}


def _matched(
    fake: ImageSet, used: tuple[str, ...], real: tuple[str, ...], mapping: Mapping, how: str, common: bool
) -> ClassMatch:
    lacking = [name for name in used if name not in mapping]
    if not mapping or (lacking and not common):
        raise InputError(
            f"{fake.name}: matched by {how}, {len(lacking)} of its {len(used)} classes are not in the real set: "
            f"{shorten(lacking)}; the real set has {shorten(real)}. "
            f"To score only the classes that both have, say common (--common-classes)"
        )
    times = Counter(mapping.values())
    doubled = [name for name, label in mapping.items() if times[label] > 1]
    if doubled:
        raise InputError(
            f"{fake.name}: classes {shorten(doubled)} are all {real[mapping[doubled[0]]]!r}; merge or rename them"
        )
    kept = sorted(mapping.values()) if common else list(range(len(real)))
    classes = tuple(real[label] for label in kept)
    new = {label: index for index, label in enumerate(kept)}
    relabelled = _relabel(fake, {fake.classes.index(name): new[label] for name, label in mapping.items()}, classes)
    note = _note(how, mapping, real)
    if common and (lacking or len(classes) < len(real)):
        note += f"; only the {len(classes)} common classes of {len(used)} synthetic and {len(real)} real ones"
    return ClassMatch(relabelled, classes, how, note)


def _relabel(images: ImageSet, new: dict[int, int], classes: tuple[str, ...]) -> ImageSet:
    table = torch.full((len(images.classes),), -1)
    for old, label in new.items():
        table[old] = label
    labels = table[images.labels]
    kept = images if bool((labels >= 0).all()) else images.select((labels >= 0).nonzero()[:, 0])
    return replace(kept, labels=labels[labels >= 0], classes=classes)


def _note(how: str, mapping: Mapping, real: tuple[str, ...]) -> str:
    pairs = shorten([f"{name} = {real[label]}" for name, label in mapping.items()], 3)
    if how == "index":
        return f"class folders or labels are indices into the real set's class order: {pairs}"
    return f"classes matched by {'WordNet id' if how == 'wnid' else 'name'}: {pairs}"


def _question(fake: ImageSet, used: tuple[str, ...], real: tuple[str, ...]) -> str:
    """Both lists, and the mappings that would be possible."""
    offers = []
    for how in HOW:
        try:
            mapping = _MAPPINGS[how](fake, used, real)
        except InputError:
            continue
        if mapping:
            fits = "all" if len(mapping) == len(used) else f"{len(mapping)} of {len(used)}"
            offers.append(f"how={how!r} matches {fits}: {shorten([f'{k} = {real[v]}' for k, v in mapping.items()], 3)}")
    offer = (
        "confirm one of: " + "; ".join(offers) + " (on the command line with --classes)"
        if offers
        else "no mapping by name, index or WordNet id fits; rename them"
    )
    return (
        f"{fake.name}: its {len(used)} classes ({shorten(used)}) are not the real set's {len(real)} ({shorten(real)}), "
        f"and a wrong class order gives wrong numbers without an error; {offer}"
    )
