"""What the ranks of a test do: `mpiexec -n 2 python -m tests.distributed.ranks JOB`. Each asserts what is to hold."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest

import minigrad as mg
import models
from common.distributing import OverRanks
from minigrad import communicator, distributed, nn
from minigrad.communicator import SingleProcess
from minigrad.data import ArrayDataset, DataLoader
from minigrad.distributed import DistributedDataParallel, get_rank, get_world_size
from minigrad.errors import CommunicationError, GraphError
from minigrad.train import Callback, History, Trainer

IMAGES = 33  # not divided by two, three or four


@contextmanager
def alone() -> Iterator[None]:
    """Within the block this process knows of no other."""
    group = communicator.use(SingleProcess())
    try:
        yield
    finally:
        communicator.use(group)


def expect(kind: type[Exception], words: str, call, *arguments) -> None:
    """The call raises that error, with these words in it."""
    with pytest.raises(kind, match=words):
        call(*arguments)


def share(array: np.ndarray) -> np.ndarray:
    n, rank, size = len(array), get_rank(), get_world_size()
    return array[n * rank // size : n * (rank + 1) // size]


def images(n: int = IMAGES) -> tuple[np.ndarray, np.ndarray]:
    """With a mean far from 0, and with each rank's share of other statistics."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((n, 1, 12, 12)) * np.linspace(1, 3, n)[:, None, None, None] + 20
    return x, rng.integers(0, 10, n)


def network(seed: int = 1) -> nn.Module:
    mg.manual_seed(seed)
    return models.small_resnet(8, in_channels=1, widths=(4, 8, 8))


def synchronised(model: nn.Module) -> nn.Module:
    return nn.SyncBatchNorm.convert_sync_batchnorm(model)


def learn(model: nn.Module, x: np.ndarray, y: np.ndarray, parts: int = 1) -> None:
    loss = nn.functional.cross_entropy(model(mg.tensor(x)), mg.tensor(y))
    (loss / parts).backward()


def worst(ours, theirs) -> float:
    return max(float(np.abs(a.numpy() - b.numpy()).max()) for a, b in zip(ours, theirs, strict=True))


# ------------------------------------------------ jobs


def communicate() -> None:
    """Sums are exact, in the order of the ranks, for all sizes, and several at a time."""
    group = communicator.current()
    sizes = (1, 7, 4095, 4096, 100_003)
    for dtype in (np.float32, np.float64):
        for op in ("sum", "mean", "max"):
            started = []
            for n in sizes:
                rows = [np.random.default_rng(r).standard_normal(n).astype(dtype) for r in range(group.size)]
                total = rows[0].copy()
                for row in rows[1:]:
                    total = np.maximum(total, row) if op == "max" else total + row
                expected = total / dtype(group.size) if op == "mean" else total
                own = rows[group.rank].copy()
                started.append((own, expected, group.start_all_reduce(own, op)))
            for own, expected, work in reversed(started):  # waited for in any order
                work.wait()
                assert (own == expected).all(), (op, len(own))
    for n in (10, 50_000):  # half the bytes: rounded on the way there and back, the same on all
        for traffic in (mg.float16, mg.bfloat16):
            row = np.random.default_rng(group.rank).standard_normal(n).astype(np.float32)
            rows = group.all_gather(row)
            group.start_all_reduce(row, "mean", traffic).wait()
            halves = rows.astype(traffic).astype(np.float32)
            total = halves[0].copy()
            for half in halves[1:]:
                total += half
            assert (row == (total / np.float32(group.size)).astype(traffic).astype(np.float32)).all()
    x = mg.tensor([1.0, 2.0]) * (group.rank + 1)
    assert distributed.all_reduce(x).tolist() == [group.size * (group.size + 1) / 2 * v for v in (1, 2)]
    assert distributed.all_reduce(group.rank, "max") == group.size - 1
    assert distributed.broadcast(np.full(3, group.rank), src=1).tolist() == [1, 1, 1]
    assert distributed.all_gather(np.array([group.rank])).tolist() == [[r] for r in range(group.size)]
    assert distributed.broadcast_bytes(b"a" * (group.rank + 1), src=1) == b"aa"
    assert distributed.init() is group
    mg.manual_seed(3)
    distributed.separate_random_streams()
    draws = distributed.all_gather(mg.rand(4).numpy())
    assert len({tuple(row) for row in draws.tolist()}) == group.size


def whole_batch() -> None:
    """In float64 the ranks' shares of a batch, of unequal sizes, teach what the whole batch teaches one process."""
    x, y = images()
    whole, model = network().double(), synchronised(network().double())
    ddp = DistributedDataParallel(model, bucket_cap_mb=0.01)
    optimizers = [mg.optim.SGD(m.parameters(), lr=0.01, momentum=0.9) for m in (whole, ddp)]
    for step in range(20):
        for optimizer in optimizers:
            optimizer.zero_grad()
        with alone():
            learn(whole, x, y)
        learn(ddp, share(x), share(y))
        if step == 0:
            assert len(ddp._reducer.buckets) > 2
            gradients = [[p.grad for p in m.parameters()] for m in (whole, model)]
            assert worst(*gradients) < 1e-12, worst(*gradients)
            assert optimizers[1].flat_gradients() is not None  # reduced where they lie
        for optimizer in optimizers:
            optimizer.step()
        ddp.require_equal()
    states = [m.state_dict().values() for m in (whole, model)]
    assert worst(*states) < 1e-10, worst(*states)
    assert list(ddp.state_dict()) == list(model.state_dict())


def float32_kernels() -> None:
    """In float32, with kernels, and norms of their own too; traffic in half precision; the same bits on all ranks."""
    x, y = images(64)
    x = x.astype(np.float32)
    for make, options, close in (
        (lambda: synchronised(network()), {}, 1e-3),
        (network, {}, None),
        (lambda: synchronised(network()), {"gradient_dtype": mg.bfloat16}, 3e-2),
        (lambda: synchronised(network()), {"gradient_dtype": mg.float16}, 3e-3),
    ):
        ddp, whole = DistributedDataParallel(make(), **options), network()
        optimizer = mg.optim.SGD(ddp.parameters(), lr=0.01)
        learn(whole, x, y) if get_world_size() == 1 else None
        with alone():
            learn(whole, x, y)
        for step in range(3):
            optimizer.zero_grad()
            learn(ddp, share(x), share(y))
            if step == 0 and close:
                for p, q in zip(ddp.parameters(), whole.parameters(), strict=True):
                    distance = np.abs(p.grad.numpy() - q.grad.numpy()).max()
                    assert distance <= close * np.abs(q.grad.numpy()).max() + 1e-5, (options, distance)
            optimizer.step()
            ddp.require_equal()


def accumulate() -> None:
    """Several batches to a step, all but the last without traffic; gradients that no optimiser has given a home."""
    group = communicator.current()
    x, y = images()
    whole, ddp = network().double(), DistributedDataParallel(synchronised(network().double()))
    cuts = [slice(0, 13), slice(13, 33)]
    with alone():
        for cut in cuts:
            learn(whole, x[cut], y[cut], parts=2)
    started = []
    start, group.start_all_reduce = (
        group.start_all_reduce,
        lambda a, *more: started.append(a.size) or start(a, *more),
    )
    with ddp.no_sync():
        learn(ddp, share(x[cuts[0]]), share(y[cuts[0]]), parts=2)
    largest = max(p.numel() for p in ddp.parameters())
    assert all(size < largest for size in started), "gradients travelled"
    learn(ddp, share(x[cuts[1]]), share(y[cuts[1]]), parts=2)
    assert max(started) >= largest
    del group.start_all_reduce
    distance = worst([p.grad for p in whole.parameters()], [p.grad for p in ddp.parameters()])
    assert distance < 1e-12, distance


def trainer() -> None:
    """A whole training, gradients accumulated and clipped, gives the numbers of one process with all examples."""
    x, y = images(46)
    logs, losses = [], []
    for ranks in (1, get_world_size()):
        with alone() if ranks == 1 else nullcontext():
            model: nn.Module = Double()
            callbacks: list[Callback] = [History()]
            loader = DataLoader(ArrayDataset(x, y), 8, shuffle=True, seed=0)
            watched = DataLoader(ArrayDataset(x, y), 11)
            if ranks > 1:
                model = DistributedDataParallel(model)
                callbacks.insert(0, OverRanks(model))
                loader, watched = distributed.shard(loader), distributed.shard(watched)
            optimizer = mg.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
            learning = Trainer(
                model, optimizer, metrics=["accuracy", "f1"], callbacks=callbacks, accumulate=4, clip_norm=1.0
            )
            logs.append(learning.fit(loader, 2, watched))
            losses.append(learning.callback(History).steps["loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-9)
    assert logs[0].keys() == logs[1].keys()
    for name in logs[0].keys() - {"seconds"}:
        np.testing.assert_allclose(logs[1][name], logs[0][name], rtol=1e-9, err_msg=name)


def stopped() -> None:
    """Where one rank is interrupted, all stop, at the same step."""

    class Tell(Callback):
        def on_batch_begin(self, trainer) -> None:
            if get_rank() == 1 and trainer.batch_index == 2:
                os.kill(os.getpid(), signal.SIGINT)

    x, y = images(48)
    model = DistributedDataParallel(Double())
    loader = distributed.shard(DataLoader(ArrayDataset(x, y), 4))
    learning = Trainer(model, mg.optim.SGD(model.parameters(), lr=0.01), callbacks=[OverRanks(model), Tell()])
    with pytest.raises(KeyboardInterrupt) if get_rank() == 1 else nullcontext():
        learning.fit(loader, 1)
    assert learning.interrupted
    assert distributed.all_gather(np.array([learning.global_step])).tolist() == [[3]] * get_world_size()


class Double(nn.Module):
    """A network in double precision; a loader's images are not."""

    def __init__(self) -> None:
        self.network = synchronised(network().double())

    def forward(self, x):
        return self.network(x.to(dtype=mg.float64))


def refused() -> None:
    """What cannot be right is an error on all ranks alike, at once."""

    class Half(nn.Module):
        def __init__(self) -> None:
            self.used, self.unused = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x):
            return self.used(x)

    x = mg.ones(3, 2)
    half = DistributedDataParallel(Half())
    expect(GraphError, "unused.weight, unused.bias", half, x)
    half.module.unused.requires_grad_(False)
    half(x).sum().backward()
    before = half.module.used.weight.grad.numpy().copy()
    half.module.unused.requires_grad_(True)
    half.module.forward = lambda x: half.module.unused(half.module.used(x))
    half(x).sum().backward()  # those that learn have changed
    assert (half.module.unused.weight.grad.numpy() != 0).any()
    assert (half.module.used.weight.grad.numpy() != before).any()
    half.module.used.weight.detach()[0, 0] = float(get_rank())
    expect(CommunicationError, "used.weight differs", half.require_equal)
    expect(CommunicationError, "other parameters", DistributedDataParallel, nn.Linear(2, 2 + get_rank()))
    first = DistributedDataParallel(nn.Linear(2, 1))
    expect(GraphError, "first derivatives", lambda: (first(x) ** 2).sum().backward(create_graph=True))


def fail(how: str) -> None:
    """Rank 1 ends before its time while the others wait for it."""
    array = np.ones(100_000, np.float32)
    distributed.all_reduce(array)
    if get_rank() == 1:
        if how == "raise":
            raise ValueError("the reason")
        if how == "thread":
            threading.Thread(target=lambda: 1 / 0).start()
            time.sleep(60)
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if how == "exit":
            print("the reason", file=sys.stderr)
            sys.exit(3)
        if how == "end":
            sys.exit(0)
        if how == "stuck":
            time.sleep(60)
    elif how == "busy":
        time.sleep(60)
    if how == "busy":
        raise ValueError("the reason")
    distributed.all_reduce(array)


JOBS = {
    f.__name__: f
    for f in (communicate, whole_batch, float32_kernels, accumulate, trainer, stopped, refused, fail)
}

if __name__ == "__main__":
    distributed.init("mpi", timeout=float(os.environ.get("TEST_TIMEOUT", "30")))
    JOBS[sys.argv[1]](*sys.argv[2:])
