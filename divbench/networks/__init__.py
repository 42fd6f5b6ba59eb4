"""Networks: classifiers by name, state dicts in weight files, and the layer whose input is the embedding."""

from divbench.networks.classifiers import CLASSIFIERS, build_classifier, check_size
from divbench.networks.convnet import ConvNet
from divbench.networks.layers import build_weightless, cut_classifier, exact_classifier, last_layer, replace_module
from divbench.networks.small import SMALL, resnet18
from divbench.networks.weights import StateDict, describe, load_state, read_state_dict

__all__ = [
    "CLASSIFIERS",
    "SMALL",
    "ConvNet",
    "StateDict",
    "build_classifier",
    "build_weightless",
    "check_size",
    "cut_classifier",
    "describe",
    "exact_classifier",
    "last_layer",
    "load_state",
    "read_state_dict",
    "replace_module",
    "resnet18",
]
