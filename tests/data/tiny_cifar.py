"""CIFAR files with a handful of records, for tests."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace

import numpy as np

from minigrad.data.cifar_files import CifarFiles

RECORDS = 6  # in each file, instead of 10,000 or 50,000


def smaller(files: CifarFiles) -> CifarFiles:
    """The description of files with few records."""
    return replace(files, splits={s: dict.fromkeys(names, RECORDS) for s, names in files.splits.items()})


def tiny_contents(files: CifarFiles, rng: np.random.Generator) -> dict[str, bytes]:
    """Random files with few records, by name."""
    contents = {}
    for name in (*files.splits["train"], *files.splits["test"]):
        last = rng.integers(0, len(files.label_names[-1]), (RECORDS, 1))
        labels = [np.array(files.coarse_of)[last], last] if files.coarse_of else [last]
        pixels = rng.integers(0, 256, (RECORDS, 3072))
        contents[name] = np.concatenate([*labels, pixels], 1).astype(np.uint8).tobytes()
    return contents


def tar_gz(folder: str, contents: dict[str, bytes]) -> bytes:
    """The official archive's layout: the folder itself, a text and the files, in another order than by number."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        entry = tarfile.TarInfo(folder)
        entry.type = tarfile.DIRTYPE
        archive.addfile(entry)
        for name, content in {"readme.html": b"<html>", **dict(reversed(contents.items()))}.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()
