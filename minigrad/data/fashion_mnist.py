"""Fashion-MNIST: 70,000 photographs of clothes in MNIST's format, found or downloaded.

Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning
algorithms", 2017.
"""

from __future__ import annotations

import os
from pathlib import Path

from minigrad.data.cache import data_folder, locked, make_folder, say, write_whole
from minigrad.data.dataset import ArrayDataset
from minigrad.data.debian import read_package
from minigrad.data.download import SourcesFailedError
from minigrad.data.idx_images import IdxImages, check_split
from minigrad.data.official_file import OfficialFile, fetch_official
from minigrad.errors import DataError

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
MIRRORS = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
)
FILES = {
    ("train", "images"): OfficialFile(
        "train-images-idx3-ubyte",
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        26_421_880,
    ),
    ("train", "labels"): OfficialFile(
        "train-labels-idx1-ubyte",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "25c81989df183df01b3e8a0aad5dffbe",
        29_515,
    ),
    ("test", "images"): OfficialFile(
        "t10k-images-idx3-ubyte",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "bef4ecab320f06d8554ea6380940ec79",
        4_422_102,
    ),
    ("test", "labels"): OfficialFile(
        "t10k-labels-idx1-ubyte",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        "bb300cfdad3c16e7a12a480ee83cd310",
        5_148,
    ),
}
FASHION_MNIST = IdxImages(
    "Fashion-MNIST", CLASSES, FILES, ("FashionMNIST/raw", "raw", "fashion-mnist", "fashion_mnist")
)
# Debian and its relatives have the four files as a package; they were compressed anew, so only their contents can be
# compared with the official ones.
PACKAGE = "dataset-fashion-mnist"
PACKAGE_FOLDER = "usr/share/datasets/fashion-mnist"


def load_fashion_mnist(
    root: str | os.PathLike[str] | None = None,
    split: str = "train",
    *,
    download: bool = True,
    progress: bool = True,
) -> ArrayDataset:
    """Fashion-MNIST's clothes: inputs (n, 1, 28, 28) uint8, cloth up to 255 on 0; targets (n,) int64, 10 classes.

    Parameters
    ----------
    root : a folder with the official IDX files (`train-images-idx3-ubyte` and so on, with or without `.gz`), in
        it or in `FashionMNIST/raw`, `raw`, `fashion-mnist` or `fashion_mnist` below it. They are used as they are:
        checked for format and label range, never written, nothing downloaded. None: the cache, `fashion_mnist` in
        `data_folder()`, whose files must be the official ones bit for bit.
    split : "train" (60,000 images) or "test" (10,000).
    download : with root None, fetch what the cache lacks: from several hosts in turn, then, where there is apt, from
        Debian's package `dataset-fashion-mnist`. False: raise DataError instead.
    progress : show downloads on standard error.

    Returns
    -------
    ArrayDataset whose `name` tells where the data came from.

    Raises
    ------
    ArgumentError for an unknown split; DataError for files that are missing or damaged, a cache that cannot be
    written, or when every source fails, naming each.

    Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms", 2017, section 2.
    """
    check_split(split)
    if root is not None:
        return FASHION_MNIST.from_root(Path(root).expanduser(), split)
    folder = data_folder() / "fashion_mnist"
    found = FASHION_MNIST.from_cache(folder, split)
    if found is None and download:
        _obtain(folder, split, progress)
        found = FASHION_MNIST.from_cache(folder, split)
    if found is None:
        raise DataError(
            f"{folder} does not hold Fashion-MNIST's {split} files. Call load_fashion_mnist with download=True, or "
            "give a root that has them"
        )
    return found


def _obtain(folder: Path, split: str, progress: bool) -> None:
    """Bring the split's missing files into `folder`; SourcesFailedError when no source has them."""
    make_folder(folder)
    with locked(folder / ".fashion_mnist.lock"):
        try:
            for kind in ("images", "labels"):
                if not (folder / FILES[split, kind].name).exists():
                    fetch_official(FILES[split, kind], MIRRORS, folder, progress)
        except SourcesFailedError as error:
            try:
                _from_package(folder, progress)
            except SourcesFailedError as again:
                failures = error.failures + again.failures
                tried = "".join(f"\n  {line}" for line in failures)
                raise SourcesFailedError(
                    f"could not download Fashion-MNIST; tried:{tried}\nCheck the network and run again, or give as "
                    "root a folder that holds the four official files.",
                    failures,
                ) from None


def _from_package(folder: Path, progress: bool) -> None:
    """All four files from Debian's package."""
    if progress:
        say(f"getting Fashion-MNIST through apt instead, from the package {PACKAGE}")
    members = {f"{PACKAGE_FOLDER}/{file.name}.gz": file for file in FILES.values()}
    for path, content in read_package(PACKAGE, list(members), folder).items():
        file = members[path]
        if not file.is_content(content):
            failure = f"apt-get download {PACKAGE}: {file.name} in it is not the official file"
            raise SourcesFailedError(failure, [failure])
        write_whole(folder / file.name, content)
        (folder / f"{file.name}.gz.part").unlink(missing_ok=True)  # what a mirror began to send is not needed
