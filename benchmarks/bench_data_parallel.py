"""What data parallelism costs: two MPI ranks of one thread each, beside one process with two threads.

    python benchmarks/bench_data_parallel.py                               # two ranks, the network of train_mnist.py
    python benchmarks/bench_data_parallel.py --ranks 4 --rounds 15
    python benchmarks/bench_data_parallel.py --out benchmarks/results/data_parallel.json

The same network takes the same steps (forward, backward, SGD with momentum) on the same batch: once whole, in one
process with as many threads as there are ranks; once divided among the ranks. Contestants take turns in each round, and
are asleep otherwise; medians are shown. Efficiency is the time of one process over that of the ranks.

    ranks             gradients reduced in buckets while backward runs
    ranks, norms too  the same with synchronised batch norm, whose layers run one by one
    ranks, afterwards all gradients reduced at once when backward is done
    ranks, silent     nothing is sent (no_sync): what the ranks compute alone
    whole, rows       one process, its layers one by one, as synchronised norms have them run

Then all_reduce by itself, in place, for messages from 1 KB to 16 MB: `benchmarks/scaling_model.py` takes both.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
from measuring import describe_machine, prepare_output, summary, table, write_json
from measuring.machine import after

import minigrad as mg
import models
from minigrad import distributed, nn
from minigrad.cli import clear_errors, positive_int
from minigrad.errors import MinigradError
from minigrad.nn.fusing import without_composites

SIZES = [1 << n for n in range(10, 25, 2)]  # bytes of the messages
SMALL_MESSAGES = 3  # of a step, beside gradients: the sizes of the shares, the buffers of both dtypes
WIDTHS = {False: (32, 64, 128), True: (4, 4, 8)}


# ------------------------------------------------ a worker


def build(sync: bool, tiny: bool) -> nn.Module:
    """The network of experiments/train_mnist.py."""
    mg.manual_seed(0)
    model = models.small_resnet(8, in_channels=1, widths=WIDTHS[tiny], stem="strided")
    return nn.SyncBatchNorm.convert_sync_batchnorm(model) if sync else model


def steps_of(batch: int, tiny: bool) -> dict[str, Callable[[], None]]:
    """One training step on this rank's share of the batch, by kind."""
    rank, size = distributed.get_rank(), distributed.get_world_size()
    first, end = batch * rank // size, batch * (rank + 1) // size
    side = 12 if tiny else 24
    rng = np.random.default_rng(0)
    x = mg.tensor(rng.standard_normal((batch, 1, side, side), np.float32)[first:end])
    y = mg.tensor(rng.integers(0, 10, batch)[first:end])

    def make(
        sync: bool = False, silent: bool = False, rows: bool = False, afterwards: bool = False
    ) -> Callable[[], None]:
        model = distributed.DistributedDataParallel(build(sync, tiny))
        optimizer = mg.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)

        def step() -> None:
            with (
                without_composites() if rows else nullcontext(),
                model.no_sync() if silent else nullcontext(),
            ):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x), y).backward()
            for gradients, _ in (afterwards and optimizer.flat_gradients()) or ():
                distributed.all_reduce(gradients, "mean")
            optimizer.step()

        return step

    return {
        "whole": make(),
        "whole, rows": make(rows=True),
        "ranks": make(),
        "ranks, norms too": make(sync=True),
        "ranks, afterwards": make(silent=True, afterwards=True),
        "ranks, silent": make(silent=True),
    }


def all_reduce(size: int) -> Callable[[], None]:
    """An all-reduce of so many bytes."""
    array = np.zeros(size // 4, np.float32)

    def act() -> None:
        distributed.all_reduce(array, "mean")

    return act


def work(batch: int, tiny: bool) -> None:
    """Do what is asked, line by line: {"kind" or "bytes", "steps"}; answer with the seconds of one step.

    seconds: of all ranks together; mean, slowest: of a rank's own step, the mean over the ranks and the longest.
    """
    distributed.init()
    kinds = steps_of(batch, tiny)
    if distributed.is_main():
        print("ready", flush=True)
    while True:
        line = sys.stdin.readline().encode() if distributed.is_main() else b""
        line = distributed.broadcast_bytes(line)
        if not line.strip():
            return
        job = json.loads(line)
        act = kinds[job["kind"]] if "kind" in job else all_reduce(job["bytes"])
        distributed.barrier()
        times = [time.perf_counter()]
        for _ in range(job["steps"]):
            act()
            times.append(time.perf_counter())
        distributed.barrier()
        seconds = (time.perf_counter() - times[0]) / job["steps"]
        own = distributed.all_gather(np.diff(times))  # (ranks, steps)
        answer = {"seconds": seconds, "mean": own.mean(), "slowest": own.max(axis=0).mean()}
        if distributed.is_main():
            print(json.dumps(answer), flush=True)


# ------------------------------------------------ the parent


class Job:
    """One process, or several that mpiexec starts, that take steps when asked."""

    def __init__(self, ranks: int, threads: int, options: argparse.Namespace) -> None:
        own = [
            sys.executable,
            __file__,
            "--worker",
            "--batch",
            str(options.batch),
            *(["--tiny"] * options.tiny),
        ]
        environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "MINIGRAD_NUM_THREADS"), str(threads))
        command = own if ranks == 1 else [mpiexec(), "-n", str(ranks), *own]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)
        self._answer()

    def run(self, **job: Any) -> dict[str, float]:
        """Seconds of one step, or of one all-reduce, as `work` tells."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return json.loads(self._answer())

    def _answer(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise MinigradError(
                f"a worker ended with exit code {self.process.wait()}; its error stands above"
            )
        return line

    def close(self) -> None:
        """Let it end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)


def mpiexec() -> str:
    """That of this environment, or else the one on the path."""
    beside = Path(sys.executable).with_name("mpiexec")
    found = str(beside) if beside.exists() else which("mpiexec")
    if not found:
        raise MinigradError("there is no mpiexec: pip install mpi4py mpich")
    return found


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All samples, in seconds."""
    samples: dict[str, list[dict[str, float]]] = {}
    one, ranks = Job(1, options.ranks, options), Job(options.ranks, 1, options)
    try:
        turns = [(one if kind.startswith("whole") else ranks, kind) for kind in KINDS]
        for job, kind in turns:  # compiles, and fills the caches
            job.run(kind=kind, steps=2)
        for number in range(options.rounds):
            for job, kind in turns if number % 2 else turns[::-1]:
                samples.setdefault(kind, []).append(job.run(kind=kind, steps=options.steps))
        reductions = {}
        for size in SIZES:
            repeats = max(3, min(50, (1 << 22) // size))
            values = [ranks.run(bytes=size, steps=repeats)["seconds"] for _ in range(options.rounds)]
            reductions[size] = summary(values).median
    finally:
        one.close()
        ranks.close()
    alone = {
        name: summary([s[name] for s in samples["ranks, silent"]]).median for name in ("mean", "slowest")
    }
    steps = {kind: [s["seconds"] for s in answers] for kind, answers in samples.items()}
    return {"steps": steps, "alone": alone, "all_reduce": reductions}


KINDS = ("whole", "whole, rows", "ranks", "ranks, norms too", "ranks, afterwards", "ranks, silent")


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    description, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--ranks", type=positive_int, default=2, metavar="N", help="processes (default: %(default)s)")
    add(
        "--batch", type=positive_int, default=256, metavar="N", help="images of a step (default: %(default)s)"
    )
    add("--rounds", type=positive_int, default=9, metavar="N", help="turns of each (default: %(default)s)")
    add("--steps", type=positive_int, default=4, metavar="N", help="in each turn (default: %(default)s)")
    add("--tiny", action="store_true", help="a network too small to tell anything: to try the script")
    add("--out", type=Path, metavar="FILE", help="write the numbers as JSON")
    add("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; returns the exit code."""
    options = parse_arguments(arguments)
    if options.worker:
        work(options.batch, options.tiny)
        return 0
    prepare_output(options.out)
    machine = describe_machine(options.ranks)
    found = measure(options)
    after(machine)
    steps = found["steps"]
    whole = steps["whole"]
    rows = []
    for kind in KINDS:
        ms = summary(steps[kind]).scaled(1e3)
        ratio = summary([w / s for w, s in zip(whole, steps[kind])])
        rows.append([kind, f"{ms.median:.1f}", f"{ms.q1:.1f}-{ms.q3:.1f}", f"{ratio.median:.3f}"])
    print(
        f"{options.batch} images a step, {options.ranks} ranks of 1 thread, or 1 process of {options.ranks}"
    )
    print(table(["", "ms a step", "quartiles", "efficiency"], rows))
    print(
        table(["all_reduce", "ms"], [[f"{n:,} B", f"{s * 1e3:.3f}"] for n, s in found["all_reduce"].items()])
    )
    if options.out:
        model = build(False, options.tiny)
        settings = {"ranks": options.ranks, "batch": options.batch}
        settings |= {"gradient_bytes": 4 * model.count_parameters(), "small_messages": SMALL_MESSAGES}
        write_json(options.out, {"machine": machine, **settings, **found})
    return 0


if __name__ == "__main__":
    with clear_errors(Path(sys.argv[0]).name):
        sys.exit(main())
