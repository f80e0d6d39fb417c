"""How data parallelism would scale, up to 1,024 GPUs: predicted from a step's time and from what links can carry.

    python benchmarks/scaling_model.py                                  # assumed GPUs; every assumption is printed
    python benchmarks/scaling_model.py --step-ms 60 --gradient-mb 45 --network-gb-s 25
    python benchmarks/scaling_model.py --check benchmarks/results/data_parallel.json   # against two MPI ranks, measured

A step on W processes takes

    compute + what of the traffic is not hidden behind backward + waiting for the slowest

Compute is that of one process with its share of the batch, which stays the same as W grows (weak scaling). Backward
takes two thirds of it, and gradients become complete at an even rate meanwhile; each bucket is reduced when it is full
and the one before it has gone. All-reduce of n bytes over nodes of g GPUs: n (g-1)/g out, twice, over the links of the
node; between the nodes, for each GPU's 1/g of the bytes, a ring (2 (N-1) messages of n / gN bytes) or a tree (2 log2 N
messages, 2 n / g bytes), whichever is quicker. The slowest of W normally distributed steps is later than their mean by
sigma sqrt(2 ln W). Nothing else is in the model: no storage, no congestion, no failures.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from measuring import summary, table

from minigrad.cli import clear_errors, positive_float, positive_int
from minigrad.errors import DataError

BACKWARD = 2 / 3  # of a step's compute: two products of each layer's size for one forward
COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Link(NamedTuple):
    """A message of n bytes takes latency + n / bandwidth: seconds, bytes a second in one direction."""

    latency: float
    bandwidth: float

    def seconds(self, n: float) -> float:
        """Time of one message."""
        return self.latency + n / self.bandwidth


class Cluster(NamedTuple):
    """Links of one GPU within its node and to other nodes, and how many GPUs a node has."""

    bus: Link
    network: Link
    per_node: int


def all_reduce_seconds(n: float, processes: int, cluster: Cluster) -> float:
    """Time of an all-reduce of n bytes over so many processes, nodes being filled one after the other.

    >>> machine = Cluster(Link(0.0, 100.0), Link(0.0, 10.0), per_node=2)
    >>> all_reduce_seconds(100.0, 2, machine), all_reduce_seconds(100.0, 4, machine)
    (1.0, 6.0)
    """
    if processes == 1:
        return 0.0
    g = min(processes, cluster.per_node)
    nodes = math.ceil(processes / g)
    within = 2 * (g - 1) * cluster.bus.seconds(n / g) if g > 1 else 0.0
    if nodes == 1:
        return within
    part, rounds = n / g, math.ceil(math.log2(nodes))
    ring = 2 * (nodes - 1) * cluster.network.seconds(part / nodes)
    tree = 2 * rounds * cluster.network.latency + 2 * part / cluster.network.bandwidth
    return within + min(ring, tree)


def exposed_seconds(compute: float, buckets: Sequence[float], reduce: Callable[[float], float]) -> float:
    """How long after the end of backward the last bucket has been reduced.

    buckets: their bytes, in the order in which they are full; reduce: bytes to seconds.

    >>> exposed_seconds(3.0, [1.0, 1.0], lambda n: 0.5), exposed_seconds(3.0, [1.0, 1.0], lambda n: 2.0)
    (0.5, 3.0)
    """
    total, full, free = sum(buckets), 0.0, 0.0
    for n in buckets:
        full += n
        ready = compute * (1 - BACKWARD + BACKWARD * full / total)
        free = max(free, ready) + reduce(n)
    return max(0.0, free - compute)


def slowest(sigma: float, processes: int) -> float:
    """By how much the last of so many steps is expected to be later than their mean."""
    return sigma * math.sqrt(2 * math.log(processes)) if processes > 1 else 0.0


def in_buckets(total: float, first: float, cap: float) -> list[float]:
    """Bytes of the buckets; of several the first is smaller.

    >>> in_buckets(20.0, 1.0, 8.0), in_buckets(7.0, 1.0, 8.0)
    ([1.0, 8.0, 8.0, 3.0], [7.0])
    """
    buckets = [first if total > cap else total]
    while (rest := total - sum(buckets)) > 1e-9:
        buckets.append(min(cap, rest))
    return buckets


def predict(options: argparse.Namespace) -> list[list[str]]:
    """A row for each number of GPUs: nodes, milliseconds of a step, exposed, waiting, efficiency."""
    cluster = Cluster(
        Link(options.bus_us * 1e-6, options.bus_gb_s * 1e9),
        Link(options.network_us * 1e-6, options.network_gb_s * 1e9),
        options.gpus_per_node,
    )
    compute, buckets = options.step_ms / 1e3, in_buckets(options.gradient_mb, 1.0, options.bucket_mb)
    rows = []
    for w in COUNTS:
        sent = [n * 1e6 for n in buckets]
        exposed = 0.0
        if w > 1:
            exposed = exposed_seconds(compute, sent, lambda n, w=w: all_reduce_seconds(n, w, cluster))  # type: ignore[misc]
        waiting = slowest(options.jitter * compute, w)
        step = compute + exposed + waiting
        nodes = math.ceil(w / options.gpus_per_node)
        milliseconds = [f"{s * 1e3:.2f}" for s in (step, exposed, waiting)]
        rows.append([str(w), str(nodes), *milliseconds, f"{compute / step:.3f}"])
    return rows


# ------------------------------------------------ against a measurement


class Check(NamedTuple):
    """Seconds of a step: measured, predicted, and what the prediction consists of."""

    measured: float
    predicted: float
    compute: float
    traffic: float
    waiting: float


def check(found: Mapping[str, Any]) -> Check:
    """Predict the step of the MPI ranks of `bench_data_parallel.py` from their compute and from its all-reduces.

    Compute, and how much later the slowest rank is, are those of the ranks when nothing is sent. On CPUs traffic is
    work of the same cores, so nothing of it is hidden. An all-reduce between two measured sizes lies on the straight
    line between them. Beside the gradients a step sends small messages.
    """
    measured, alone = summary(found["steps"]["ranks"]).median, found["alone"]
    sizes = sorted((int(n), float(s)) for n, s in found["all_reduce"].items())
    buckets = in_buckets(found["gradient_bytes"], 1 << 20, 8 << 20)
    traffic = sum(interpolated(sizes, n) for n in buckets) + found["small_messages"] * sizes[0][1]
    waiting = alone["slowest"] - alone["mean"]
    return Check(measured, alone["mean"] + traffic + waiting, alone["mean"], traffic, waiting)


def interpolated(points: Sequence[tuple[int, float]], n: float) -> float:
    """The value at n of the line through the points next to it.

    >>> interpolated([(10, 1.0), (20, 3.0), (40, 4.0)], 15), interpolated([(10, 1.0), (20, 3.0)], 30)
    (2.0, 5.0)
    """
    i = max(1, min(len(points) - 1, sum(size < n for size, _ in points)))
    (a, fa), (b, fb) = points[i - 1], points[i]
    return fa + (fb - fa) * (n - a) / (b - a)


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    description, _, more = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )

    def add(name: str, default: float, what: str, kind: Callable = positive_float) -> None:
        parser.add_argument(
            name, type=kind, default=default, metavar="N", help=f"{what} (default: %(default)s)"
        )

    add("--step-ms", 100.0, "compute of a step on one GPU")
    add("--gradient-mb", 102.2, "gradients: those of ResNet-50 in float32")
    add("--bucket-mb", 8.0, "a bucket at most")
    add("--gpus-per-node", 8, "GPUs of a node", positive_int)
    add("--bus-gb-s", 360.0, "what a GPU sends within its node")
    add("--bus-us", 3.0, "latency of a message within a node")
    add("--network-gb-s", 45.0, "what a GPU sends to other nodes")
    add("--network-us", 15.0, "latency of a message between nodes")
    add("--jitter", 0.005, "standard deviation of a step's compute, as a share of it")
    parser.add_argument(
        "--check", type=Path, metavar="FILE", help="what bench_data_parallel.py --out has written"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Print the assumptions and the prediction, or the check; returns the exit code."""
    options = parse_arguments(arguments)
    if options.check:
        try:
            result = check(json.loads(options.check.read_text(encoding="utf-8")))
        except (KeyError, ValueError) as error:
            raise DataError(f"{options.check} is no result of bench_data_parallel.py: {error!r}") from error
        names = ("measured", "predicted", "of which compute", "traffic", "waiting")
        print(table(["ranks on CPUs", "ms"], [[n, f"{s * 1e3:.2f}"] for n, s in zip(names, result)]))
        print(f"  predicted / measured: {result.predicted / result.measured:.3f}")
        return 0
    print("assumed (not measured here, unless you gave it):")
    for name, value in vars(options).items():
        if name != "check":
            print(f"  --{name.replace('_', '-')} {value:g}")
    print(f"  backward is {BACKWARD:.2f} of compute, traffic runs beside it without slowing it; weak scaling")
    print(table(["GPUs", "nodes", "ms a step", "exposed", "waiting", "efficiency"], predict(options)))
    return 0


if __name__ == "__main__":
    with clear_errors(Path(sys.argv[0]).name):
        sys.exit(main())
