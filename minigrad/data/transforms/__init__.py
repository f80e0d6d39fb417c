"""Transforms of whole batches: augmentation and scaling without a loop over images.

A transform is anything that can be called as `transform(batch, rng)`: it takes an array of images (N, C, H,
W) and a `numpy.random.Generator`, and returns the new batch, leaving the given one as it was. All its
randomness comes from `rng`, so a batch can be made again exactly. To add one, write such a function, or a
frozen dataclass like those here: its fields are its settings, and its `repr` goes into reports.

A transform that mixes samples must see targets too. It is called as `transform(inputs, targets, rng)`, returns both,
and is given to the loader as `batch_transform`, which runs after `transform`.
"""

from minigrad.data.transforms.affine import RandomAffine, RandomRotation, bilinear_sample
from minigrad.data.transforms.base import Batch, BatchTransform, Compose, ToFloat, Transform
from minigrad.data.transforms.color import ColorJitter
from minigrad.data.transforms.crop import CenterCrop, RandomCrop, RandomShift
from minigrad.data.transforms.erase import Cutout, RandomErasing
from minigrad.data.transforms.flip import RandomHorizontalFlip, RandomVerticalFlip
from minigrad.data.transforms.mix import CutMix, MixUp
from minigrad.data.transforms.normalize import Normalize
from minigrad.data.transforms.resize import Resize

__all__ = [
    "Batch",
    "BatchTransform",
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "CutMix",
    "Cutout",
    "MixUp",
    "Normalize",
    "RandomAffine",
    "RandomCrop",
    "RandomErasing",
    "RandomHorizontalFlip",
    "RandomRotation",
    "RandomShift",
    "RandomVerticalFlip",
    "Resize",
    "ToFloat",
    "Transform",
    "bilinear_sample",
]
