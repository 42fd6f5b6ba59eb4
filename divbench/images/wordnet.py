"""WordNet ids <-> ImageNet's class names, from timm's tables."""

import re

WNID = re.compile(r"n\d{8}")


def plain(name: str) -> str:
    """A class name without case, spaces, underscores and punctuation.

    >>> plain("Fire_Truck")
    'firetruck'
    """
    return "".join(char for char in name.casefold() if char.isalnum())


def names_of(wnids: tuple[str, ...]) -> dict[str, set[str]]:
    """WordNet id -> its names as `plain` texts: every synonym, and the whole description; unknown ids are left out."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-22k")
    known = set(info.label_names())
    names = {}
    for wnid in wnids:
        if wnid in known:
            description = info.label_name_to_description(wnid, detailed=False)
            names[wnid] = {plain(description), *(plain(one) for one in description.split(","))}
    return names
