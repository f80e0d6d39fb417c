"""How long one training step takes (forward, backward, SGD with momentum), or one inference, beside other libraries.

    python benchmarks/bench_train_step.py                          # ResNet-20 and the MLP, everybody who is installed
    python benchmarks/bench_train_step.py --workloads resnet20 resnet20-inference --peers pytorch jax
    python benchmarks/bench_train_step.py --workloads all --budget 60 --out results.json --chart results.png
    python benchmarks/bench_train_step.py --python chainer=~/chainer/bin/python --python jax=~/peers/bin/python
    python benchmarks/bench_train_step.py --threads 1

Every contestant runs the same network, layer for layer, from the same weights on the same batch, in a process of its
own with the same cores and number of threads; the losses of the first steps must agree with minigrad's, or the exit
code is 1. Only one runs at a time, a turn of about 0.2 s each in every round, since the speed of a shared machine
drifts; the others' processes are stopped. Medians and quartiles over the rounds are compared. What takes long gets
fewer rounds, as --budget says. Memory is the peak of the process. Cores used: the processor's time over the clock's,
waiting threads that spin included. benchmarks/README.md says how to install the peers.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from measuring import (
    Summary,
    chosen_cores,
    describe_machine,
    joins,
    prepare_output,
    summary,
    table,
    write_json,
)
from measuring.machine import after
from peers import workloads
from peers.contestants import CONTESTANTS, PEERS, Contestant, installed, interpreters, missing
from peers.process import Worker

from minigrad.cli import clear_errors, positive_float, positive_int
from minigrad.errors import MinigradError

LR, MOMENTUM = 0.01, 0.9
WARM_UP = 3  # steps; compilers need the first, graph captures the second
TURN = 0.2  # seconds of steps in a row, and a quarter of it before to find one's feet
FIRST_LOSS, LATER_LOSS = (
    1e-3,
    1e-2,
)  # how far losses of the first and of the last step of the warm-up may lie apart
LEAST_ROUNDS = 3


class Entry:
    """A contestant in one workload: its process, its speed at first sight, and what was measured."""

    def __init__(self, contestant: Contestant, worker: Worker) -> None:
        self.contestant, self.worker = contestant, worker
        self.ready = worker.ready()
        warm_up = [worker.step() for _ in range(WARM_UP)]
        self.losses = [burst.loss or 0.0 for burst in warm_up]
        self.first_seconds, self.estimate = warm_up[0].seconds, warm_up[-1].seconds
        self.steps = max(1, round(TURN / self.estimate))
        self.seconds: list[float] = []
        self.cores: list[float] = []
        self.peak_mb = warm_up[-1].peak_mb

    def rounds(self, rounds: int, budget: float) -> int:
        """How many of the rounds it has time for."""
        turn = self.estimate * (self.steps + self.settling)
        return min(rounds, max(LEAST_ROUNDS, int(budget / turn)))

    @property
    def settling(self) -> int:
        """Steps before a turn's measured ones; none where a step takes longer than a turn should."""
        return -(-self.steps // 4) if self.steps > 1 else 0

    def take_turn(self) -> None:
        """Run one turn's steps."""
        if self.settling:
            self.worker.step(self.settling)
        burst = self.worker.step(self.steps)
        self.seconds.append(burst.seconds)
        self.cores.append(burst.cpu_seconds / burst.seconds)
        self.peak_mb = burst.peak_mb

    def result(self, reference: Entry) -> dict[str, Any]:
        """The numbers, for the result file."""
        ms = summary(self.seconds).scaled(1000)
        return {
            "median_ms": ms.median,
            "q1_ms": ms.q1,
            "q3_ms": ms.q3,
            "rounds": ms.rounds,
            "steps_per_round": self.steps,
            "times_minigrad": ms.median / (1000 * summary(reference.seconds).median),
            "cores_used": summary(self.cores).median,
            "peak_mb": self.peak_mb,
            "first_step_ms": 1000 * self.first_seconds,
            "import_seconds": self.ready["import_seconds"],
            "losses": self.losses,
            "losses_agree": agree(self.losses, reference.losses),
            "samples_ms": [1000 * s for s in self.seconds],
        }


def agree(losses: list[float], reference: list[float]) -> bool:
    """Whether two contestants' losses of the warm-up are those of the same network, trained by the same rule."""
    first, last = (abs(losses[i] - reference[i]) for i in (0, -1))
    return first <= FIRST_LOSS and last <= LATER_LOSS


def measure(
    name: str, contestants: list[Contestant], pythons: dict[str, str], options: argparse.Namespace
) -> dict[str, Any]:
    """One workload: start everybody, let them take turns, and sum up."""
    cores, chosen = chosen_cores(options.threads), workloads.workload(name, options.tiny)
    failed: dict[str, str] = {}
    entries: list[Entry] = []
    with ExitStack() as stack, tempfile.TemporaryDirectory(prefix="workload-") as folder:
        arrays = Path(folder) / "arrays.npz"
        np.savez(arrays, **workloads.arrays_of(name, options.tiny))  # type: ignore[arg-type]
        job = {
            "workload": name,
            "tiny": options.tiny,
            "training": not name.endswith(workloads.INFERENCE),
            "plan": workloads.plan_of(workloads.make(name, options.tiny)),
            "arrays": str(arrays),
            "lr": LR,
            "momentum": MOMENTUM,
        }
        for contestant in contestants:
            say(f"{name}: starting {contestant.name}")
            try:
                worker = stack.enter_context(Worker(contestant, job, pythons[contestant.peer], cores))
                entries.append(Entry(contestant, worker))
            except MinigradError as error:
                if contestant.peer == "minigrad":
                    raise
                failed[contestant.name] = str(error)
        take_turns(name, entries, failed, options)
    finished = [entry for entry in entries if entry.contestant.name not in failed]
    return {
        "batch": chosen.batch,
        "shape": [chosen.channels, chosen.size, chosen.size],
        "contestants": {entry.contestant.name: entry.result(entries[0]) for entry in finished},
        "failed": failed,
    }


def take_turns(name: str, entries: list[Entry], failed: dict[str, str], options: argparse.Namespace) -> None:
    """All rounds; in each another one begins, so that nobody always follows the same one."""
    own = {entry: entry.rounds(options.rounds, options.budget) for entry in entries}
    for number in range(options.rounds):
        say(f"{name}: round {number + 1} of {options.rounds}")
        first = number % len(entries)
        for entry in entries[first:] + entries[:first]:
            if entry.contestant.name in failed or not joins(number, options.rounds, own[entry]):
                continue
            try:
                entry.take_turn()
            except MinigradError as error:
                if entry.contestant.peer == "minigrad":
                    raise
                failed[entry.contestant.name] = str(error)
    say("")


def say(text: str) -> None:
    """Progress, where somebody looks on."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def show(name: str, result: dict[str, Any], threads: int) -> None:
    """Print one workload's table."""
    what = "inference" if name.endswith(workloads.INFERENCE) else "training step"
    size = " x ".join(map(str, result["shape"]))
    print(f"\n{name}: one {what}, batch of {result['batch']} x {size}, {threads} threads")
    header = [
        "",
        "ms",
        "quartiles",
        "rounds",
        "minigrad is",
        "cores used",
        "peak MB",
        "first step ms",
        "first loss",
    ]
    rows = []
    for contestant, numbers in result["contestants"].items():
        mark = "" if numbers["losses_agree"] else " DIFFERS"
        rows.append(
            [
                contestant,
                f"{numbers['median_ms']:,.2f}",
                f"{numbers['q1_ms']:,.2f} - {numbers['q3_ms']:,.2f}",
                str(numbers["rounds"]),
                "" if contestant == "minigrad" else f"{numbers['times_minigrad']:.2f}x as fast",
                f"{numbers['cores_used']:.2f}",
                f"{numbers['peak_mb']:,.0f}",
                f"{numbers['first_step_ms']:,.0f}",
                f"{numbers['losses'][0]:.5f}{mark}",
            ]
        )
    print(table(header, rows))
    for contestant, why in result["failed"].items():
        print(f"  {contestant} FAILED: {why}")


def torch_step(torch: Any, make: Any, images: np.ndarray, labels: np.ndarray, channels_last: bool) -> Any:
    """A training step of the PyTorch twin of `make()`, a network of `models/`, in this process."""
    from peers import pytorch_steps

    workloads.mg.manual_seed(0)
    model = make()
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    job = {"plan": workloads.plan_of(model), "training": True, "lr": LR, "momentum": MOMENTUM}
    job |= {"threads": torch.get_num_threads(), "options": {"channels_last": channels_last}}
    return pytorch_steps.make_step(job, weights, images, labels)


def arguments_of(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    summary_line, _, details = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=summary_line, epilog=details, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [*workloads.NAMES, "all"]
    peers = [peer for peer in PEERS if peer != "minigrad"]
    parser.add_argument("--workloads", nargs="+", choices=names, default=["resnet20", "mlp"])
    parser.add_argument("--peers", nargs="*", choices=peers, default=peers, help="none: minigrad alone")
    parser.add_argument(
        "--python", action="append", default=[], metavar="PEER=PATH", help="a peer's interpreter"
    )
    parser.add_argument(
        "--threads", type=positive_int, default=None, help="for all alike; default: all cores"
    )
    parser.add_argument("--rounds", type=positive_int, default=15)
    parser.add_argument(
        "--budget", type=positive_float, default=30.0, help="seconds for each, in each workload"
    )
    parser.add_argument("--out", type=Path, default=None, help="also write the numbers to this JSON file")
    parser.add_argument("--chart", type=Path, default=None, help="also draw the medians to this image file")
    parser.add_argument(
        "--tiny", action="store_true", help="the same networks on 16 images of 8 x 8: is all set up?"
    )
    options = parser.parse_args(arguments)
    if "all" in options.workloads:
        options.workloads = workloads.NAMES
    return options


def taking_part(name: str, contestants: list[Contestant]) -> list[Contestant]:
    """Those who differ in this workload: memory formats are for images."""
    images = name.removesuffix(workloads.INFERENCE) != "mlp"
    return [c for c in contestants if images or not c.images]


def main(arguments: list[str] | None = None) -> int:
    """Measure, print tables, write what was asked for; the exit code is 1 if a contestant failed or differs."""
    options = arguments_of(arguments)
    pythons, cores = interpreters(options.python), chosen_cores(options.threads)
    prepare_output(options.out)
    prepare_output(options.chart)
    chosen = [c for c in CONTESTANTS if c.peer == "minigrad" or c.peer in options.peers]
    versions = installed(chosen, pythons)
    absent = {c.name: why for c in chosen if (why := missing(c, versions)) is not None}
    for name, why in absent.items():
        print(f"{name} does not take part: {why}")
    present = [c for c in chosen if c.name not in absent]
    results: dict[str, Any] = {
        "machine": describe_machine(len(cores)),
        "versions": {"numpy": np.__version__, **versions},
        "settings": {
            "lr": LR,
            "momentum": MOMENTUM,
            "rounds": options.rounds,
            "budget_seconds": options.budget,
        },
        "missing": absent,
        "workloads": {},
    }
    for name in dict.fromkeys(options.workloads):
        results["workloads"][name] = measure(name, taking_part(name, present), pythons, options)
        show(name, results["workloads"][name], len(cores))
    after(results["machine"])
    if options.out is not None:
        write_json(options.out, results)
    if options.chart is not None:
        draw(options.chart, results)
    everything = results["workloads"].values()
    right = all(c["losses_agree"] for w in everything for c in w["contestants"].values())
    return 0 if right and not any(w["failed"] for w in everything) else 1


def draw(path: Path, results: dict[str, Any]) -> None:
    """The chart of all workloads."""
    from measuring.chart import draw_bars

    panels = {}
    for name, result in results["workloads"].items():
        kind = "" if name.endswith(workloads.INFERENCE) else ", one training step"
        title = f"{name}{kind}, batch of {result['batch']} x {' x '.join(map(str, result['shape']))}"
        panels[title] = {
            who: Summary(n["median_ms"], n["q1_ms"], n["q3_ms"], n["rounds"])
            for who, n in result["contestants"].items()
        }
    machine = results["machine"]
    note = f"{machine['processor']}, {machine['threads']} threads; medians, whiskers: quartiles"
    draw_bars(path, panels, "milliseconds, shorter is better", "minigrad", note)


if __name__ == "__main__":
    with clear_errors(Path(sys.argv[0]).name):
        sys.exit(main())
