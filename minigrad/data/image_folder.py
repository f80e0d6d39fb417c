"""Images in folders, one folder for each class, decoded when they are needed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from minigrad.data.transforms.base import is_whole, pair
from minigrad.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from PIL.Image import Image

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


class ImageFolder:
    """A data set of image files: `root/dog/anything.png`, `root/cat/some/folder/below.jpg`.

    The classes are the folders' names, sorted; images are found at any depth below them. Hidden files and folders, and
    files that are no images by their names, are left out. `dataset[indices]` decodes a whole batch in a few threads:
    each image is scaled so that its shorter side has `resize` pixels, and its middle is cut out.

    Parameters
    ----------
    root : the folder of the classes; with `split`, the folder above it.
    size : height and width of the images handed out, a whole number or (height, width).
    split : "train" or "val" for ImageNet's layout: `root/train/<class>` and `root/val/<class>`. The classes are those
        of `train` for both, so that labels agree even where `val` lacks a class.
    resize : length of the shorter side before the cut; None for 8/7 of `size`: 256 for 224.
    channels : 3 for colour, 1 for grey.
    num_threads : that decode together; None for one per core, at most 8.
    name : what messages and reports call it.

    Attributes: `classes`, `targets` (n,) int64, `paths` of the images. As a batch: inputs (N, channels, height, width)
    uint8 and targets. An orientation in the file's metadata is ignored, as it is by torchvision.

    Raises DataError when the folder is missing, holds no class or no image, when a class of `val` is not one of
    `train`, and, naming the file, for an image that cannot be decoded; ArgumentError for settings out of range.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        size: int | tuple[int, int] = 224,
        *,
        split: str | None = None,
        resize: int | None = None,
        channels: int = 3,
        num_threads: int | None = None,
        name: str | None = None,
    ) -> None:
        if split not in (None, "train", "val"):
            raise ArgumentError(f"split must be 'train', 'val' or None, got {split!r}")
        if channels not in (1, 3):
            raise ArgumentError(f"channels must be 1 or 3, got {channels!r}")
        self.size = pair(size)
        self.resize = round(max(self.size) * 8 / 7) if resize is None else resize
        if not is_whole(self.resize, max(self.size)):
            raise ArgumentError(
                f"resize must be a whole number, at least the size {self.size}, got {resize!r}"
            )
        self.num_threads = min(8, os.cpu_count() or 1) if num_threads is None else num_threads
        if not is_whole(self.num_threads, 1):
            raise ArgumentError(f"num_threads must be a whole number from 1, got {num_threads!r}")
        self.channels = channels
        root = Path(root).expanduser()
        folder = root if split is None else root / split
        self.name = str(folder) if name is None else name
        self.classes = _classes(folder, root / "train" if split == "val" else folder)
        self.paths, labels = _images(folder, self.classes)
        self.targets: npt.NDArray[np.int64] = np.array(labels, np.int64)
        if not self.paths:
            raise DataError(
                f"{folder} has {len(self.classes)} classes ({_few(self.classes)}), but no image in them; known are "
                f"files ending in {' '.join(EXTENSIONS)}"
            )

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        return (
            f"ImageFolder({self.name!r}, {len(self)} images of {len(self.classes)} classes, {self.channels} x "
            f"{self.size[0]} x {self.size[1]})"
        )

    def __getitem__(self, indices: Any) -> tuple[npt.NDArray, npt.NDArray]:
        """Decode images: NumPy's indexing along the first axis, with an integer, a slice or an array of indices."""
        chosen = np.arange(len(self))[indices]
        if chosen.ndim == 0:
            return self._decode(self.paths[chosen]), self.targets[indices]
        images = np.empty((len(chosen), self.channels, *self.size), np.uint8)
        paths = [self.paths[index] for index in chosen]
        # NumPy and Pillow release the interpreter while they compute, so threads decode side by side.
        with ThreadPoolExecutor(self.num_threads, thread_name_prefix="minigrad-images") as pool:
            for place, image in enumerate(pool.map(self._decode, paths)):
                images[place] = image
        return images, self.targets[indices]

    def subset(self, indices: slice | Sequence[int] | npt.NDArray, name: str | None = None) -> ImageFolder:
        """The images at `indices`, in that order, as a data set of its own, with the same classes."""
        part = object.__new__(ImageFolder)
        part.__dict__.update(self.__dict__)
        part.paths = [self.paths[index] for index in np.arange(len(self))[indices]]
        part.targets = self.targets[indices]
        part.name = name or f"part of {self.name}"
        return part

    def _decode(self, path: Path) -> npt.NDArray[np.uint8]:
        """One image as (channels, height, width)."""
        from PIL import Image  # not before an image is wanted: `import minigrad` stays light

        try:
            with Image.open(path) as file:
                # Pillow warns where a palette's transparency is dropped without saying so.
                image = file.convert("RGBA") if "transparency" in file.info else file
                image = image.convert("L" if self.channels == 1 else "RGB")
            # A strip of an image would become enormous: of its length only the middle is scaled.
            image = _middle(image, *(min(length, 3 * min(image.size)) for length in image.size))
            scale = self.resize / min(image.size)
            width, height = (max(self.resize, int(length * scale)) for length in image.size)
            image = image.resize((width, height), Image.Resampling.BILINEAR)
            pixels = np.asarray(_middle(image, self.size[1], self.size[0]))
        except Exception as error:  # a damaged image can fail in any way: every one of them means this
            raise DataError(f"cannot decode the image {path} ({type(error).__name__}: {error})") from None
        return pixels.reshape(*self.size, self.channels).transpose(2, 0, 1)


def _middle(image: Image, width: int, height: int) -> Image:
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _classes(folder: Path, reference: Path) -> tuple[str, ...]:
    """Names of the class folders of `reference`, of which `folder` must have a part."""
    found = _folders(folder)
    classes = _folders(reference) if reference != folder and reference.is_dir() else found
    if unknown := sorted(set(found) - set(classes)):
        raise DataError(f"{folder} has classes that {reference} has not: {_few(unknown)}")
    if not classes:
        raise DataError(f"{folder} has no folders in it; expected one for each class")
    if {"train", "val"} <= set(classes) <= {"train", "val", "test"}:
        raise DataError(
            f"{folder} has the folders {', '.join(classes)}: give split='train' or split='val', or one of these folders"
        )
    return tuple(classes)


def _folders(folder: Path) -> list[str]:
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise DataError(f"cannot read the folder {folder}: {error.strerror or error}") from None
    return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _images(folder: Path, classes: Sequence[str]) -> tuple[list[Path], list[int]]:
    """Paths of all images and their labels, class by class, sorted within a class."""
    paths, labels = [], []
    for label, name in enumerate(classes):
        of_class = sorted(_image_files(folder / name))
        paths += of_class
        labels += [label] * len(of_class)
    return paths, labels


def _image_files(folder: Path) -> Iterator[Path]:
    visited = set()  # a link to a folder above would lead round and round
    for place, folders, names in os.walk(folder, followlinks=True):
        visited.add(os.path.realpath(place))
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and os.path.realpath(os.path.join(place, name)) not in visited
        ]
        for name in names:
            if not name.startswith(".") and name.lower().endswith(EXTENSIONS):
                yield Path(place, name)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
