"""What an operation costs beside its arithmetic, on one thread: tensors of 10 elements, beside PyTorch where installed.

    python benchmarks/bench_overhead.py
    python benchmarks/bench_overhead.py --rounds 31 --calls 5000
    python benchmarks/bench_overhead.py --out benchmarks/results/overhead.json

Rows: an addition that is recorded; the same with a sum and the way back; a training step of a network of 8, 16 and 4
units (forward, cross-entropy, backward, SGD with momentum) on 4 inputs. The libraries take turns in each round; medians
and quartiles of microseconds are shown, and the median of the rounds' ratios. The last lines are what observers cost an
operation: with none, the two look-ups that find that there are none; and with one that does nothing.
"""

from __future__ import annotations

import argparse
import os

os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy is loaded

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from measuring import describe_machine, prepare_output, summary, table, write_json

import minigrad as mg
from minigrad import observe
from minigrad.cli import clear_errors, positive_int

ADD, BACKWARD, STEP = "add of 10 elements", "add, sum, backward", "step of an MLP 8-16-4"


def workloads(lib: Any) -> dict[str, Callable[[], object]]:
    """The rows, by what they do: the same lines run in either library."""
    a, b = lib.ones(10, requires_grad=True), lib.ones(10)
    rng = np.random.default_rng(0)
    images, labels = (
        lib.tensor(rng.standard_normal((4, 8), dtype=np.float32)),
        lib.tensor(rng.integers(0, 4, 4)),
    )
    net = lib.nn.Sequential(lib.nn.Linear(8, 16), lib.nn.ReLU(), lib.nn.Linear(16, 4))
    optimizer = lib.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)

    def backward() -> None:
        (a + b).sum().backward()

    def step() -> None:
        optimizer.zero_grad()
        lib.nn.functional.cross_entropy(net(images), labels).backward()
        optimizer.step()

    return {ADD: lambda: a + b, BACKWARD: backward, STEP: step}


def microseconds(function: Callable[[], object], calls: int) -> float:
    """The time of one call, as a mean of so many."""
    began = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - began) / calls * 1e6


def measure(contestants: dict[str, Callable[[], object]], rounds: int, calls: int) -> dict[str, list[float]]:
    """Microseconds of each contestant in each round, after a round to warm up."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, function in contestants.items():
            taken = microseconds(function, calls)
            if number:
                times[name].append(taken)
    return times


class Idle:
    """An observer that does nothing."""

    def before(self, call: observe.Call) -> None:
        """Called before an operation."""

    def after(self, call: observe.Call) -> None:
        """Called after it."""


def observer_cost(rounds: int, calls: int) -> dict[str, float]:
    """Nanoseconds that observers cost an operation: with none, and with one that does nothing."""
    x = mg.ones(10)

    def nothing() -> None:
        pass

    def looked_up() -> None:
        for _ in observe.interceptors:
            pass
        if observe.observers:
            pass

    def observed() -> None:
        with observe.observe(Idle()):
            for _ in range(100):
                x + x

    def unobserved() -> None:
        for _ in range(100):
            x + x

    quick = measure({"without": nothing, "with": looked_up}, rounds, calls * 10)
    slow = measure({"without": unobserved, "with": observed}, rounds, max(calls // 100, 1))

    def difference(times: dict[str, list[float]], operations: int) -> float:
        pairs = zip(times["with"], times["without"], strict=True)
        return 1000 * statistics.median(w - o for w, o in pairs) / operations

    return {"off_ns": difference(quick, 1), "idle_observer_ns": difference(slow, 100)}


def main(arguments: list[str] | None = None) -> int:
    """Measure, print a table, write JSON if asked; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=positive_int, default=15)
    parser.add_argument("--calls", type=positive_int, default=2000, help="of the addition, in each round")
    parser.add_argument("--out", type=Path, default=None, help="also write the numbers to this JSON file")
    options = parser.parse_args(arguments)
    prepare_output(options.out)
    libraries = {"minigrad": mg}
    try:
        import torch

        torch.set_num_threads(1)
        libraries["PyTorch"] = torch
    except ImportError:
        torch = None
        print('PyTorch is not installed: pip install -e ".[oracle]" adds it to the comparison')
    tasks = {name: workloads(lib) for name, lib in libraries.items()}
    rows, results = [], {}
    for row, share in ((ADD, 1), (BACKWARD, 5), (STEP, 50)):
        calls = max(options.calls // share, 1)
        times = measure({name: task[row] for name, task in tasks.items()}, options.rounds, calls)
        found = {name: summary(values) for name, values in times.items()}
        results[row] = {"microseconds": {name: s._asdict() for name, s in found.items()}}
        cells = [f"{s.median:.2f} ({s.q1:.2f}-{s.q3:.2f})" for s in found.values()]
        if torch is not None:
            pairs = zip(times["minigrad"], times["PyTorch"], strict=True)
            results[row]["ratio"] = ratio = statistics.median(ours / theirs for ours, theirs in pairs)
            cells.append(f"{ratio:.2f}")
        rows.append([row, *cells])
    print(table(["microseconds", *libraries, *(["ratio"] if torch is not None else [])], rows))
    observers = observer_cost(options.rounds, options.calls)
    print(f"\n  observers, per operation: {observers['off_ns']:.0f} ns with none, ", end="")
    print(f"{observers['idle_observer_ns']:.0f} ns with one that does nothing")
    if options.out is not None:
        versions = {
            "numpy": np.__version__,
            "minigrad": mg.__version__,
            "torch": getattr(torch, "__version__", None),
        }
        measured = {"rounds": options.rounds, "rows": results, "observers": observers}
        write_json(options.out, {"machine": describe_machine(1), "versions": versions, **measured})
    return 0


if __name__ == "__main__":
    with clear_errors(Path(sys.argv[0]).name):
        sys.exit(main())
