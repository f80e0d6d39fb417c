"""Does a run that is killed at any instant open, without a hole, and with all but the last second?

    python tests/record/kill_and_open.py --kills 100

A process records small steps as fast as it can, now and then a snapshot, and is killed (SIGKILL) at a random instant,
while it starts, too. What it left is read and compared with what it must have written. Then the next one goes on with
the same run, from a random step, or begins another.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from minigrad import record
from minigrad.errors import DataError

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
    parser.add_argument("--write", help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write(options.write, options.first)
    worst = kill_and_check(options.kills, options.seed, options.longest, show=True)
    print(f"{options.kills} kills: every run opened without a hole; the most that was lost: {worst:.3f} s")


if __name__ == "__main__":
    main()
