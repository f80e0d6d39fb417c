"""What recording a run costs: training steps with a Recorder at its default cadence, beside the same without.

    python benchmarks/bench_recorder.py
    python benchmarks/bench_recorder.py --workloads resnet20 --rounds 9 --out results.json

Bare and recorded steps take turns, ten at a time; `--steps` of each are a round, 50 or a multiple of it, since the
recorder looks at more in each tenth and at all in each fiftieth step. Shown are medians over the rounds, the median of
the rounds' ratios, and bytes on the disk: for each step those of the database (numbers, histograms, samples), and all
of the snapshots and graphs, which are written once an epoch. The exit code is 1 if a ratio or size is above --check's
limits.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measuring import chosen_cores, describe_machine, prepare_output, summary, table, write_json
from measuring.machine import after
from peers import workloads

import minigrad as mg
from minigrad.cli import clear_errors, positive_int
from minigrad.nn import functional as F
from minigrad.record import Recorder

NETWORKS = ("resnet20", "resnet18", "cnn", "mlp")
RATIO, KILOBYTES = 1.05, 20.0
STRETCH = 10  # steps


def measure(name: str, rounds: int, steps: int, tiny: bool) -> dict[str, Any]:
    """Times of bare and recorded stretches, and what the record takes."""
    net, arrays = workloads.make(name, tiny), workloads.arrays_of(name, tiny)
    x, labels = mg.tensor(arrays["inputs"]), mg.tensor(arrays["labels"])
    optimizer = mg.optim.SGD(net.parameters(), lr=0.001, momentum=0.9)
    ids = np.arange(x.shape[0])

    def step() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    def recorded(recorder: Recorder) -> None:
        with recorder.step(samples=ids) as told:
            told.loss = step()

    bare: list[float] = []
    watched: list[float] = []
    with (
        tempfile.TemporaryDirectory(prefix="record-") as folder,
        Recorder(folder, model=net, optimizer=optimizer) as recorder,
    ):
        for _ in range(3):
            step()
        recorded(recorder)  # the first looks at everything, and compiles
        recorder.writer.flush()
        runs: list[Callable[[], object]] = [step, lambda: recorded(recorder)]
        for _ in range(rounds):
            spent = [0.0, 0.0]
            for stretch in range(-(-steps // STRETCH)):  # short ones: the pace of a shared machine drifts
                for who in (0, 1) if stretch % 2 else (1, 0):
                    began = time.perf_counter()
                    for _ in range(min(STRETCH, steps - stretch * STRETCH)):
                        runs[who]()
                    spent[who] += time.perf_counter() - began
            bare.append(spent[0] / steps)
            watched.append(spent[1] / steps)
        recorder.close()
        size = _size(Path(folder))
        count = recorder.steps
    ratio = statistics.median(b / a for a, b in zip(bare, watched, strict=True))
    return {
        "bare_ms": summary(bare).scaled(1000).median,
        "recorded_ms": summary(watched).scaled(1000).median,
        "ratio": ratio,
        "ratios": [b / a for a, b in zip(bare, watched, strict=True)],
        "steps": count,
        "database_kb_per_step": size["database"] / 1000 / count,
        "snapshots_mb": size["snapshots"] / 1e6,
        "graphs_mb": size["graphs"] / 1e6,
    }


def _size(folder: Path) -> dict[str, int]:
    parts = {"database": "record.sqlite*", "snapshots": "snapshots/*", "graphs": "graphs/*"}
    return {part: sum(f.stat().st_size for f in folder.glob(pattern)) for part, pattern in parts.items()}


def arguments_of(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    first, _, details = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workloads", nargs="+", choices=NETWORKS, default=["resnet20", "resnet18"])
    parser.add_argument("--rounds", type=positive_int, default=5)
    parser.add_argument("--steps", type=positive_int, default=50, help="of a round")
    parser.add_argument(
        "--check",
        action="store_true",
        help=f"exit with 1 above a ratio of {RATIO} or {KILOBYTES:.0f} KB a step",
    )
    parser.add_argument("--out", type=Path, default=None, help="also write the numbers to this JSON file")
    parser.add_argument("--tiny", action="store_true", help="on 16 images of 8 x 8: is all set up?")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print a table, write JSON if asked; returns the exit code."""
    options = arguments_of(arguments)
    prepare_output(options.out)
    cores = chosen_cores(None)
    results: dict[str, Any] = {
        "machine": describe_machine(len(cores)),
        "versions": {"numpy": np.__version__, "minigrad": mg.__version__},
        "workloads": {},
    }
    rows, beyond = [], []
    for name in dict.fromkeys(options.workloads):
        found = results["workloads"][name] = measure(name, options.rounds, options.steps, options.tiny)
        rows.append([
            name,
            f"{found['bare_ms']:,.1f}",
            f"{found['recorded_ms']:,.1f}",
            f"{found['ratio']:.3f}",
            f"{found['database_kb_per_step']:.1f}",
            f"{found['snapshots_mb']:.1f}",
            f"{found['graphs_mb']:.2f}",
        ])  # fmt: skip
        if found["ratio"] > RATIO or found["database_kb_per_step"] > KILOBYTES:
            beyond.append(name)
    print(table(["", "bare ms", "recorded ms", "ratio", "KB a step", "snapshots MB", "graphs MB"], rows))
    for name in beyond:
        print(f"  BEYOND its limit: {name}")
    after(results["machine"])
    if options.out is not None:
        write_json(options.out, results)
    return 1 if beyond and options.check else 0


if __name__ == "__main__":
    with clear_errors(Path(sys.argv[0]).name):
        sys.exit(main())
