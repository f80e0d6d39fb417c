"""What a trace costs: forward and backward of a network under each level of `mg.trace`, beside the same without.

    python benchmarks/bench_trace.py
    python benchmarks/bench_trace.py --workloads resnet20 --ways meta stats --rounds 21
    python benchmarks/bench_trace.py --torchlens ~/peers/bin/python --out results.json

The ways take turns in each round, of about half a second each with a pause to collect what the one before left; shown
are medians and quartiles, and the median of the rounds' ratios to the untraced step. A trace is new in each step and
let go after it, as in training. The last lines are what an operation pays where nobody observes, and torchlens: its
trace of the same network's forward beside PyTorch's own forward (it does not trace the way back), in its own process
while minigrad's sleeps; --torchlens names an interpreter that has it (torchlens 2.36.1 and torch 2.13.0, installed
under a constraint file that pins torch). The exit code is 1 if a level costs more than --check allows.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from measuring import chosen_cores, describe_machine, prepare_output, summary, table, write_json
from measuring.machine import after
from peers import workloads
from peers.contestants import Contestant
from peers.process import Worker

import minigrad as mg
from minigrad.cli import clear_errors, positive_int
from minigrad.errors import ArgumentError, MinigradError
from minigrad.nn import functional as F

NETWORKS = ("resnet20", "resnet18", "cnn", "mlp")
TURN = 0.5  # seconds
BUDGET = 1 << 34  # bytes of values: all
LIMITS = {"meta": 1.1, "stats": 1.5, "full": 2.0}  # times the untraced step
OFF_NS = 100.0
TORCHLENS = Contestant(
    "torchlens", "torchlens", "torchlens", "torchlens", "peers.torchlens_steps", checkout=True
)

Way = Callable[[], AbstractContextManager[Any]]


@contextmanager
def _complete(**options: Any) -> Iterator[mg.tracing.Trace]:
    with mg.trace("full", budget=BUDGET, **options) as seen:
        yield seen
    if seen.dropped:
        raise MinigradError(f"the budget left {seen.dropped} arrays out: this is no full trace")


# What is compared with the untraced step, each around one step. A recorder of runs is one more way.
WAYS: dict[str, Way] = {
    "meta": lambda: mg.trace("meta"),
    "stats": lambda: mg.trace("stats"),
    "full": lambda: _complete(),
    "stats, expanded": lambda: mg.trace("stats", expand=True),
    "full, expanded": lambda: _complete(expand=True),
    "anomalies": mg.detect_anomaly,
}
UNTRACED = "untraced"


def step_of(name: str, tiny: bool) -> Callable[[Way], None]:
    """Forward and backward of a workload's network in training mode, within what is given."""
    net, arrays = workloads.make(name, tiny), workloads.arrays_of(name, tiny)
    x, labels = mg.tensor(arrays["inputs"]), mg.tensor(arrays["labels"])
    optimizer = mg.optim.SGD(net.parameters(), lr=0.01)  # for its zero_grad: gradients lie as in training

    def step(way: Way) -> None:
        optimizer.zero_grad()
        with way():
            F.cross_entropy(net(x), labels).backward()

    return step


def turn(step: Callable[[Way], None], way: Way, steps: int) -> float:
    """Seconds of one step, a mean of so many, after one to settle."""
    gc.collect()
    step(way)
    began = time.perf_counter()
    for _ in range(steps):
        step(way)
    return (time.perf_counter() - began) / steps


def measure(name: str, ways: dict[str, Way], rounds: int, tiny: bool) -> dict[str, list[float]]:
    """Seconds of a step under each way in each round; in each round another one begins."""
    step = step_of(name, tiny)
    everyone: dict[str, Way] = {UNTRACED: nullcontext, **ways}
    for way in everyone.values():  # compilers need the first
        step(way)
    steps = max(1, round(TURN / turn(step, nullcontext, 1)))
    times: dict[str, list[float]] = {who: [] for who in everyone}
    order = list(everyone)
    for number in range(rounds):
        first = number % len(order)
        for who in order[first:] + order[:first]:
            times[who].append(turn(step, everyone[who], steps))
    return times


def compared(times: dict[str, list[float]], to: str) -> dict[str, dict[str, Any]]:
    """Medians and quartiles, and the median of the rounds' ratios."""
    result = {}
    for who, seconds in times.items():
        ms = summary(seconds).scaled(1000)
        ratio = statistics.median(a / b for a, b in zip(seconds, times[to], strict=True))
        result[who] = {
            "median_ms": ms.median,
            "q1_ms": ms.q1,
            "q3_ms": ms.q3,
            "rounds": ms.rounds,
            "ratio": ratio,
            "samples_ms": [1000 * s for s in seconds],
        }
    return result


def torchlens(name: str, python: str, rounds: int, cores: list[int], tiny: bool) -> dict[str, list[float]]:
    """Seconds of PyTorch's forward, bare and traced by torchlens."""
    times: dict[str, list[float]] = {"PyTorch, forward": [], "torchlens": []}
    with tempfile.TemporaryDirectory(prefix="workload-") as folder:
        arrays = Path(folder) / "arrays.npz"
        np.savez(arrays, **workloads.arrays_of(name, tiny))  # type: ignore[arg-type]
        plan = workloads.plan_of(workloads.make(name, tiny))
        with Worker(TORCHLENS, {"plan": plan, "arrays": str(arrays)}, python, cores) as worker:
            worker.ready()
            for number in range(rounds + 1):
                for case, seconds in zip(("bare", "traced"), times.values(), strict=True):
                    worker.use(case)
                    worker.step(2)
                    burst = worker.step(3)
                    if number:  # the first round warms up
                        seconds.append(burst.seconds)
    return times


def show(title: str, result: dict[str, dict[str, Any]]) -> None:
    """Print one table."""
    print(f"\n{title}")
    rows = [
        [who, f"{n['median_ms']:,.2f}", f"{n['q1_ms']:,.2f} - {n['q3_ms']:,.2f}", f"{n['ratio']:.2f}"]
        for who, n in result.items()
    ]
    print(table(["", "ms", "quartiles", "ratio"], rows))


def arguments_of(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    first, _, details = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workloads", nargs="+", choices=NETWORKS, default=["resnet20", "resnet18"])
    parser.add_argument(
        "--ways", nargs="+", choices=[*WAYS], default=["meta", "stats", "full", "full, expanded"]
    )
    parser.add_argument("--rounds", type=positive_int, default=11)
    parser.add_argument(
        "--torchlens", metavar="PYTHON", default=None, help="an interpreter that has torchlens"
    )
    parser.add_argument(
        "--check", action="store_true", help=f"exit with 1 beyond {LIMITS}, off {OFF_NS:.0f} ns"
    )
    parser.add_argument("--out", type=Path, default=None, help="also write the numbers to this JSON file")
    parser.add_argument("--tiny", action="store_true", help="on 16 images of 8 x 8: is all set up?")
    options = parser.parse_args(arguments)
    if options.torchlens is not None and not Path(options.torchlens).expanduser().is_file():
        raise ArgumentError(f"--torchlens: there is no program {options.torchlens}")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Measure, print tables, write JSON if asked; returns the exit code."""
    options = arguments_of(arguments)
    prepare_output(options.out)
    cores = chosen_cores(None)
    results: dict[str, Any] = {
        "machine": describe_machine(len(cores)),
        "versions": {"numpy": np.__version__, "minigrad": mg.__version__},
        "rounds": options.rounds,
        "workloads": {},
    }
    ways = {who: WAYS[who] for who in options.ways}
    beyond = []
    for name in dict.fromkeys(options.workloads):
        found = compared(measure(name, ways, options.rounds, options.tiny), UNTRACED)
        if options.torchlens is not None:
            python = str(Path(options.torchlens).expanduser())
            peer = torchlens(name, python, options.rounds, cores, options.tiny)
            found |= compared(peer, "PyTorch, forward")
        chosen = workloads.workload(name, options.tiny)
        size = f"{chosen.batch} x {chosen.channels} x {chosen.size} x {chosen.size}"
        show(f"{name}: forward and backward, batch of {size}, {len(cores)} threads", found)
        results["workloads"][name] = found
        beyond += [
            f"{who} on {name}"
            for who, limit in LIMITS.items()
            if who in found and found[who]["ratio"] > limit
        ]
    from bench_overhead import observer_cost  # not before: it sets the number of threads to one

    calls = 20 if options.tiny else 2000
    results["observers"] = cost = observer_cost(options.rounds, calls)
    print(f"\n  per operation: {cost['off_ns']:.0f} ns where nobody observes, ", end="")
    print(f"{cost['idle_observer_ns']:.0f} ns for an observer that does nothing")
    if cost["off_ns"] > OFF_NS:
        beyond.append("nobody observing")
    for what in beyond:
        print(f"  BEYOND its limit: {what}")
    after(results["machine"])
    if options.out is not None:
        write_json(options.out, results)
    return 1 if beyond and options.check else 0


if __name__ == "__main__":
    with clear_errors(Path(sys.argv[0]).name):
        sys.exit(main())
