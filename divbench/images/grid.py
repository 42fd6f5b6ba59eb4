"""A picture of a set: a row for each class, a column for each image."""

from pathlib import Path

from PIL import Image

from divbench.images.imageset import ImageSet

_ROWS, _COLUMNS, _SIDE, _GAP = 10, 10, 64, 2
"""Classes and images shown at most, least side of an image in pixels, and the space between them."""


def draw_grid(images: ImageSet) -> Image.Image:
    """The first 10 images of the first 10 classes, small ones enlarged without smoothing."""
    rows = [(images.labels == label).nonzero()[:_COLUMNS, 0].tolist() for label in range(len(images.classes))][:_ROWS]
    pictures = [[Image.fromarray(images.read(i).pixels.permute(1, 2, 0).numpy()) for i in row] for row in rows]
    side = max(picture.width for row in pictures for picture in row)
    side *= -(-_SIDE // side)
    columns = max(map(len, pictures))
    sheet = Image.new("RGB", (columns * (side + _GAP) - _GAP, len(rows) * (side + _GAP) - _GAP), "white")
    for y, row in enumerate(pictures):
        for x, picture in enumerate(row):
            place = picture.resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(place, (x * (side + _GAP), y * (side + _GAP)))
    return sheet


def save_grid(images: ImageSet, path: Path) -> None:
    """Write `draw_grid` as PNG."""
    draw_grid(images).save(path, format="PNG")
