"""A loader that is stopped anywhere goes on bit for bit."""

from __future__ import annotations

import json

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from minigrad.data import ArrayDataset, BalancedSampler, DataLoader, MixUp, RandomShift
from minigrad.errors import StateError


def make(**options) -> DataLoader:
    images = np.arange(10 * 25, dtype=np.uint8).reshape(10, 1, 5, 5)
    settings = {
        "batch_size": 3,
        "shuffle": True,
        "seed": 7,
        "transform": RandomShift(2),
        "batch_transform": lambda inputs, targets, rng: MixUp(1.0, 10)(
            inputs.astype(np.float32), targets, rng
        ),
    }
    return DataLoader(ArrayDataset(images, np.arange(10)), **(settings | options))


def bits(batches) -> list[bytes]:
    return [inputs.numpy().tobytes() + targets.numpy().tobytes() for inputs, targets in batches]


@given(st.integers(0, 2), st.integers(0, 4), st.sampled_from([0, 1, 2]), st.sampled_from([0, 2]))
def test_any_position_can_be_taken_up_again(epoch, batch, workers_before, workers_after):
    whole = [bits(loader) for loader in [make()] for _ in range(5)]
    loader = make(num_workers=workers_before)
    for _ in range(epoch):
        list(loader)
    iterator = iter(loader)
    for _ in range(batch):
        next(iterator)
    state = json.loads(json.dumps(loader.state_dict()))  # as a checkpoint keeps it
    assert (state["epoch"], state["batch"]) == (epoch, batch)
    resumed = make(seed=None, num_workers=workers_after)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    assert bits(resumed) == whole[epoch][batch:]
    assert bits(resumed) == whole[epoch + 1]


def test_set_epoch_keeps_the_place_in_the_epoch_that_was_loaded_and_no_other():
    state = {**make().state_dict(), "epoch": 2, "batch": 3}
    whole = [bits(loader) for loader in [make()] for _ in range(4)]
    loader = make()
    loader.load_state_dict(state)
    resumed = []
    for epoch in (2, 3):  # as a training loop does it
        loader.set_epoch(epoch)
        resumed.append(bits(loader))
    assert resumed == [whole[2][3:], whole[3]]
    loader.load_state_dict(state)
    loader.set_epoch(1)
    loader.set_epoch(2)
    assert bits(loader) == whole[2]


def test_the_position_in_the_last_batch_is_still_in_its_epoch():
    loader = make()
    for number, _ in enumerate(loader):
        assert loader.state_dict()["batch"] == number + 1
        assert loader.state_dict()["epoch"] == 0
    assert number == 3
    assert (loader.state_dict()["epoch"], loader.state_dict()["batch"]) == (1, 0)
    loader.load_state_dict({**loader.state_dict(), "epoch": 0, "batch": 4})
    assert list(loader) == []
    assert loader.epoch == 1


def test_a_loop_that_was_left_is_where_it_was_left():
    loader = make(num_workers=2)
    for number, _ in enumerate(loader):
        if number == 1:
            break
    assert (loader.state_dict()["epoch"], loader.state_dict()["batch"]) == (0, 2)
    loader.set_epoch(5)
    assert (loader.state_dict()["epoch"], loader.state_dict()["batch"]) == (5, 0)


def test_batches_made_ahead_do_not_count():
    loader = make(num_workers=2)
    iterator = iter(loader)
    next(iterator)
    assert loader.state_dict()["batch"] == 1
    iterator.close()


def test_the_sampler_is_part_of_the_position():
    def balanced() -> DataLoader:
        return make(shuffle=False, sampler=BalancedSampler(np.arange(10) % 3, num_samples=11))

    loader = balanced()
    iterator = iter(loader)
    next(iterator)
    resumed = balanced()
    resumed.load_state_dict(loader.state_dict())
    assert bits(resumed) == bits(iterator)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"batch_size": 4}, "with batch_size 4, this one has 3"),
        ({"samples": 11}, "with samples 11, this one has 10"),
        ({"batch": 5}, "next batch is 5, but an epoch has 4"),
        ({"epoch": -1}, "wrong or missing: epoch"),
        ({"batch": 1.0}, "wrong or missing: batch"),
        ({"seed": None}, "wrong or missing: seed"),
        ({"more": 1}, "wrong or missing: more"),
    ],
)
def test_states_that_do_not_fit_are_refused_and_change_nothing(change, said):
    loader = make()
    before = loader.state_dict()
    with pytest.raises(StateError, match=said):
        loader.load_state_dict({**before, **change})
    assert loader.state_dict() == before
    with pytest.raises(StateError, match="wrong or missing: batch, epoch"):
        loader.load_state_dict({name: before[name] for name in ("seed", "batch_size", "samples")})
