"""The binary version of the CIFAR data sets: its record format, its files, and where they are found.

A file is a sequence of records without a header. A record is one byte for each label (CIFAR-10: the class; CIFAR-100:
the coarse class, then the fine one), then 3,072 bytes of pixels: 32 x 32 red ones row by row, then green, then blue.

Source: A. Krizhevsky, "Learning multiple layers of features from tiny images", technical report, 2009; format: the data
sets' own page, section "Binary version".
"""

from __future__ import annotations

import hashlib
import itertools
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from minigrad.data.cache import file_digest, locked, make_folder, move_aside, write_whole
from minigrad.data.dataset import PartialDataWarning
from minigrad.data.download import fetch
from minigrad.data.idx import read_file
from minigrad.data.tar_members import read_members
from minigrad.errors import DataError

PIXELS = 3 * 32 * 32
HOST = "https://www.cs.toronto.edu/~kriz/"
SUMS = "SHA256SUMS"  # in the cache: what the files were when they came out of the checked archive


@dataclass(frozen=True)
class CifarFiles:
    """One of the two data sets: its files and what is in them.

    title:       what messages call it.
    folder:      the folder in the official archive.
    splits:      for "train" and "test" the number of records in each file, by name.
    label_names: for each label byte of a record, the classes it may name.
    coarse_of:   where there are two, the first label that belongs to each value of the second.
    archive, md5, size: of the official archive.
    """

    title: str
    folder: str
    splits: Mapping[str, Mapping[str, int]]
    label_names: tuple[tuple[str, ...], ...]
    coarse_of: tuple[int, ...]
    archive: str
    md5: str
    size: int

    @property
    def record(self) -> int:
        """Bytes in a record."""
        return len(self.label_names) + PIXELS

    def sizes(self, split: str) -> dict[str, int]:
        """Bytes in each file of a split, by name."""
        return {name: records * self.record for name, records in self.splits[split].items()}


def read_from_root(files: CifarFiles, root: Path, split: str) -> tuple[npt.NDArray[np.uint8], str]:
    """The records (n, bytes) in a user's folder or archive, checked for size and label range, and where they were."""
    sizes = files.sizes(split)
    if root.is_file():
        return _records(files, sizes, read_members(root, sizes), root), str(root)
    for folder in (root, root / files.folder):
        present = {name: size for name, size in sizes.items() if (folder / name).is_file()}
        if present:
            records = _records(files, present, _plain_files(files, folder, present), folder)
            if absent := sorted(set(sizes) - set(present)):
                warnings.warn(
                    f"{folder} has only a part of {files.title}'s {split} images: {len(records):,} of "
                    f"{sum(files.splits[split].values()):,}. Missing: {', '.join(absent)}",
                    PartialDataWarning,
                    stacklevel=4,
                )
            return records, str(folder)
    for archive in (root / files.archive, root / files.folder / files.archive):
        if archive.is_file():
            return _records(files, sizes, read_members(archive, sizes), archive), str(archive)
    raise DataError(
        f"no {files.title} {split} files in {root}: looked for {', '.join(sizes)} there and in {files.folder} below "
        f"it, and for {files.archive}. Without a root they are downloaded."
    )


def read_from_cache(files: CifarFiles, folder: Path, split: str) -> npt.NDArray[np.uint8] | None:
    """The records in a folder that `obtain` filled; None where a file is missing or was damaged (and moved aside)."""
    sizes = files.sizes(split)
    sums = _read_sums(folder / SUMS)
    if not all(name in sums and (folder / name).is_file() for name in sizes):
        return None
    for name in sizes:
        if file_digest(folder / name, "sha256") != sums[name]:
            move_aside(folder / name, f"its sha256 is not the one in {SUMS}")
            return None
    return _records(files, sizes, _plain_files(files, folder, sizes), folder)


def obtain(files: CifarFiles, folder: Path, split: str, progress: bool) -> npt.NDArray[np.uint8]:
    """Download and unpack the official archive, keep its files in `folder`, and return the records of a split.

    Raises SourcesFailedError when it cannot be downloaded, DataError when the folder cannot be written.
    """
    make_folder(folder)
    with locked(folder / f".{files.folder}.lock"):
        found = read_from_cache(files, folder, split)  # another process may have been at it while we waited
        if found is not None:
            return found
        sources = [HOST + files.archive]
        checksum = f"md5:{files.md5}"
        archive = fetch(files.archive, sources, folder, checksum=checksum, size=files.size, progress=progress)
        sums = {}
        for name, content in read_members(archive, files.sizes("train") | files.sizes("test")):
            write_whole(folder / name, content)
            sums[name] = hashlib.sha256(content).hexdigest()
        lines = "".join(
            f"{digest}  {name}\n" for name, digest in sums.items()
        )  # as `sha256sum --check` reads it
        write_whole(folder / SUMS, lines.encode())
        archive.unlink()
        found = read_from_cache(files, folder, split)
    if found is None:
        raise DataError(f"{files.title} was unpacked into {folder}, and was gone or damaged when read")
    return found


def _read_sums(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    pairs = (line.partition("  ") for line in read_file(path).decode("utf-8", "replace").splitlines())
    return {name: digest for digest, _, name in pairs}


def _plain_files(files: CifarFiles, folder: Path, sizes: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
    for name, expected in sizes.items():
        path = folder / name
        found = path.stat().st_size
        if found != expected:
            raise DataError(
                f"{path} has {found:,} bytes, expected {expected:,}: {expected // files.record:,} records of "
                f"{files.record:,} bytes. It is truncated, damaged or not a file of {files.title}'s binary version"
            )
        yield name, read_file(path)


def _records(
    files: CifarFiles, sizes: Mapping[str, int], contents: Iterable[tuple[str, bytes]], where: Path
) -> npt.NDArray[np.uint8]:
    """Files of these sizes, one after the other in that order, as an array (n, bytes in a record), labels checked."""
    begins = dict(zip(sizes, itertools.accumulate(sizes.values(), initial=0)))
    joined = np.empty(sum(sizes.values()), np.uint8)
    for name, content in contents:
        part = joined[begins[name] :][: sizes[name]]
        part[:] = np.frombuffer(content, np.uint8)
        _check_labels(files, part.reshape(-1, files.record), where / name)
    return joined.reshape(-1, files.record)


def _check_labels(files: CifarFiles, records: npt.NDArray[np.uint8], path: Path) -> None:
    labels = records[:, : len(files.label_names)]
    good = (labels < [len(names) for names in files.label_names]).all(axis=1)
    if good.all() and files.coarse_of:
        good = np.asarray(files.coarse_of)[labels[:, 1]] == labels[:, 0]
    if not good.all():
        first = int(np.argmin(good))
        allowed = " and ".join(f"0 to {len(names) - 1}" for names in files.label_names)
        raise DataError(
            f"{path} is damaged or not a file of {files.title}'s binary version: record {first} has "
            f"{'labels' if files.coarse_of else 'label'} {' and '.join(map(str, labels[first]))}, expected {allowed}"
            + (", the first being the group of the second" if files.coarse_of else "")
        )
