"""Kill a training run at random instants, go on each time, and compare with a run that was left alone.

    python tests/train/kill_and_resume.py --kills 50

The job is small but has everything that must survive: dropout, batch norm, augmentation, shuffling, momentum, a
schedule, accumulated gradients, clipping, an average of the weights, early stopping, metrics, a log. It is killed
with SIGKILL at random: while it starts, in a step, while a checkpoint is written. After each kill what was announced
as saved must be there, undamaged; at the end the whole state must equal, bit for bit, that of the other run. Exit
code 0 if it does.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
from minigrad import nn
from minigrad.data import ArrayDataset, Compose, DataLoader, RandomShift, ToFloat
from minigrad.optim import SGD, ExponentialMovingAverage
from minigrad.optim.lr_scheduler import OneCycleLR
from minigrad.train import (
    Callback,
    EarlyStopping,
    History,
    RunCheckpoint,
    RunFolder,
    RunLog,
    Trainer,
    WeightAverage,
    load_state,
    save_state,
)

TIMES = (
    "seconds",
    "size",
)  # what differs between equal runs: durations, and the length of the text they make


class Announce(Callback):
    """Prints each checkpoint's position when it is safe."""

    def on_save_point(self, trainer: Trainer) -> None:
        position = trainer.next_epoch, trainer.next_batch
        if trainer.callback(RunCheckpoint).latest == position:
            print(*position, flush=True)


def images(count: int, seed: int) -> ArrayDataset:
    """Grey images of 8 x 8 pixels, of class 1 where the upper half is brighter."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)
    upper = pixels[:, 0, :4].mean((1, 2)) > pixels[:, 0, 4:].mean((1, 2))
    return ArrayDataset(pixels, upper.astype(np.int64))


def make_job(
    run: RunFolder, epochs: int, every: int = 1, *extra: Callback
) -> tuple[Trainer, DataLoader, DataLoader]:
    """A trainer with all that has a state, its loader of 7 batches, and a loader for validation."""
    mg.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 2)
    )
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3, nesterov=True)
    callbacks: list[Callback] = [
        History(),
        WeightAverage(ExponentialMovingAverage(model, decay=0.9)),
        EarlyStopping("val_loss", patience=None),
        RunLog(run, every=2),
        RunCheckpoint(run, every=every, monitor="val_accuracy"),
        *extra,
    ]
    trainer = Trainer(
        model,
        optimizer,
        scheduler=OneCycleLR(optimizer, 0.1, epochs=epochs, steps_per_epoch=4),
        metrics=["accuracy", "f1", "confusion"],
        callbacks=callbacks,
        accumulate=2,
        clip_norm=1.0,
    )
    augmented = Compose([RandomShift(1), ToFloat()])
    loader = DataLoader(images(100, 1), 16, shuffle=True, seed=3, transform=augmented)
    return trainer, loader, DataLoader(images(40, 2), 16)


def train(folder: Path, epochs: int) -> None:
    """Train in a folder, from its beginning or from where it stands; then leave the final state in it."""
    if (folder / "config.json").exists():
        run = RunFolder.resume(folder)
        state = run.load() if run.checkpoints() else None
    else:
        run, state = RunFolder.create(folder, {"epochs": epochs}), None
    trainer, loader, validation = make_job(run, epochs, 2, Announce())
    trainer.fit(loader, epochs, validation, resume=state)
    save_state(trainer.state_dict(), folder / "final.safetensors")


def difference(a: Any, b: Any, path: str = "") -> str:
    """Where two nested states differ, to the bit, durations apart; empty if they do not."""
    if isinstance(a, dict) and isinstance(b, dict):
        a, b = ({str(name): value for name, value in d.items()} for d in (a, b))  # as they are in a file
        if a.keys() != b.keys():
            return f"{path}: {sorted(a.keys() ^ b.keys())} stand on one side only"
        parts = [difference(a[name], b[name], f"{path}/{name}") for name in a if name not in TIMES]
    elif isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        if len(a) != len(b):
            return f"{path}: {len(a)} and {len(b)} entries"
        parts = [difference(x, y, f"{path}/{i}") for i, (x, y) in enumerate(zip(a, b))]
    elif isinstance(a, (np.ndarray, mg.Tensor)):
        x, y = np.asarray(a), np.asarray(b)
        same = (x.dtype, x.shape, x.tobytes()) == (y.dtype, y.shape, y.tobytes())
        return "" if same else f"{path}: arrays of shapes {x.shape} and {y.shape} differ"
    else:
        return "" if repr(a) == repr(b) else f"{path}: {a!r} and {b!r}"
    return next(filter(None, parts), "")


def start(folder: Path, epochs: int) -> subprocess.Popen[str]:
    """The training of `folder` in a process of its own."""
    command = [sys.executable, __file__, "--train", str(folder), "--epochs", str(epochs)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def position(folder: Path) -> tuple[int, int]:
    """Where the run in a folder would go on; damage, which would only be warned of, is an error here."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        counters = RunFolder.open(folder).load()["trainer"]
    return counters["next_epoch"], counters["next_batch"]


def kill_and_resume(folder: Path, kills: int, epochs: int, seed: int) -> str:
    """Returns what is wrong, or nothing. `epochs` must be enough for the kills: about half a kill each."""
    rng, killed, announced = random.Random(seed), 0, None
    whole, torn = folder / "whole", folder / "torn"
    with start(whole, epochs) as process:
        process.communicate()
    if process.returncode:
        return "the run that was left alone failed"
    while True:
        with start(torn, epochs) as process:
            # Let it announce so many checkpoints, the first of all at least, then live on for a step or so
            saves = rng.randrange(1 if announced is None else 0, 8) if killed < kills else None
            assert process.stdout is not None
            for line in itertools.islice(process.stdout, saves):
                announced = tuple(map(int, line.split()))
            if saves is not None:
                time.sleep(rng.random() * (0.01 if saves else 0.5))
                process.kill()
            code = process.wait()
        if code == 0:
            break
        if code != -9:
            return f"after {killed} kills it failed with code {code}"
        killed += 1
        if announced is not None:
            found = position(torn)
            if found < announced:
                return f"kill {killed}: {announced} had been saved, but the run stands at {found}"
    if killed < kills:
        return f"it ended after {killed} kills already; give it more epochs"
    ends = [load_state(part / "final.safetensors") for part in (whole, torn)]
    rows = [RunFolder.open(part).metrics() for part in (whole, torn)]
    return difference(*ends) or difference(*rows)


def main() -> int:
    """Run, report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--epochs", type=int, help="default: two for each kill, and some more")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    epochs = options.epochs or 10 + 2 * options.kills
    if options.train:
        train(options.train, epochs)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        wrong = kill_and_resume(Path(folder), options.kills, epochs, options.seed)
    print(wrong or f"{options.kills} kills, the same bits as without, {time.perf_counter() - began:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
