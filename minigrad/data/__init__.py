"""Datasets, loaders and transforms; MNIST, and downloads that can be relied upon."""

from minigrad.data.cache import data_folder
from minigrad.data.dataset import ArrayDataset, PartialDataWarning
from minigrad.data.download import SourcesFailedError, fetch
from minigrad.data.idx import idx_bytes, parse_idx, read_idx
from minigrad.data.loader import DataLoader
from minigrad.data.split import random_split
from minigrad.data.mnist import load_mnist, load_mnist_part
from minigrad.data.transforms import Compose, Normalize, RandomAffine, RandomShift, ToFloat, Transform

__all__ = [
    "ArrayDataset",
    "Compose",
    "DataLoader",
    "Normalize",
    "PartialDataWarning",
    "RandomAffine",
    "RandomShift",
    "SourcesFailedError",
    "ToFloat",
    "Transform",
    "data_folder",
    "fetch",
    "idx_bytes",
    "load_mnist",
    "load_mnist_part",
    "parse_idx",
    "random_split",
    "read_idx",
]
