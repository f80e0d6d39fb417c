"""Data files damaged at random, and what is said about each.

    python tests/data/mangled_files.py                      # 2,000 of them
    python tests/data/mangled_files.py --count 500 --seed 7

Every file must end in a DataError that says where, or, where the damage means nothing (a time stamp), in the very data
that were in it. Formats without a checksum cannot tell a pixel or a label from another possible one: there the data may
differ in values, not in shape or range.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import gzip
import io
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tiny_cifar import smaller, tar_gz, tiny_contents

from minigrad.data import ImageFolder, cifar, idx_bytes, load_mnist
from minigrad.data.cifar_files import read_from_root
from minigrad.data.npz import parse_npz
from minigrad.errors import DataError

Arrays = list[np.ndarray]
SECONDS = 5.0  # for one small file; more is a hang


@dataclass(frozen=True)
class Kind:
    """A sort of file: its name, contents, a reader of the folder it lies in, and whether damage to values shows."""

    name: str
    content: bytes
    read: Callable[[Path], Arrays]
    checksum: bool
    beside: tuple[tuple[str, bytes], ...] = ()  # other files that the reader wants


def kinds(rng: np.random.Generator) -> list[Kind]:
    """One sound file of every sort that is read from a user's folder."""
    images = rng.integers(0, 256, (20, 28, 28), np.uint8)
    pixels, labels = idx_bytes(images), idx_bytes(rng.integers(0, 10, 20).astype(np.uint8))
    names = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
    ten, hundred = smaller(cifar.CIFAR10), smaller(cifar.CIFAR100)
    batches, trained = tiny_contents(ten, rng), tiny_contents(hundred, rng)
    first, *others = [(name, batches[name]) for name in ten.splits["train"]]
    npz = io.BytesIO()
    np.savez_compressed(npz, images=images, labels=np.arange(20))

    def mnist(folder: Path) -> Arrays:
        data = load_mnist(folder)
        return [data.inputs, data.targets]

    def cifar10(folder: Path) -> Arrays:
        return [read_from_root(ten, folder, "train")[0]]

    def cifar100(folder: Path) -> Arrays:
        return [read_from_root(hundred, folder, "train")[0]]

    def arrays(folder: Path) -> Arrays:
        path = folder / "arrays.npz"
        return list(parse_npz(path.read_bytes(), str(path), ["images", "labels"]).values())

    def pictures(folder: Path) -> Arrays:
        return [ImageFolder(folder, 16)[[0]][0]]

    every = [
        Kind(names[0], pixels, mnist, False, ((names[1], labels),)),
        Kind(names[1], labels, mnist, False, ((names[0], pixels),)),
        Kind(names[0] + ".gz", gzip.compress(pixels), mnist, True, ((names[1], labels),)),
        Kind(*first, cifar10, False, tuple(others)),
        Kind("train.bin", trained["train.bin"], cifar100, False),
        Kind(ten.archive, tar_gz(ten.folder, batches), cifar10, True),
        Kind("arrays.npz", npz.getvalue(), arrays, True),
    ]
    picture = Image.fromarray(images[0]).resize((40, 40)).convert("RGB")
    for ending, form in {"png": "png", "jpg": "jpeg", "bmp": "bmp", "webp": "webp", "gif": "gif"}.items():
        content = io.BytesIO()
        picture.save(content, form)
        every.append(Kind(f"class/image.{ending}", content.getvalue(), pictures, False))
    return every


def mangled(content: bytes, rng: np.random.Generator) -> bytes:
    """The content with one to three random injuries."""
    damaged = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(0, max(1, len(damaged))))
        if rng.random() < 0.4:  # the beginning, where headers are, is worth more trials than its length
            at = int(rng.integers(0, min(64, max(1, len(damaged)))))
        length = int(rng.integers(1, 1 + max(1, len(damaged) // int(rng.integers(2, 40)))))
        match int(rng.integers(0, 8)):
            case 0:
                del damaged[at:]
            case 1:
                del damaged[at : at + length]
            case 2:
                damaged[at:at] = rng.bytes(length)
            case 3:
                damaged[at : at + length] = rng.bytes(len(damaged[at : at + length]))
            case 4:
                damaged[at : at + length] = bytes([rng.choice([0, 255])]) * len(damaged[at : at + length])
            case 5:
                damaged[at:at] = damaged[at : at + length]
            case 6 if damaged:
                damaged[min(at, len(damaged) - 1)] ^= 1 << int(rng.integers(0, 8))
            case _:
                damaged += rng.bytes(length)
    return bytes(damaged)


def outcome(kind: Kind, content: bytes, expected: Arrays, folder: Path) -> str:
    """What reading the damaged file comes to: "error", "same" or "values"; anything else raises AssertionError."""
    for name, whole in ((kind.name, content), *kind.beside):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(whole)
    began = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found: Any = kind.read(folder)
    except DataError as error:
        if str(folder) not in str(error):
            raise AssertionError(f"the message does not say where: {error}") from error
        return "error"
    except Exception as error:
        raise AssertionError(f"{type(error).__name__} instead of a DataError: {error}") from error
    finally:
        seconds = time.perf_counter() - began
        assert seconds < SECONDS, f"took {seconds:.1f} s"
    if len(found) == len(expected) and all(np.array_equal(a, b) for a, b in zip(found, expected)):
        return "same"
    assert not kind.checksum, "damage went unnoticed"
    assert [(a.shape, a.dtype) for a in found] == [(b.shape, b.dtype) for b in expected]
    return "values"


def trial(count: int, seed: int, scratch: Path) -> dict[str, collections.Counter[str]]:
    """Mangle `count` files; returns how often each outcome came, by kind of file."""
    rng = np.random.default_rng(seed)
    every = kinds(rng)
    expected = []
    for number, kind in enumerate(every):
        sound = scratch / f"sound{number}"
        for name, content in ((kind.name, kind.content), *kind.beside):
            (sound / name).parent.mkdir(parents=True, exist_ok=True)
            (sound / name).write_bytes(content)
        expected.append(kind.read(sound))
    table: dict[str, collections.Counter[str]] = {kind.name: collections.Counter() for kind in every}
    for number in range(count):
        which = number % len(every)
        content = mangled(every[which].content, rng)
        folder = scratch / f"kind{which}"
        try:
            table[every[which].name][outcome(every[which], content, expected[which], folder)] += 1
        except AssertionError as error:
            kept = scratch / f"failed-{number}-{Path(every[which].name).name}"
            kept.write_bytes(content)
            raise AssertionError(f"file {number} of seed {seed}, kept as {kept}: {error}") from error
    return table


def main() -> int:
    """Run a trial from the command line and print what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    faulthandler.dump_traceback_later(600, exit=True)
    scratch = Path(tempfile.mkdtemp(prefix="mangled-"))
    table = trial(options.count, options.seed, scratch)
    print(f"{'file':<28}{'error':>8}{'same':>8}{'values':>8}")
    for name, counts in table.items():
        print(f"{name:<28}{counts['error']:>8}{counts['same']:>8}{counts['values']:>8}")
    print(f"{sum(sum(counts.values()) for counts in table.values())} files, none of them a crash or a hang")
    return 0


if __name__ == "__main__":
    sys.exit(main())
