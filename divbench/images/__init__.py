"""Image sets: read them from whatever holds them, match their classes, write them."""

from divbench.images.imageset import BadImageError, ImageSet, ImageSource, Picture
from divbench.images.labels import ClassMatch, match_classes, match_sets, take_per_class
from divbench.images.named import DATASETS, DataSet
from divbench.images.read import read_images, read_repeats
from divbench.images.reader import READERS, Reader, ReadOptions
from divbench.images.writer import write_images

__all__ = [
    "DATASETS",
    "READERS",
    "BadImageError",
    "ClassMatch",
    "DataSet",
    "ImageSet",
    "ImageSource",
    "Picture",
    "ReadOptions",
    "Reader",
    "match_classes",
    "match_sets",
    "read_images",
    "read_repeats",
    "take_per_class",
    "write_images",
]
