"""Batches, their order and its repetition."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import minigrad as mg
from minigrad.data import ArrayDataset, DataLoader, RandomShift
from minigrad.errors import ArgumentError, DataError, DeviceError, DtypeError, ShapeError


def numbers(n: int) -> ArrayDataset:
    """n samples whose input and target both tell their index."""
    return ArrayDataset(np.arange(n, dtype=np.float32)[:, None], np.arange(n))


def orders(loader: DataLoader) -> list[list[int]]:
    return [targets.numpy().tolist() for _, targets in loader]


@given(st.integers(1, 40), st.integers(1, 12), st.booleans(), st.booleans())
def test_an_epoch_has_each_sample_once(n, batch_size, shuffle, drop_last):
    if drop_last and n < batch_size:
        return
    loader = DataLoader(numbers(n), batch_size, shuffle, drop_last, seed=3)
    batches = list(loader)
    assert len(batches) == len(loader)
    for inputs, targets in batches:
        np.testing.assert_array_equal(inputs.numpy()[:, 0], targets.numpy())
    seen = np.concatenate([targets.numpy() for _, targets in batches]).tolist()
    expected = n - n % batch_size if drop_last else n
    assert len(set(seen)) == len(seen) == expected
    assert all(len(targets) == batch_size for _, targets in batches[: n // batch_size])
    if not shuffle:
        assert seen == list(range(expected))


@pytest.mark.parametrize(
    "n, batch_size, drop_last", [(10, 4, False), (10, 4, True), (8, 4, False), (3, 5, False)]
)
def test_the_number_of_batches_is_pytorchs(torch, n, batch_size, drop_last):
    theirs = torch.utils.data.DataLoader(range(n), batch_size=batch_size, drop_last=drop_last)
    assert len(DataLoader(numbers(n), batch_size=batch_size, drop_last=drop_last)) == len(theirs)


def test_each_epoch_has_its_own_order_and_set_epoch_returns_to_it():
    loader = DataLoader(numbers(30), batch_size=7, shuffle=True, seed=0)
    epochs = [orders(loader) for _ in range(4)]
    assert len({str(epoch) for epoch in epochs}) == 4
    resumed = DataLoader(numbers(30), batch_size=7, shuffle=True, seed=0)
    resumed.set_epoch(2)
    assert [orders(resumed), orders(resumed)] == epochs[2:]
    assert resumed.epoch == 4
    assert orders(DataLoader(numbers(30), batch_size=7, shuffle=True, seed=1)) not in epochs


def test_an_epoch_left_early_counts():
    loader = DataLoader(numbers(30), batch_size=7, shuffle=True, seed=0)
    next(iter(loader))
    assert loader.epoch == 1
    fresh = DataLoader(numbers(30), batch_size=7, shuffle=True, seed=0)
    fresh.set_epoch(1)
    assert orders(loader) == orders(fresh)


def test_two_iterations_at_once_do_not_disturb_each_other():
    loader = DataLoader(numbers(12), batch_size=5, shuffle=True, seed=0)
    together = list(zip(iter(loader), iter(loader)))
    loader.set_epoch(0)
    first, second = orders(loader), orders(loader)
    assert [targets.numpy().tolist() for (_, targets), _ in together] == first
    assert [targets.numpy().tolist() for _, (_, targets) in together] == second


def test_shuffling_is_fair():
    # Each of 5 samples in each of 5 places, over 2,000 epochs: 400 times expected, standard deviation 18.
    loader = DataLoader(numbers(5), batch_size=5, shuffle=True, seed=0)
    counts = np.zeros((5, 5), int)
    for _ in range(2000):
        (order,) = orders(loader)
        counts[np.arange(5), order] += 1
    assert abs(counts - 400).max() < 90


def test_without_a_seed_the_global_one_decides():
    def order() -> list[list[int]]:
        return orders(DataLoader(numbers(20), batch_size=20, shuffle=True))

    mg.manual_seed(5)
    first, second = order(), order()
    mg.manual_seed(5)
    assert [order(), order()] == [first, second]
    assert first != second


def test_the_seed_in_use_can_be_read():
    loader = DataLoader(numbers(20), batch_size=20, shuffle=True)
    assert orders(loader) == orders(DataLoader(numbers(20), batch_size=20, shuffle=True, seed=loader.seed))


def test_transforms_depend_on_seed_epoch_and_batch_only():
    images = ArrayDataset(np.arange(6 * 36, dtype=np.uint8).reshape(6, 1, 6, 6), np.arange(6))

    def epoch(number: int, seed: int = 0, skip: int = 0) -> list[np.ndarray]:
        loader = DataLoader(images, batch_size=2, seed=seed, transform=RandomShift(2))
        for _ in range(skip):
            list(loader)
        loader.set_epoch(number)
        return [inputs.numpy() for inputs, _ in loader]

    np.testing.assert_array_equal(epoch(1), epoch(1, skip=3))
    assert not np.array_equal(epoch(0), epoch(1))
    assert not np.array_equal(epoch(0), epoch(0, seed=1))


def test_the_batches_of_an_epoch_are_transformed_differently():
    drawn = []

    def draw(batch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        drawn.append(rng.integers(2**63))
        return batch

    loader = DataLoader(numbers(9), batch_size=3, shuffle=True, seed=0, transform=draw)
    list(loader), list(loader)
    assert len(set(drawn)) == 6


@pytest.mark.parametrize(
    "dtype, becomes, scale",
    [
        (np.uint8, np.float32, 1 / 255),
        (np.float16, np.float32, 1),
        (np.float64, np.float32, 1),
        (np.int32, np.int64, 1),
        (np.bool_, np.float32, 1),
    ],
)
def test_inputs_become_float32_or_int64(dtype, becomes, scale):
    values = np.array([[0, 1], [1, 0]], dtype)
    ((inputs, _),) = DataLoader(ArrayDataset(values, np.zeros(2, int)), batch_size=2)
    assert isinstance(inputs, mg.Tensor)
    assert inputs.numpy().dtype == becomes
    np.testing.assert_allclose(inputs.numpy(), values * scale, rtol=1e-7)


@pytest.mark.parametrize(
    "dtype, becomes", [(np.uint8, np.int64), (np.int32, np.int64), (np.float64, np.float32)]
)
def test_targets_become_int64_or_float32(dtype, becomes):
    ((_, targets),) = DataLoader(ArrayDataset(np.zeros((2, 1)), np.array([3, 4], dtype)), batch_size=2)
    assert targets.numpy().dtype == becomes
    np.testing.assert_array_equal(targets.numpy(), [3, 4])


def test_batches_are_copies_of_the_dataset():
    dataset = ArrayDataset(np.zeros((4, 2), np.float32), np.zeros(4, np.int64))
    for inputs, targets in DataLoader(dataset, batch_size=2):
        assert not np.shares_memory(inputs.numpy(), dataset.inputs)
        assert not np.shares_memory(targets.numpy(), dataset.targets)


@pytest.mark.parametrize(
    "options, error, said",
    [
        ({"batch_size": 0}, ArgumentError, "batch_size .* got 0"),
        ({"batch_size": -3}, ArgumentError, "batch_size .* got -3"),
        ({"batch_size": 2.0}, ArgumentError, r"batch_size .* got 2\.0"),
        ({"batch_size": True}, ArgumentError, "batch_size .* got True"),
        ({"seed": -1}, ArgumentError, "seed .* got -1"),
        ({"seed": "a"}, ArgumentError, "seed .* got 'a'"),
        ({"transform": 3}, ArgumentError, "transform .* got 3"),
        ({"batch_transform": 3}, ArgumentError, "batch_transform .* got 3"),
        ({"batch_size": 11, "drop_last": True}, DataError, "10 samples at batch_size 11"),
        ({"device": "abacus"}, DeviceError, "abacus"),
    ],
)
def test_bad_arguments_are_refused_at_once(options, error, said):
    with pytest.raises(error, match=said):
        DataLoader(numbers(10), **options)


@pytest.mark.parametrize("epoch", [-1, 0.5, None])
def test_bad_epochs_are_refused(epoch):
    with pytest.raises(ArgumentError, match="epoch"):
        DataLoader(numbers(10)).set_epoch(epoch)


def test_an_empty_dataset_is_refused():
    with pytest.raises(DataError, match="empty"):
        DataLoader(numbers(0))


def test_a_transform_that_loses_samples_is_named():
    def lose(batch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return batch[1:]

    with pytest.raises(ShapeError, match=r"lose.* turned 4 samples into 3"):
        list(DataLoader(numbers(8), batch_size=4, transform=lose))


def test_a_batch_transform_sees_both_after_the_transform():
    def scale(batch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return batch * 10

    def add(
        inputs: np.ndarray, targets: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        return inputs + targets[:, None], np.stack([targets, rng.random(len(targets))], 1)

    loader = DataLoader(numbers(6), batch_size=4, seed=0, transform=scale, batch_transform=add)
    (inputs, targets), (more, _) = loader
    np.testing.assert_array_equal(inputs.numpy()[:, 0], [0, 11, 22, 33])
    np.testing.assert_array_equal(more.numpy()[:, 0], [44, 55])
    assert targets.numpy().dtype == np.float32
    loader.set_epoch(0)
    np.testing.assert_array_equal(next(iter(loader))[1].numpy(), targets.numpy())


@pytest.mark.parametrize("lost", [0, 1])
def test_a_batch_transform_that_loses_samples_is_named(lost):
    def lose(*batch) -> tuple[np.ndarray, ...]:
        return tuple(array[(number == lost) :] for number, array in enumerate(batch[:2]))

    with pytest.raises(ShapeError, match=r"lose.* turned 4 samples into 3"):
        list(DataLoader(numbers(8), batch_size=4, batch_transform=lose))


def test_arrays_that_hold_no_numbers_are_refused():
    with pytest.raises(DtypeError, match="U1"):
        list(DataLoader(ArrayDataset(np.array(["a", "b"]), np.zeros(2, int))))
