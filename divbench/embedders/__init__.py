"""Embedders: networks that turn images into features, by name; one module for each family."""

from divbench.embedders._forward import choose_device
from divbench.embedders._record import Embedder, Geometry
from divbench.embedders._registry import EMBEDDERS, Request, family, load_embedder

__all__ = ["EMBEDDERS", "Embedder", "Geometry", "Request", "choose_device", "family", "load_embedder"]
