"""Small data sets in the official formats, which a tiny network can learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from common import classifier_report
from minigrad.data import cifar, idx_bytes

TRAIN, TEST = 320, 120


def labelled_images(
    rng: np.random.Generator, n: int, classes: int, shape: tuple
) -> tuple[np.ndarray, np.ndarray]:
    """uint8 images: noise, and a bright square whose place tells the class; and the labels."""
    labels = np.arange(n) % classes
    images = rng.integers(0, 80, (n, *shape), dtype=np.uint8)
    side = shape[-1] // 5
    for image, label in zip(images, labels):
        row, column = divmod(int(label) % 10, 4)
        y, x = 2 + row * 2 * side, 1 + column * (side + 1)
        image[..., y : y + side, x : x + side] = 255
    return images, labels.astype(np.uint8)


@pytest.fixture(scope="session")
def idx_folder(tmp_path_factory):
    """A folder with the four files of MNIST's format, which Fashion-MNIST's are named like, too."""
    folder, rng = tmp_path_factory.mktemp("idx"), np.random.default_rng(0)
    for prefix, n in (("train", TRAIN), ("t10k", TEST)):
        images, labels = labelled_images(rng, n, 10, (28, 28))
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    return folder


@pytest.fixture
def cifar_folder(tmp_path, monkeypatch):
    """A folder with the binary versions of both, a few records in each file; the loaders expect no more."""
    rng = np.random.default_rng(0)
    for name in ("CIFAR10", "CIFAR100"):
        files = getattr(cifar, name)
        splits = {
            "train": dict.fromkeys(files.splits["train"], 40),
            "test": dict.fromkeys(files.splits["test"], TEST),
        }
        monkeypatch.setattr(cifar, name, replace(files, splits=splits))
        folder = tmp_path / "cifar" / files.folder
        folder.mkdir(parents=True)
        for split in splits.values():
            for file, n in split.items():
                images, labels = labelled_images(rng, n, len(files.label_names[-1]), (3, 32, 32))
                columns = [np.array(files.coarse_of)[labels], labels] if files.coarse_of else [labels]
                records = np.concatenate([np.stack(columns, 1), images.reshape(n, -1)], 1)
                (folder / file).write_bytes(records.astype(np.uint8).tobytes())
    return tmp_path / "cifar"


@pytest.fixture
def without_pictures(monkeypatch):
    """Drawing takes longer than so little training: only some tests look at the figures."""
    monkeypatch.setattr(classifier_report, "sections_of", lambda *_: [])
