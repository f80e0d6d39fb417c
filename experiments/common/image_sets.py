"""The image data sets by name, divided and turned into batches."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Sequence
from typing import NamedTuple

from minigrad.data import (
    ArrayDataset,
    BatchTransform,
    CenterCrop,
    Compose,
    DataLoader,
    Normalize,
    RandomCrop,
    RandomHorizontalFlip,
    RandomShift,
    ToFloat,
    Transform,
    load_cifar10,
    load_cifar100,
    load_fashion_mnist,
    load_mnist,
    random_split,
)


class ImageSet(NamedTuple):
    """What is to be known of a data set: its name, its loader (root, split), and how its images may be varied."""

    title: str
    load: Callable[..., ArrayDataset]
    augment: Sequence[Transform]


# A digit or a word is another one in the mirror; a shirt or a ship is not.
_CIFAR = (RandomCrop(32, padding=4), RandomHorizontalFlip())
IMAGE_SETS = {
    "mnist": ImageSet("MNIST", load_mnist, (RandomShift(2),)),
    "fashion_mnist": ImageSet("Fashion-MNIST", load_fashion_mnist, (RandomShift(2), RandomHorizontalFlip())),
    "cifar10": ImageSet("CIFAR-10", load_cifar10, _CIFAR),
    "cifar100": ImageSet("CIFAR-100", load_cifar100, _CIFAR),
}


class Parts(NamedTuple):
    """A data set divided: what is learnt from, what is watched meanwhile, and what the result is measured on."""

    train: ArrayDataset
    watched: ArrayDataset
    test: ArrayDataset

    @property
    def held_out(self) -> bool:
        """Whether what is watched are images held out for it, not the test images."""
        return self.watched is not self.test

    @property
    def keep_best(self) -> str | None:
        """The number by which the best epoch may be chosen: none, where that would be choosing on the test images."""
        return "val_accuracy" if self.held_out else None

    @property
    def watched_name(self) -> str:
        """What to call the images that are watched."""
        return "held-out" if self.held_out else "test"

    def __str__(self) -> str:
        watched = f", {len(self.watched):,} held-out" if self.held_out else ""
        return f"{self.train.name}: {len(self.train):,} training{watched} and {len(self.test):,} test images"


def load_parts(options: Namespace, load: Callable[..., ArrayDataset]) -> Parts:
    """What --data, --train-images, --test-images and --validate ask for of the data set that `load` loads."""
    train, test = (load(options.data, split) for split in ("train", "test"))
    train, test = _first(train, options.train_images), _first(test, options.test_images)
    if options.validate is None:
        return Parts(train, test, test)
    rest, watched = random_split(
        train, [1 - options.validate, options.validate], seed=options.seed, stratified=True
    )
    return Parts(rest, watched, test)


def _first(dataset: ArrayDataset, number: int | None) -> ArrayDataset:
    if number is None or number >= len(dataset):
        return dataset
    return dataset.subset(slice(number), f"the first {number:,} of {dataset.name}")


class Loaders(NamedTuple):
    """The parts as batches, in the order of Parts; only those learnt from are shuffled and varied."""

    train: DataLoader
    watched: DataLoader
    test: DataLoader


def make_loaders(
    parts: Parts,
    dataset: str,
    options: Namespace,
    *,
    crop: int | None = None,
    extra: Sequence[Transform] = (),
    batch_transform: BatchTransform | None = None,
) -> Loaders:
    """Batches of --batch-size, in an order given by --seed.

    crop:            of each image only the middle, so many pixels wide and high; cut out after it was shifted.
    extra:           transforms of the normalised training images, such as Cutout.
    batch_transform: mixes training images and their targets.
    """
    middle = [] if crop is None else [CenterCrop(crop)]
    plain = Compose([*middle, ToFloat(), Normalize.of(dataset)])
    varied = Compose([*IMAGE_SETS[dataset].augment, plain, *extra])
    train = DataLoader(
        parts.train,
        options.batch_size,
        shuffle=True,
        seed=options.seed,
        transform=varied,
        batch_transform=batch_transform,
        device=options.device,
        num_workers=1,
    )
    watched, test = (
        DataLoader(part, 500, transform=plain, device=options.device) for part in (parts.watched, parts.test)
    )
    return Loaders(train, watched, test)
