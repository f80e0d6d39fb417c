"""How fast single operations and optimiser steps are, beside PyTorch and beside what the machine can do.

    python benchmarks/bench_ops.py                               # everything: several minutes
    python benchmarks/bench_ops.py --ops conv batch_norm --rounds 9
    python benchmarks/bench_ops.py --ops conv --match ResNet-20  # rows whose name contains this
    python benchmarks/bench_ops.py --threads 1 --out benchmarks/results/ops.json

A forward is a call of the public function, no gradients recorded, so that whatever kernel is active is measured. A
gradient is one call of the recorded node: in minigrad what the backward pass calls for it, in PyTorch its `grad_fn`.
Neither includes the walk over the graph or the addition to `.grad`; where PyTorch needs several nodes, its
`autograd.grad` is called. Both include the call from Python, measured on one number below the tables. minigrad computes
on channels-last memory, as its networks do; PyTorch in both formats, and the better is compared.

Contestants take turns, each in a process of its own, the others' being stopped: threads of one library that wait for
work at full speed would slow the next one down. Medians are shown. Share: of the machine's peak, for arithmetic or for
memory, whichever bounds the operation; both peaks are measured first, in NumPy. Arrays that fit into a cache can exceed
memory's 100 %.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from measuring import chosen_cores, describe_machine, prepare_output, summary, table, write_json
from measuring.machine import after
from op_cases import CALLS, GROUPS, OPTIMIZER_COSTS, OPTIMIZERS, Case, cases
from peers import peak_steps
from peers.contestants import CONTESTANTS, Contestant, installed, interpreters, missing
from peers.process import Worker

import models
from minigrad.cli import clear_errors, positive_int
from minigrad.errors import ArgumentError

TURN = 0.02  # seconds of calls in a row
MINIGRAD, NCHW, NHWC = "minigrad", "PyTorch, NCHW", "PyTorch, channels last"


def take_turns(
    workers: Mapping[str, Worker], case: str, rounds: int, turn: float = TURN
) -> dict[str, list[float]]:
    """Seconds of one call of a case, for each contestant in each round."""
    repeats = {}
    for name, worker in workers.items():
        worker.use(case)
        worker.step()  # compiles, allocates
        repeats[name] = max(1, min(2000, round(turn / worker.step().seconds)))
    seconds: dict[str, list[float]] = {name: [] for name in workers}
    for _ in range(rounds):
        for name, worker in workers.items():
            worker.step(1 + repeats[name] // 4)
            seconds[name].append(worker.step(repeats[name]).seconds)
    return seconds


def row_of(
    group: str,
    name: str,
    flops: float,
    traffic: float,
    seconds: dict[str, list[float]],
    peaks: Mapping[str, float],
) -> dict[str, Any]:
    """One row of the result file."""
    least = max(flops / peaks["flops"], traffic / peaks["bandwidth"])
    row: dict[str, Any] = {"group": group, "name": name, "flops": flops, "bytes": traffic, "contestants": {}}
    for who, times in seconds.items():
        found = summary(times)
        row["contestants"][who] = {
            "median_us": 1e6 * found.median,
            "q1_us": 1e6 * found.q1,
            "q3_us": 1e6 * found.q3,
            "rounds": found.rounds,
            "gflops": flops / found.median / 1e9,
            "gb_per_second": traffic / found.median / 1e9,
            "share_of_peak": least / found.median,
        }
    others = [c["median_us"] for who, c in row["contestants"].items() if who != MINIGRAD]
    row["times_minigrad"] = min(others) / row["contestants"][MINIGRAD]["median_us"] if others else None
    return row


def measure(
    chosen: list[Case],
    optimizers: list[str],
    workers: Mapping[str, Worker],
    rounds: int,
    peaks: Mapping[str, float],
) -> list[dict[str, Any]]:
    """The rows of these cases and optimisers."""
    rows = []
    for case in chosen:
        images = len(case.shapes[0]) == 4  # else there is but one memory format
        able = {who: worker for who, worker in workers.items() if images or who != NHWC}
        seconds = take_turns(able, case.name, rounds)
        rows.append(row_of(case.group, case.name, case.flops, case.traffic, seconds, peaks))
    count = sum(math.prod(p.shape) for p in models.resnet18(10, 3, stem="small").parameters())
    for name in optimizers:
        arrays, operations = OPTIMIZER_COSTS[OPTIMIZERS[name][0]]
        seconds = take_turns({who: w for who, w in workers.items() if who != NHWC}, name, rounds)
        rows.append(row_of("optimizer", name, operations * count, 4.0 * arrays * count, seconds, peaks))
    return rows


def call_overhead(workers: Mapping[str, Worker], rounds: int) -> dict[str, float]:
    """Microseconds of relu on one number, forward and gradient: what a call itself costs."""
    able = {who.partition(",")[0]: worker for who, worker in workers.items() if who != NHWC}
    found = {case.name: take_turns(able, case.name, rounds, TURN / 4) for case in CALLS}
    return {
        f"{who}, {case}": 1e6 * summary(times).median
        for case, by in found.items()
        for who, times in by.items()
    }


def show(rows: list[dict[str, Any]]) -> None:
    """Print one table for each group."""
    for group in dict.fromkeys(row["group"] for row in rows):
        own = [row for row in rows if row["group"] == group]
        names = list(dict.fromkeys(who for row in own for who in row["contestants"]))
        computes = any(row["flops"] for row in own)
        unit = "GFLOP/s" if computes else "GB/s"
        print(f"\n{group}: microseconds a call")
        header = ["", *names, "minigrad is", f"its {unit}", "its share", "best peer's"]
        body = []
        for row in own:
            found = row["contestants"]
            cells = [f"{found[who]['median_us']:,.1f}" if who in found else "" for who in names]
            ratio = "" if row["times_minigrad"] is None else f"{row['times_minigrad']:.2f}x as fast"
            speed = found[MINIGRAD]["gflops" if computes else "gb_per_second"]
            peers = [c["share_of_peak"] for who, c in found.items() if who != MINIGRAD]
            shares = [f"{found[MINIGRAD]['share_of_peak']:.0%}", f"{max(peers):.0%}" if peers else ""]
            body.append([row["name"], *cells, ratio, f"{speed:,.1f}", *shares])
        print(table(header, body))
        ratios = [row["times_minigrad"] for row in own if row["times_minigrad"]]
        if ratios:
            mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
            print(f"  geometric mean: minigrad is {mean:.2f}x as fast as PyTorch's better format")


def arguments_of(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    first, _, details = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ops", nargs="+", choices=GROUPS, default=GROUPS)
    parser.add_argument("--match", default="", help="only rows whose name contains this")
    parser.add_argument("--rounds", type=positive_int, default=7)
    parser.add_argument(
        "--threads", type=positive_int, default=None, help="for all alike; default: all cores"
    )
    parser.add_argument("--out", type=Path, default=None, help="also write the numbers to this JSON file")
    parser.add_argument("--tiny", action="store_true", help="2 images each: is all set up?")
    return parser.parse_args(arguments)


def started(stack: ExitStack, present: list[Contestant], cores: list[int], tiny: bool) -> dict[str, Worker]:
    """A process for each contestant."""
    pythons = interpreters([])
    workers = {}
    for contestant in present:
        # Cases are written in minigrad's words too: PyTorch's process reads them, and so finds the checkout
        job, own = {"tiny": tiny}, contestant._replace(module="op_calls", checkout=True)
        workers[contestant.name] = stack.enter_context(Worker(own, job, pythons[contestant.peer], cores))
        workers[contestant.name].ready()
    return workers


def measured_peaks(cores: list[int], repeats: int = 7) -> dict[str, float]:
    """Floating-point operations and bytes in a second, at best, measured in a process of its own."""
    alone = Contestant("NumPy", "numpy", "numpy", "numpy", "peers.peak_steps")
    peaks = {}
    with Worker(alone, {}, sys.executable, cores) as worker:
        worker.ready()
        for kind, amount in (("flops", peak_steps.FLOPS), ("bandwidth", peak_steps.BYTES)):
            worker.use(kind)
            peaks[kind] = amount / min(worker.step().seconds for _ in range(repeats))
    return peaks


def main(arguments: list[str] | None = None) -> int:
    """Measure, print tables, write JSON if asked; returns the exit code."""
    options = arguments_of(arguments)
    prepare_output(options.out)
    cores = chosen_cores(options.threads)
    everything = cases(options.tiny)
    chosen = [case for case in everything if case.group in options.ops and options.match in case.name]
    optimizers = [o for o in OPTIMIZERS if "optimizer" in options.ops and options.match in o]
    if not chosen and not optimizers:
        raise ArgumentError(f"--match {options.match!r}: no row of {', '.join(options.ops)} is called so")
    taking_part = [c for c in CONTESTANTS if c.name in (MINIGRAD, NCHW, NHWC)]
    versions = installed(taking_part, interpreters([]))
    absent = {c.name: why for c in taking_part if (why := missing(c, versions)) is not None}
    for name, why in absent.items():
        print(f"{name} does not take part: {why}")
    machine = describe_machine(len(cores))
    peaks = measured_peaks(cores)
    gflops, gb_per_second = peaks["flops"] / 1e9, peaks["bandwidth"] / 1e9
    print(f"peaks: {gflops:,.0f} GFLOP/s, {gb_per_second:,.1f} GB/s, {len(cores)} threads")
    with ExitStack() as stack:
        workers = started(stack, [c for c in taking_part if c.name not in absent], cores, options.tiny)
        overhead = call_overhead(workers, options.rounds)
        rows = measure(chosen, optimizers, workers, options.rounds, peaks)
    show(rows)
    print("\na call itself, microseconds: " + "; ".join(f"{who} {us:.1f}" for who, us in overhead.items()))
    after(machine)
    if options.out is not None:
        results = {
            "machine": machine,
            "versions": {"numpy": np.__version__, **versions},
            "missing": absent,
            "peaks": {"gflops": gflops, "gb_per_second": gb_per_second},
            "call_us": overhead,
            "rows": rows,
        }
        write_json(options.out, results)
    return 0


if __name__ == "__main__":
    with clear_errors(Path(sys.argv[0]).name):
        sys.exit(main())
