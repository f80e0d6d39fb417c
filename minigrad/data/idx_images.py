"""What the data sets of the MNIST family share: four IDX files of 28 x 28 grey images and their labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from minigrad.data.dataset import ArrayDataset, check_labels
from minigrad.data.idx import parse_idx, read_idx
from minigrad.data.official_file import OfficialFiles, read_official
from minigrad.errors import ArgumentError, DataError


@dataclass(frozen=True)
class IdxImages:
    """One data set of the family: what it is called, its classes, its files and where below a root they may lie."""

    title: str
    classes: tuple[str, ...]
    files: OfficialFiles
    folders: tuple[str, ...]

    def dataset(
        self, images: npt.NDArray, labels: npt.NDArray, name: str, of_images: str = "", of_labels: str = ""
    ) -> ArrayDataset:
        """Images (n, 28, 28) and labels (n,), checked, as a dataset of (n, 1, 28, 28) and int64.

        of_images, of_labels: the files they came from, for messages; by default the dataset's name.
        """
        of_images, of_labels = of_images or name, of_labels or name
        if images.dtype != np.uint8 or images.shape[1:] != (28, 28):
            raise DataError(
                f"{of_images}: images must be uint8 of shape (n, 28, 28), got {images.dtype} {images.shape}"
            )
        if labels.ndim != 1:
            raise DataError(f"{of_labels}: labels must have shape (n,), got {labels.shape}")
        check_labels(labels, len(self.classes), of_labels)
        return ArrayDataset(images[:, None], labels.astype(np.int64), classes=self.classes, name=name)

    def from_root(self, root: Path, split: str) -> ArrayDataset:
        """From a user's folder, whose files are checked for format and label range only."""
        names = [self.files[split, kind].name for kind in ("images", "labels")]
        for folder in (root, *(root / below for below in self.folders)):
            images, labels = (_plain_or_gz(folder / name) for name in names)
            if images is not None and labels is not None:
                arrays = read_idx(images), read_idx(labels)
                name = f"{self.title} {split}, {len(arrays[0]):,} images from {folder}"
                return self.dataset(*arrays, name, str(images), str(labels))
            if images is not None or labels is not None:
                missing = names[0] if images is None else names[1]
                raise DataError(
                    f"{folder} has only one of {self.title}'s two {split} files: neither {missing} nor {missing}.gz"
                )
        raise DataError(
            f"no {self.title} {split} files in {root}: looked for {names[0]} and {names[1]}, with or without .gz, "
            f"there and in {' and '.join(filter(None, [', '.join(self.folders[:-1]), self.folders[-1]]))} below it. "
            "Without a root they are downloaded."
        )

    def from_cache(self, folder: Path, split: str) -> ArrayDataset | None:
        """From a folder that holds the official files bit for bit; None where one is missing or was damaged."""
        contents = read_official(folder, self.files, split)
        if contents is None:
            return None
        # A bytearray makes arrays that can be written to, as those from any other source.
        images, labels = (parse_idx(bytearray(contents[kind]), kind) for kind in ("images", "labels"))
        return self.dataset(images, labels, f"{self.title} {split}, all {len(images):,} images")


def check_split(split: str) -> None:
    """ArgumentError unless `split` names the training or the test part."""
    if split not in ("train", "test"):
        raise ArgumentError(f"split must be 'train' or 'test', got {split!r}")


def _plain_or_gz(path: Path) -> Path | None:
    candidates = (path, path.with_name(path.name + ".gz"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)
