"""Checkpoint and weight files damaged at random, and what is said about each.

    python tests/train/mangled_checkpoints.py                      # 2,000 of them
    python tests/train/mangled_checkpoints.py --count 500 --seed 7

Files that minigrad wrote carry a checksum: every damage must end in a DataError that names the file, or, where it
happened to change nothing, in the very arrays that were in it; a run must go back to the checkpoint before it. Weights
from elsewhere have no checksum: there values may differ, but nothing else may happen.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

import minigrad as mg
from minigrad import nn
from minigrad.errors import DataError
from minigrad.optim import SGD
from minigrad.train import History, RunCheckpoint, RunFolder, Trainer, load_state

SECONDS = 5.0  # for one small file; more is a hang


def run_folder(folder: Path) -> RunFolder:
    """A run of two epochs with its checkpoints."""
    mg.manual_seed(0)
    run, model = (
        RunFolder.create(folder, {"seed": 0}),
        nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)),
    )
    batches = [(mg.randn(4, 4), mg.tensor([0, 1, 0, 1]))] * 3
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    Trainer(model, optimizer, callbacks=[History(), RunCheckpoint(run)]).fit(batches, 2)
    return run


def mangled(content: bytes, rng: np.random.Generator) -> bytes:
    """The content with one to three random injuries; half of them in the header, as often within one of its numbers."""
    damaged = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        header = 8 + int.from_bytes(content[:8], "little")
        end = max(1, min(len(damaged), header if rng.random() < 0.5 else len(damaged)))
        at = int(rng.integers(0, end))
        length = int(rng.integers(1, 2 + end // int(rng.integers(2, 60))))
        part = bytes(damaged[at : at + length])
        match int(rng.integers(0, 9)):
            case 0:
                del damaged[at:]
            case 1:
                del damaged[at : at + length]
            case 2:
                damaged[at:at] = rng.bytes(length)
            case 3:
                damaged[at : at + length] = rng.bytes(len(part))
            case 4:
                damaged[at : at + length] = bytes([int(rng.choice([0, 255]))]) * len(part)
            case 5:
                damaged[at:at] = part
            case 6 if damaged:
                damaged[min(at, len(damaged) - 1)] ^= 1 << int(rng.integers(0, 8))
            case 7:  # another number in the header: a length, a shape, an offset, a counter
                digits = [i for i in range(8, min(header, len(damaged))) if chr(damaged[i]).isdigit()]
                if digits:
                    damaged[int(rng.choice(digits))] = ord("0") + int(rng.integers(0, 10))
            case _:
                damaged += rng.bytes(length)
    return bytes(damaged)


def same(a: Any, b: Any) -> bool:
    """Whether two nested states are equal to the bit."""
    if isinstance(a, dict):
        return isinstance(b, dict) and list(a) == list(b) and all(same(a[name], b[name]) for name in a)
    if isinstance(a, (np.ndarray, mg.Tensor)):
        x, y = np.asarray(a), np.asarray(b)
        return (x.dtype, x.shape, x.tobytes()) == (y.dtype, y.shape, y.tobytes())
    return repr(a) == repr(b)


def check(read: Any, path: Path, content: bytes, expected: Any, checksum: bool) -> str:
    """What reading the damaged content comes to: "error", "same" or "values"; anything else raises AssertionError."""
    path.write_bytes(content)
    began = time.perf_counter()
    try:
        found = read(path)
    except DataError as error:
        if str(path) not in str(error):
            raise AssertionError("the message does not name the file") from error
        return "error"
    finally:
        assert time.perf_counter() - began < SECONDS, "reading hangs"
    if same(expected, found):
        return "same"
    assert not checksum, "damage went unnoticed"
    return "values"


def mangle(folder: Path, count: int, seed: int) -> collections.Counter[str]:
    """Damage `count` files, and count what came of each kind."""
    faulthandler.enable()
    rng = np.random.default_rng(seed)
    run = run_folder(folder / "run")
    latest = run.checkpoints()[-1]
    state, before = load_state(latest), load_state(run.checkpoints()[-2])
    weights, foreign = folder / "weights.safetensors", folder / "foreign.safetensors"
    mg.save(state["model"], weights)
    safetensors.numpy.save_file({name: t.numpy().copy() for name, t in state["model"].items()}, foreign)
    kinds = [
        ("checkpoint", latest, load_state, True),
        ("weights", weights, mg.load, True),
        ("foreign weights", foreign, mg.load, False),
    ]
    sound = {name: (path.read_bytes(), read(path)) for name, path, read, _ in kinds}
    results: collections.Counter[str] = collections.Counter()
    for number in range(count):
        name, path, read, checksum = kinds[number % len(kinds)]
        content, expected = sound[name]
        damaged = mangled(content, rng)
        if damaged == content:
            results[f"{name}: unchanged"] += 1
            continue
        try:
            result = check(read, path, damaged, expected, checksum)
            if name == "checkpoint":
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    loaded = run.load()
                assert same(loaded, before if result == "error" else state), (
                    "the run did not go back to the one before"
                )
                assert len(caught) == (result == "error"), "a word of warning is missing"
        except BaseException as error:
            raise AssertionError(f"file {number} of seed {seed}, {name}: {error!r}") from error
        results[f"{name}: {result}"] += 1
    return results


def main() -> int:
    """Run, report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for result, number in sorted(mangle(Path(folder), options.count, options.seed).items()):
            print(f"{number:6} {result}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
