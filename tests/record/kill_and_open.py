"""Does a run that is killed at any instant open, without a hole, and with all but the last second?

    python tests/record/kill_and_open.py --kills 100
    python tests/record/kill_and_open.py --kills 30 --training

A process records small steps as fast as it can, now and then a snapshot, and is killed (SIGKILL) at a random instant,
while it starts, too. What it left is read and compared with what it must have written. Then the next one goes on with
the same run, from a random step, or begins another.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import minigrad as mg
from minigrad import nn, record
from minigrad.errors import DataError
from minigrad.optim import SGD
from minigrad.train import Callback, RunCheckpoint, RunFolder, Trainer

COLUMNS, ROWS, EVERY = 11, 40, 50
PAUSE = 0.001  # seconds between steps


def numbers(step: int) -> np.ndarray:
    """What a step records: a function of the step, so that every number can be checked."""
    return np.sin(step + np.arange(ROWS * COLUMNS)).reshape(ROWS, COLUMNS).astype(np.float32)


def write(folder: str, first: int) -> None:
    """Record steps from `first` on until killed; says "begun" once it records."""
    configuration = {"first": first}
    if first == 1:
        writer = record.RunWriter(folder, configuration)
    else:
        writer = record.RunWriter.resume(folder, first - 1)
    weight = writer.signal("weight", "w", (ROWS,), ROWS)
    layout = writer.layout("statistics", "float32", [f"c{i}" for i in range(COLUMNS)], [(weight, ROWS)])
    print("begun", flush=True)
    step = first
    while True:
        writer.matrix(step, layout, numbers(step))
        if step % EVERY == 0:
            writer.snapshot(step, "weights", {"w": numbers(step)})
        writer.step(step, loss=1 / step)
        step += 1
        time.sleep(PAUSE)


def train(folder: str) -> None:
    """Train with a Recorder, from the latest checkpoint if there is one; says "begun" once it records a step."""

    class Tell(Callback):
        """Writes each step and when it ended to a file, in a way that a kill cannot undo."""

        def __init__(self) -> None:
            self.file = os.open(Path(folder) / "told", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            self.begun = False

        def on_batch_end(self, trainer: Trainer) -> None:
            os.write(self.file, f"{trainer.global_step} {time.time()}\n".encode())
            if not self.begun:
                print("begun", flush=True)
            self.begun = True

    goes_on = (Path(folder) / "config.json").exists()
    run = RunFolder.resume(folder) if goes_on else RunFolder.create(folder, {})
    state = run.load() if run.checkpoints() else None
    mg.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 3))
    batches = [(mg.randn(8, 8), mg.randint(0, 3, (8,))) for _ in range(50)]
    configuration = record.RecorderConfiguration(full_every=20, snapshots=25, units_every=5)
    recorder = record.Recorder(run, configuration, probe=batches[0])
    callbacks = [Tell(), recorder, RunCheckpoint(run, every=20)]
    trainer = Trainer(model, SGD(model.parameters(), lr=0.01, momentum=0.9), callbacks=callbacks)
    trainer.fit(batches, 10**6, resume=state)


def check_training(folder: Path, killed: float) -> tuple[int, float]:
    """Read what a killed training left; returns the last step, and for how long before the kill steps are missing."""
    run = record.open(folder)
    steps = run.steps["step"]
    told = [line.split() for line in (folder / "told").read_text().splitlines() if line.count(".") == 1]
    missing = [float(moment) for step, moment in told if int(step) > len(steps)]
    assert np.array_equal(steps, np.arange(1, len(steps) + 1)), "the steps have a hole"
    assert np.isfinite(run.steps["loss"]).all(), "a step has no loss"
    for kind, name in (
        ("weight", "0.weight"),
        ("gradient", "3.bias"),
        ("output", "1"),
        ("output_gradient", "0"),
    ):
        got, values = run.series(name, "norm", kind)
        got, values = got[got > 0], values[got > 0]
        assert np.array_equal(got[: len(steps)], steps), f"the {kind} of {name} has a hole"
        assert len(got) <= len(steps) + 1
        assert (values[: len(steps)] > 0).all(), "numbers are missing"
    for step in run.snapshot_steps():
        norm = np.linalg.norm(run.tensor("0.weight", step))
        at, norms = run.series("0.weight", "norm", "weight")
        found = norms[at == step]
        assert not len(found) or np.isclose(found[0], norm, rtol=1e-5), (
            f"the snapshot of step {step} is another's"
        )
    return len(steps), killed - missing[0] if missing else 0.0


def kill_trainings(kills: int, seed: int, longest: float, show: bool = False) -> float:
    """Kill a training `kills` times, which goes on each time; returns the most seconds that a kill took away."""
    dice, worst, before = random.Random(seed), 0.0, 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "run"
        for number in range(kills):
            command = [sys.executable, __file__, "--train", str(folder)]
            _, killed = kill_command(command, dice.uniform(0.05, longest))
            last, lost = check_training(folder, killed)
            worst = max(worst, lost)
            assert lost <= 1, f"kill {number} took {lost:.2f} s"
            checkpoint = RunFolder.open(folder).load()["trainer"]["global_step"]
            assert checkpoint <= last, f"the checkpoint is of step {checkpoint}, the record ends at {last}"
            if show:
                print(
                    f"kill {number + 1}: from {before} to {last}, lost the last {lost:.3f} s, goes on from "
                    f"{checkpoint}",
                    flush=True,
                )
            before = checkpoint
    return worst


def check(folder: Path, begun: float, killed: float) -> tuple[int, float]:
    """Read what is there; returns the last step and how many seconds before the kill it was. Raises AssertionError."""
    run = record.open(folder)
    steps = run.steps["step"]
    if not len(steps):
        return 0, killed - begun
    assert np.array_equal(steps, np.arange(1, len(steps) + 1)), "the steps have a hole"
    if run.signals():
        for column in range(COLUMNS):
            got, values = run.series("w", f"c{column}")
            assert len(got) in (len(steps), len(steps) + 1), f"{len(got)} matrices of {len(steps)} steps"
            assert np.array_equal(got, np.arange(1, len(got) + 1)), "the series has a hole"
            expected = np.array([numbers(step)[0, column] for step in got])
            assert np.array_equal(values, expected), "numbers are not what was written"
    for step in run.snapshot_steps("weights"):
        assert np.array_equal(run.tensor("w", step), numbers(step)), (
            f"the snapshot of step {step} is not right"
        )
    return int(steps[-1]), killed - run.steps["time"][-1]


def kill_once(folder: Path, first: int, seconds: float, wait_for_start: bool = True) -> tuple[float, float]:
    """Start a writer, and kill it `seconds` after it began; returns when it began and when that was."""
    command = [sys.executable, __file__, "--write", str(folder), "--first", str(first)]
    return kill_command(command, seconds, wait_for_start)


def kill_command(command: list[str], seconds: float, wait_for_start: bool = True) -> tuple[float, float]:
    """The same, of a process of this command."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        if wait_for_start:
            assert process.stdout.readline() == b"begun\n", "the writer did not start"
        begun = time.time()
        time.sleep(seconds)
        assert process.poll() is None, "the writer ended by itself"
        killed = time.time()
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    return begun, killed


def kill_and_check(kills: int, seed: int, longest: float, show: bool = False) -> float:
    """Kill `kills` times; returns the most seconds that a kill took away."""
    dice, worst = random.Random(seed), 0.0
    with tempfile.TemporaryDirectory() as scratch:
        folder, first = Path(scratch) / "0", 1
        for number in range(kills):
            last, lost = check(folder, *kill_once(folder, first, dice.uniform(0.3, longest)))
            worst = max(worst, lost)
            assert lost <= 1, f"kill {number} took {lost:.2f} s"
            if show:
                print(f"kill {number + 1}: steps {first} to {last}, lost the last {lost:.3f} s", flush=True)
            if dice.random() < 0.5:
                first = dice.randrange(max(2, last - 200), last + 1) + 1  # go on
            else:
                folder, first = Path(scratch) / str(number + 1), 1
        for number in range(kills // 5):  # while it starts: there is a run, or clearly none
            folder = Path(scratch) / f"start-{number}"
            kill_once(folder, 1, dice.uniform(0.0, 0.6), wait_for_start=False)
            try:
                record.open(folder).steps  # noqa: B018
            except DataError as error:
                assert "no recorded run" in str(error), error  # noqa: PT017
    return worst


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Kill a recording again and again, and read what is left.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--longest", type=float, default=2.5, help="seconds that a process records at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--training", action="store_true", help="kill a trainer with a Recorder")
    parser.add_argument("--train", help=argparse.SUPPRESS)
    parser.add_argument("--write", help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        train(options.train)
    if options.write:
        write(options.write, options.first)
    kill = kill_trainings if options.training else kill_and_check
    worst = kill(options.kills, options.seed, options.longest, show=True)
    print(f"{options.kills} kills: every run opened without a hole; the most that was lost: {worst:.3f} s")


if __name__ == "__main__":
    main()
