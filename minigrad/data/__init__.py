"""Datasets, loaders, samplers and transforms, and downloads that can be relied upon."""

from minigrad.data.cache import data_folder
from minigrad.data.cifar import load_cifar10, load_cifar100
from minigrad.data.dataset import ArrayDataset, PartialDataWarning
from minigrad.data.download import SourcesFailedError, fetch
from minigrad.data.fashion_mnist import load_fashion_mnist
from minigrad.data.idx import idx_bytes, parse_idx, read_idx
from minigrad.data.image_folder import ImageFolder
from minigrad.data.loader import DataLoader
from minigrad.data.mnist import load_mnist, load_mnist_part
from minigrad.data.sampler import (
    BalancedSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    WeightedRandomSampler,
)
from minigrad.data.split import random_split
from minigrad.data.tabular import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from minigrad.data.text import CharacterVocabulary, TextCorpus, load_text
from minigrad.data.transforms import (
    BatchTransform,
    CenterCrop,
    ColorJitter,
    Compose,
    CutMix,
    Cutout,
    MixUp,
    Normalize,
    RandomAffine,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
    RandomRotation,
    RandomShift,
    RandomVerticalFlip,
    Resize,
    ToFloat,
    Transform,
)

__all__ = [
    "ArrayDataset",
    "BalancedSampler",
    "BatchTransform",
    "CenterCrop",
    "CharacterVocabulary",
    "ColorJitter",
    "Compose",
    "CutMix",
    "Cutout",
    "DataLoader",
    "ImageFolder",
    "MixUp",
    "Normalize",
    "PartialDataWarning",
    "RandomAffine",
    "RandomCrop",
    "RandomErasing",
    "RandomHorizontalFlip",
    "RandomRotation",
    "RandomSampler",
    "RandomShift",
    "RandomVerticalFlip",
    "Resize",
    "Sampler",
    "SequentialSampler",
    "SourcesFailedError",
    "TextCorpus",
    "ToFloat",
    "Transform",
    "WeightedRandomSampler",
    "data_folder",
    "fetch",
    "idx_bytes",
    "load_breast_cancer",
    "load_cifar10",
    "load_cifar100",
    "load_diabetes",
    "load_digits",
    "load_fashion_mnist",
    "load_iris",
    "load_mnist",
    "load_mnist_part",
    "load_text",
    "load_wine",
    "parse_idx",
    "random_split",
    "read_idx",
]
