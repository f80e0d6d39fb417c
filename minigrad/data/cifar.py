"""CIFAR-10 and CIFAR-100: 60,000 small colour photographs each, in 10 classes or in 100, found or downloaded.

Source: A. Krizhevsky, "Learning multiple layers of features from tiny images", technical report, 2009.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from minigrad.data.cache import data_folder
from minigrad.data.cifar_files import CifarFiles, obtain, read_from_cache, read_from_root
from minigrad.data.dataset import ArrayDataset
from minigrad.data.idx_images import check_split
from minigrad.errors import ArgumentError, DataError

CIFAR10_CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)

# The coarse classes in the order of their labels, each with its five fine ones, whose labels are alphabetical.
_GROUPS = {
    "aquatic_mammals": ("beaver", "dolphin", "otter", "seal", "whale"),
    "fish": ("aquarium_fish", "flatfish", "ray", "shark", "trout"),
    "flowers": ("orchid", "poppy", "rose", "sunflower", "tulip"),
    "food_containers": ("bottle", "bowl", "can", "cup", "plate"),
    "fruit_and_vegetables": ("apple", "mushroom", "orange", "pear", "sweet_pepper"),
    "household_electrical_devices": ("clock", "keyboard", "lamp", "telephone", "television"),
    "household_furniture": ("bed", "chair", "couch", "table", "wardrobe"),
    "insects": ("bee", "beetle", "butterfly", "caterpillar", "cockroach"),
    "large_carnivores": ("bear", "leopard", "lion", "tiger", "wolf"),
    "large_man-made_outdoor_things": ("bridge", "castle", "house", "road", "skyscraper"),
    "large_natural_outdoor_scenes": ("cloud", "forest", "mountain", "plain", "sea"),
    "large_omnivores_and_herbivores": ("camel", "cattle", "chimpanzee", "elephant", "kangaroo"),
    "medium_mammals": ("fox", "porcupine", "possum", "raccoon", "skunk"),
    "non-insect_invertebrates": ("crab", "lobster", "snail", "spider", "worm"),
    "people": ("baby", "boy", "girl", "man", "woman"),
    "reptiles": ("crocodile", "dinosaur", "lizard", "snake", "turtle"),
    "small_mammals": ("hamster", "mouse", "rabbit", "shrew", "squirrel"),
    "trees": ("maple_tree", "oak_tree", "palm_tree", "pine_tree", "willow_tree"),
    "vehicles_1": ("bicycle", "bus", "motorcycle", "pickup_truck", "train"),
    "vehicles_2": ("lawn_mower", "rocket", "streetcar", "tank", "tractor"),
}
CIFAR100_COARSE_CLASSES = tuple(_GROUPS)
CIFAR100_CLASSES = tuple(sorted(name for names in _GROUPS.values() for name in names))
_GROUP_OF = {name: number for number, names in enumerate(_GROUPS.values()) for name in names}

CIFAR10 = CifarFiles(
    title="CIFAR-10",
    folder="cifar-10-batches-bin",
    splits={
        "train": {f"data_batch_{number}.bin": 10_000 for number in range(1, 6)},
        "test": {"test_batch.bin": 10_000},
    },
    label_names=(CIFAR10_CLASSES,),
    coarse_of=(),
    archive="cifar-10-binary.tar.gz",
    md5="c32a1d4ab5d03f1284b67883e8d87530",
    size=170_052_171,
)
CIFAR100 = CifarFiles(
    title="CIFAR-100",
    folder="cifar-100-binary",
    splits={"train": {"train.bin": 50_000}, "test": {"test.bin": 10_000}},
    label_names=(CIFAR100_COARSE_CLASSES, CIFAR100_CLASSES),
    coarse_of=tuple(_GROUP_OF[name] for name in CIFAR100_CLASSES),
    archive="cifar-100-binary.tar.gz",
    md5="03b5dce01913d631647c71ecec9e9cb8",
    size=168_513_733,
)


def load_cifar10(
    root: str | os.PathLike[str] | None = None,
    split: str = "train",
    *,
    download: bool = True,
    progress: bool = True,
) -> ArrayDataset:
    """CIFAR-10's photographs: inputs (n, 3, 32, 32) uint8, red, green, blue; targets (n,) int64, 10 classes.

    Parameters
    ----------
    root : a folder with the files of the official binary version (`data_batch_1.bin` and so on), in it or in
        `cifar-10-batches-bin` below it, or with the official archive; or the archive itself. It is used as it is:
        checked for size and label range, never written, nothing downloaded. Where only some of the training batches
        are there, they are returned with a PartialDataWarning. None: the cache, `cifar10` in `data_folder()`.
    split : "train" (50,000 images) or "test" (10,000).
    download : with root None, fetch the official archive (170 MB) if the cache lacks its files. False: raise
        DataError instead.
    progress : show the download on standard error.

    Returns
    -------
    ArrayDataset whose `name` tells where the data came from and whether it is all of it.

    Raises
    ------
    ArgumentError for an unknown split; DataError for files that are missing or damaged, a cache that cannot be
    written, or a failed download.

    Source: A. Krizhevsky, "Learning multiple layers of features from tiny images", technical report, 2009, chapter 3.
    """
    return _load(CIFAR10, "cifar10", root, split, download, progress, label=0)


def load_cifar100(
    root: str | os.PathLike[str] | None = None,
    split: str = "train",
    labels: str = "fine",
    *,
    download: bool = True,
    progress: bool = True,
) -> ArrayDataset:
    """CIFAR-100's photographs: inputs (n, 3, 32, 32) uint8, red, green, blue; targets (n,) int64.

    Parameters
    ----------
    root : a folder with the files of the official binary version (`train.bin` and `test.bin`), in it or in
        `cifar-100-binary` below it, or with the official archive; or the archive itself. It is used as it is:
        checked for size and for labels that belong together, never written, nothing downloaded. None: the cache,
        `cifar100` in `data_folder()`.
    split : "train" (50,000 images) or "test" (10,000).
    labels : "fine" for the 100 classes, "coarse" for the 20 groups of five that they form.
    download, progress : as in `load_cifar10`; the archive has 169 MB.

    Returns and raises as `load_cifar10`; ArgumentError also for other labels.
    """
    if labels not in ("fine", "coarse"):
        raise ArgumentError(f"labels must be 'fine' or 'coarse', got {labels!r}")
    return _load(CIFAR100, "cifar100", root, split, download, progress, label=int(labels == "fine"))


def _load(
    files: CifarFiles,
    cache: str,
    root: str | os.PathLike[str] | None,
    split: str,
    download: bool,
    progress: bool,
    label: int,
) -> ArrayDataset:
    check_split(split)
    official = sum(files.splits[split].values())
    if root is not None:
        records, where = read_from_root(files, Path(root).expanduser(), split)
        part = f"{len(records):,}" if len(records) == official else f"{len(records):,} of {official:,}"
        name = f"{files.title} {split}, {part} images from {where}"
    else:
        folder = data_folder() / cache
        found = read_from_cache(files, folder, split)
        if found is None and not download:
            raise DataError(
                f"{folder} does not hold {files.title}'s {split} files. Call load_{cache} with download=True, or give "
                "a root that has them"
            )
        records = obtain(files, folder, split, progress) if found is None else found
        name = f"{files.title} {split}, all {official:,} images"
    inputs = records[:, len(files.label_names) :].reshape(
        -1, 3, 32, 32
    )  # a view: the labels stay between the images
    return ArrayDataset(
        inputs, records[:, label].astype(np.int64), classes=files.label_names[label], name=name
    )
