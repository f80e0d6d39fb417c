"""How long it takes from nothing to the end of the first training step, and how much memory, beside PyTorch.

    python benchmarks/bench_startup.py                             # the MLP and ResNet-20
    python benchmarks/bench_startup.py --workloads mlp --rounds 15
    python benchmarks/bench_startup.py --out benchmarks/results/startup.json

Every measurement is a fresh process: the interpreter starts, imports the library (the first column), reads a file of
weights and a batch, builds the network and trains one step (the second column: since the process was started), and the
peak of its memory is read. "cold": with an empty folder for compiled kernels (MINIGRAD_CACHE_DIR), "warm": with one
that an earlier process has filled, as a user finds it from the second time on. Contestants take turns in each round;
the files of all libraries are in the system's memory, since each has run once before. Medians are shown.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from measuring import chosen_cores, describe_machine, prepare_output, summary, table, write_json
from measuring.machine import after
from peers import workloads
from peers.contestants import CONTESTANTS, Contestant, installed, interpreters, missing
from peers.process import Worker

from minigrad.cli import clear_errors, positive_int

CACHE = "MINIGRAD_CACHE_DIR"
LR, MOMENTUM = 0.01, 0.9


class Sample(NamedTuple):
    """One process: seconds of the import, seconds until the first step was done, MB at its peak."""

    import_seconds: float
    first_step_seconds: float
    peak_mb: float


def start(contestant: Contestant, job: dict[str, Any], python: str, cores: list[int], cache: str) -> Sample:
    """Start a process, let it train one step, and end it."""
    began = time.perf_counter()
    with Worker(contestant, job, python, cores, {CACHE: cache}) as worker:
        ready = worker.ready()
        burst = worker.step()
        seconds = time.perf_counter() - began
    return Sample(ready["import_seconds"], seconds, burst.peak_mb)


def measure(
    name: str, present: list[Contestant], pythons: dict[str, str], options: argparse.Namespace
) -> dict[str, Any]:
    """All samples of one workload, as medians and quartiles."""
    cores = chosen_cores(options.threads)
    samples: dict[str, list[Sample]] = {}
    with tempfile.TemporaryDirectory(prefix="startup-") as folder:
        arrays = Path(folder) / "arrays.npz"
        np.savez(arrays, **workloads.arrays_of(name, options.tiny))  # type: ignore[arg-type]
        job = {
            "workload": name,
            "tiny": options.tiny,
            "training": True,
            "plan": workloads.plan_of(workloads.make(name, options.tiny)),
            "arrays": str(arrays),
            "lr": LR,
            "momentum": MOMENTUM,
        }
        warm = str(Path(folder) / "warm")
        for contestant in present:  # fills the warm cache, and the system's with everybody's files
            start(contestant, job, pythons[contestant.peer], cores, warm)
        for _ in range(options.rounds):
            for contestant in present:
                own = contestant.peer == "minigrad"
                for state in ("cold", "warm") if own else ("",):
                    with tempfile.TemporaryDirectory(dir=folder) as empty:
                        cache = empty if state == "cold" else warm
                        sample = start(contestant, job, pythons[contestant.peer], cores, cache)
                    label = f"{contestant.name}, {state}" if own else contestant.name
                    samples.setdefault(label, []).append(sample)
    return {label: summed(found) for label, found in samples.items()}


def summed(samples: list[Sample]) -> dict[str, Any]:
    """Median and quartiles of each figure."""
    columns = {field: [getattr(s, field) for s in samples] for field in Sample._fields}
    return {field: summary(values)._asdict() for field, values in columns.items()}


def show(name: str, result: dict[str, Any], threads: int) -> None:
    """Print one workload's table."""
    print(f"\n{name}: from nothing to the end of the first training step, {threads} threads")
    header = ["", "import s", "first step done s", "quartiles", "peak MB", "rounds"]
    rows = []
    for label, found in result.items():
        step = found["first_step_seconds"]
        cells = [f"{found['import_seconds']['median']:.2f}", f"{step['median']:.2f}"]
        cells += [
            f"{step['q1']:.2f} - {step['q3']:.2f}",
            f"{found['peak_mb']['median']:,.0f}",
            str(step["rounds"]),
        ]
        rows.append([label, *cells])
    print(table(header, rows))


def arguments_of(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    first, _, details = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = list(workloads.WORKLOADS)
    parser.add_argument("--workloads", nargs="+", choices=names, default=["mlp", "resnet20"])
    parser.add_argument(
        "--python", action="append", default=[], metavar="PEER=PATH", help="a peer's interpreter"
    )
    parser.add_argument(
        "--threads", type=positive_int, default=None, help="for all alike; default: all cores"
    )
    parser.add_argument("--rounds", type=positive_int, default=7)
    parser.add_argument("--out", type=Path, default=None, help="also write the numbers to this JSON file")
    parser.add_argument(
        "--tiny", action="store_true", help="the same networks on 16 images of 8 x 8: is all set up?"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print tables, write JSON if asked; returns the exit code."""
    options = arguments_of(arguments)
    pythons, cores = interpreters(options.python), chosen_cores(options.threads)
    prepare_output(options.out)
    chosen = [c for c in CONTESTANTS if c.name in ("minigrad", "PyTorch, channels last")]
    versions = installed(chosen, pythons)
    absent = {c.name: why for c in chosen if (why := missing(c, versions)) is not None}
    for name, why in absent.items():
        print(f"{name} does not take part: {why}")
    results: dict[str, Any] = {
        "machine": describe_machine(len(cores)),
        "versions": {"numpy": np.__version__, **versions},
        "missing": absent,
        "workloads": {},
    }
    for name in dict.fromkeys(options.workloads):
        found = measure(name, [c for c in chosen if c.name not in absent], pythons, options)
        results["workloads"][name] = found
        show(name, found, len(cores))
    after(results["machine"])
    if options.out is not None:
        write_json(options.out, results)
    return 0


if __name__ == "__main__":
    with clear_errors(Path(sys.argv[0]).name):
        sys.exit(main())
