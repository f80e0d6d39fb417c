"""What needs no second process: places, one process alone, shares of batches, totals, buckets."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import communicator, distributed, nn
from minigrad.communicator import SingleProcess
from minigrad.data import ArrayDataset, DataLoader, MixUp
from minigrad.distributed import DistributedDataParallel, ReducedTotals, find_place, shard
from minigrad.distributed.buckets import FIRST_CAP, in_buckets
from minigrad.errors import ArgumentError, DataError, ShapeError
from minigrad.train.metrics import Totals
from tests.distributed.stand_in import StandIn

# ------------------------------------------------ places


@pytest.mark.parametrize(
    "environment, expected",
    [
        ({"PMI_RANK": "1", "PMI_SIZE": "4", "MPI_LOCALRANKID": "1"}, (1, 4, 1)),
        (
            {"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "3", "OMPI_COMM_WORLD_LOCAL_RANK": "0"},
            (2, 3, 0),
        ),
        ({"RANK": "7", "WORLD_SIZE": "8", "LOCAL_RANK": "3"}, (7, 8, 3)),
        ({"SLURM_PROCID": "5", "SLURM_NTASKS": "6", "SLURM_LOCALID": "1"}, (5, 6, 1)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "PMI_RANK": "1", "PMI_SIZE": "2"}, (1, 2, 0)),
        ({"RANK": "3"}, (0, 1, 0)),
        ({}, (0, 1, 0)),
    ],
)
def test_a_place_is_what_the_launcher_says(environment, expected):
    assert find_place(environment)[:3] == expected


@pytest.mark.parametrize("rank, size", [("2", "2"), ("x", "2"), ("-1", "2"), ("0", "0"), ("", "1")])
def test_a_place_that_cannot_be(rank, size):
    with pytest.raises(ArgumentError, match="WORLD_SIZE"):
        find_place({"RANK": rank, "WORLD_SIZE": size})


# ------------------------------------------------ one process


def test_one_process_is_its_own_group():
    group = distributed.init()
    assert (distributed.get_rank(), distributed.get_world_size(), distributed.get_local_rank()) == (0, 1, 0)
    assert distributed.is_main()
    assert distributed.init("single") is group
    x = mg.tensor([1.0, 2.0])
    assert distributed.all_reduce(x, "mean") is x
    assert distributed.broadcast(x).tolist() == [1, 2]
    assert distributed.broadcast_bytes(b"some") == b"some"
    distributed.barrier()
    with distributed.main_first():
        pass
    before = mg.get_backend("cpu").rng.bit_generator.state
    distributed.separate_random_streams()
    assert mg.get_backend("cpu").rng.bit_generator.state == before
    with pytest.raises(SystemExit):
        group.abort(3)


def test_what_cannot_be_is_refused():
    with pytest.raises(ArgumentError, match="nccl"):
        distributed.init("nccl")
    with pytest.raises(ArgumentError, match="median"):
        distributed.all_reduce(1.0, "median")
    with pytest.raises(ArgumentError, match="no rank 1"):
        distributed.broadcast(np.zeros(1), src=1)
    with pytest.raises(ShapeError, match="contiguous"):
        distributed.all_reduce(mg.ones(2, 3).T)
    with pytest.raises(ArgumentError, match="module"):
        DistributedDataParallel(lambda x: x)
    with pytest.raises(ArgumentError, match="bucket_cap_mb"):
        DistributedDataParallel(nn.Linear(1, 1), bucket_cap_mb=0)
    with pytest.raises(ArgumentError, match="gradient_dtype"):
        DistributedDataParallel(nn.Linear(1, 1), gradient_dtype="float64")
    with pytest.raises(ArgumentError, match="copy the module"):
        copy.deepcopy(DistributedDataParallel(nn.Linear(1, 1)))


def test_one_process_learns_as_without():
    x, bare = mg.randn(4, 3), nn.Linear(3, 2)
    model = DistributedDataParallel(copy.deepcopy(bare))
    for m in (bare, model):
        m(x).square().sum().backward()
    assert (bare.weight.grad.numpy() == model.module.weight.grad.numpy()).all()
    model.load_state_dict(bare.state_dict())
    assert list(model.state_dict()) == ["weight", "bias"]
    with model.no_sync():
        assert not model.require_backward_grad_sync
    assert model.require_backward_grad_sync
    model.require_equal()


# ------------------------------------------------ shares of batches


class Numbered:
    """Inputs that are the samples' numbers."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, indices):
        return np.asarray(indices, np.float32)[:, None], np.asarray(indices)


@given(n=st.integers(1, 60), batch=st.integers(1, 20), ranks=st.integers(1, 5), drop_last=st.booleans())
def test_an_epoch_covers_every_sample_exactly_once(n, batch, ranks, drop_last):
    if drop_last and n < batch:
        return
    whole = DataLoader(Numbered(n), batch, shuffle=True, seed=3, drop_last=drop_last)
    left = batch if drop_last else n % batch or batch
    if left < ranks:
        with pytest.raises(DataError, match=f"batch of {left}"):
            shard(whole, StandIn(0, ranks))
        return
    shares = [shard(whole, StandIn(rank, ranks)) for rank in range(ranks)]
    assert {len(share) for share in shares} == {len(whole)}
    for number, ((_, targets), *parts) in enumerate(zip(whole, *shares, strict=True)):
        joined = [y.tolist() for _, y in parts]
        assert [y for part in joined for y in part] == targets.tolist()
        assert max(map(len, joined)) - min(map(len, joined)) <= 1
        assert [share.sample_ids(0, number).tolist() for share in shares] == joined
        assert all(share.state_dict() == whole.state_dict() for share in shares)


def test_a_place_in_an_epoch_means_the_same_on_any_number_of_ranks():
    def loader(rank, ranks):
        return shard(DataLoader(Numbered(24), 8, shuffle=True, seed=1), StandIn(rank, ranks))

    two = loader(0, 2)
    for number, _ in enumerate(two):
        if number == 0:
            state = two.state_dict()
            break
    rest = []
    for rank in range(3):
        share = loader(rank, 3)
        share.load_state_dict(state)
        rest += [y for _, targets in share for y in targets.tolist()]
    first = set(DataLoader(Numbered(24), 8, shuffle=True, seed=1).sample_ids(0, 0).tolist())
    assert sorted(rest) == sorted(set(range(24)) - first)


def test_transforms_draw_other_numbers_on_each_rank():
    def noise(inputs, rng):
        return inputs * 0 + rng.random(inputs.shape).astype(np.float32)

    def batches(rank, ranks):
        loader = DataLoader(
            ArrayDataset(np.zeros((8, 2), np.float32), np.arange(8) % 2), 4, seed=1, transform=noise, num_workers=1,
            batch_transform=MixUp(1.0, 2),
        )  # fmt: skip
        return [x.tolist() for x, _ in shard(loader, StandIn(rank, ranks))]

    assert batches(0, 2) != batches(1, 2)
    assert batches(1, 2) == batches(1, 2)
    assert "noise" in repr(shard(DataLoader(Numbered(4), 4, transform=noise), StandIn(0, 2)))


# ------------------------------------------------ totals


def test_totals_of_one_process_are_those_of_the_trainer():
    rng = np.random.default_rng(0)
    plain, reduced = Totals(["accuracy", "f1"]), ReducedTotals(Totals(["accuracy", "f1"]))
    for _ in range(3):
        logits, targets = mg.tensor(rng.standard_normal((5, 3))), mg.tensor(rng.integers(0, 3, 5))
        for totals in (plain, reduced):
            totals.add(0.5, logits, targets)
    assert reduced.results("") == plain.results("")
    assert reduced.loss == 0.5
    assert not reduced.stop
    assert type(reduced.totals.metrics["accuracy"].count) is int
    restored = ReducedTotals(Totals(["accuracy", "f1"]))
    restored.load_state_dict(reduced.state_dict())
    assert restored.results("") == plain.results("")
    assert copy.deepcopy(reduced).reset().totals.loss.count == 0
    assert reduced.totals.loss.count == 15


# ------------------------------------------------ buckets


def test_buckets_keep_order_and_size():
    parameters = [nn.Parameter(mg.zeros(n)) for n in (10, FIRST_CAP // 4, 5, FIRST_CAP // 2, FIRST_CAP, 3)]
    buckets = in_buckets(parameters, 4 * FIRST_CAP)
    assert [len(b.parameters) for b in buckets] == [1, 3, 1, 1]
    assert [id(p) for b in buckets for p in b.parameters] == [id(p) for p in parameters]
    mixed = [nn.Parameter(mg.zeros(3, dtype=d)) for d in (mg.float32, mg.float64, mg.float32)]
    assert [len(b.parameters) for b in in_buckets(mixed, 100)] == [2, 1]
    assert [len(b.parameters) for b in in_buckets(mixed, 1)] == [1, 1, 1]
    assert len(in_buckets(parameters, 100 * FIRST_CAP)) == 1


def test_a_run_of_gradients_is_found_where_they_lie_side_by_side():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    optimizer = mg.optim.SGD(model.parameters(), lr=0.1)
    optimizer.zero_grad()
    model(mg.ones(4, 2)).sum().backward()
    last = list(model.parameters())[::-1]
    buffer = last[0]._home.buffer()
    run = buffer.run_of(last[1:3])
    assert run.base is not None
    assert run.tolist() == last[1].grad.numpy().ravel().tolist() + last[2].grad.numpy().ravel().tolist()
    assert buffer.run_of([last[0], last[2]]) is None
    assert buffer.run_of(last[::-1]) is None
    last[1].grad = last[1].grad.clone()
    assert buffer.run_of(last[:2]) is None
    assert buffer.run_of([mg.ones(1)]) is None


def test_the_communicator_in_use_is_put_back():
    assert type(communicator.current()) is SingleProcess
