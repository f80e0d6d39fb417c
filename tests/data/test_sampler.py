"""Samplers by themselves, and as a loader's order."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from minigrad.data import (
    ArrayDataset,
    BalancedSampler,
    DataLoader,
    RandomSampler,
    SequentialSampler,
    WeightedRandomSampler,
)
from minigrad.errors import ArgumentError, DataError

EVERY = [
    SequentialSampler(range(12)),
    RandomSampler(range(12)),
    RandomSampler(range(12), num_samples=5),
    RandomSampler(range(12), replacement=True, num_samples=30),
    WeightedRandomSampler(np.arange(12), 7),
    WeightedRandomSampler(np.arange(12), 11, replacement=False),
    BalancedSampler([0] * 9 + [1] * 3),
    BalancedSampler([0] * 9 + [5] * 3, num_samples=25),
]


def order(sampler, seed: int = 0) -> list[int]:
    return sampler.indices(np.random.default_rng(seed)).tolist()


@pytest.mark.parametrize("sampler", EVERY, ids=repr)
def test_what_every_sampler_promises(sampler):
    indices = order(sampler)
    assert len(indices) == len(sampler)
    assert set(indices) <= set(range(12))
    assert order(sampler) == indices
    if not isinstance(sampler, SequentialSampler):
        assert order(sampler, 1) != indices


@pytest.mark.parametrize("sampler", EVERY, ids=repr)
def test_a_loader_visits_what_its_sampler_says(sampler):
    loader = DataLoader(ArrayDataset(np.zeros((12, 1)), np.arange(12)), 4, seed=3, sampler=sampler)
    epochs = [[targets.numpy().tolist() for _, targets in loader] for _ in range(3)]
    assert all(len(epoch) == len(loader) == -(-len(sampler) // 4) for epoch in epochs)
    assert all(sum(map(len, epoch)) == len(sampler) for epoch in epochs)
    if isinstance(sampler, SequentialSampler):
        assert epochs[0] == epochs[1] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    else:
        assert epochs[0] != epochs[1]
    loader.set_epoch(1)
    assert [targets.numpy().tolist() for _, targets in loader] == epochs[1]


def test_without_replacement_no_sample_comes_twice():
    for sampler in (
        RandomSampler(range(12)),
        RandomSampler(range(12), num_samples=9),
        WeightedRandomSampler(np.arange(1, 13), 9, replacement=False),
    ):
        assert len(set(order(sampler))) == len(sampler)


def test_with_replacement_every_sample_is_equally_likely():
    counts = np.bincount(order(RandomSampler(range(5), replacement=True, num_samples=50_000)), minlength=5)
    assert abs(counts - 10_000).max() < 450  # five standard deviations


def test_weights_are_proportions():
    weights = np.array([1, 0, 3, 6])
    counts = np.bincount(order(WeightedRandomSampler(weights, 50_000)), minlength=4)
    assert counts[1] == 0
    assert abs(counts / 5000 - weights).max() < 0.1


@given(
    st.lists(st.integers(-3, 3), min_size=1, max_size=30), st.none() | st.integers(1, 60), st.integers(0, 99)
)
def test_classes_and_their_samples_come_equally_often(labels, num_samples, seed):
    labels = np.array(labels)
    indices = BalancedSampler(labels, num_samples).indices(np.random.default_rng(seed))
    assert len(indices) == (num_samples or len(labels))
    of_class = [np.count_nonzero(labels[indices] == label) for label in np.unique(labels)]
    assert max(of_class) - min(of_class) <= 1
    of_sample = np.bincount(indices, minlength=len(labels))
    for label in np.unique(labels):
        assert np.ptp(of_sample[labels == label]) <= 1


def test_balanced_epochs_are_mixed_and_see_all_of_a_large_class_in_time():
    labels = np.array([0] * 90 + [1] * 10)
    sampler = BalancedSampler(labels, 20)
    seen = {index for seed in range(60) for index in order(sampler, seed)}
    assert seen == set(range(100))
    drawn = labels[order(BalancedSampler(labels))]
    assert 30 < np.count_nonzero(np.diff(drawn)) < 70  # 49.5 expected of a fair mixture


def test_a_class_too_many_is_drawn_by_lot():
    counts = np.zeros(3)
    for seed in range(600):
        counts += np.bincount(order(BalancedSampler([0, 1, 2], num_samples=1), seed), minlength=3)
    assert abs(counts - 200).max() < 60


@pytest.mark.parametrize(
    "make, error, said",
    [
        (lambda: RandomSampler(range(3), num_samples=4), ArgumentError, "num_samples is 4 of only 3"),
        (lambda: RandomSampler(range(3), num_samples=0), ArgumentError, "num_samples must be .* got 0"),
        (lambda: RandomSampler(range(3), num_samples=1.5), ArgumentError, r"got 1\.5"),
        (lambda: WeightedRandomSampler([1, -1], 2), ArgumentError, "weights must be"),
        (lambda: WeightedRandomSampler([0, 0], 2), ArgumentError, "not all 0"),
        (lambda: WeightedRandomSampler([1, np.nan], 2), ArgumentError, "finite"),
        (lambda: WeightedRandomSampler([[1]], 2), ArgumentError, r"shape \(1, 1\)"),
        (
            lambda: WeightedRandomSampler([1, 0], 2, replacement=False),
            ArgumentError,
            "only 1 weights are positive",
        ),
        (lambda: BalancedSampler([0.5]), DataError, "integer labels"),
        (lambda: BalancedSampler([[1]]), DataError, "integer labels"),
        (lambda: BalancedSampler([]), DataError, "integer labels"),
    ],
)
def test_bad_arguments_are_refused_at_once(make, error, said):
    with pytest.raises(error, match=said):
        make()


class Wrong:
    """A sampler that promises three indices and gives others."""

    def __init__(self, *given: float) -> None:
        self.given = np.array(given)

    def __len__(self) -> int:
        return 3

    def __repr__(self) -> str:
        return "Wrong()"

    def indices(self, rng: np.random.Generator) -> np.ndarray:
        return self.given


@pytest.mark.parametrize(
    "given, said",
    [
        ((0, 1), r"announces 3 indices, but gave int64 of shape \(2,\)"),
        ((0.0, 1.0, 2.0), "float64"),
        ((0, 1, 5), "indices from 0 to 5, but the dataset has 5"),
        ((-1, 1, 2), "indices from -1"),
    ],
)
def test_a_sampler_that_does_not_fit_is_named(given, said):
    loader = DataLoader(ArrayDataset(np.zeros((5, 1)), np.arange(5)), sampler=Wrong(*given))
    with pytest.raises(DataError, match=f"Wrong.*{said}"):
        list(loader)


def test_a_loader_takes_one_order_only():
    dataset = ArrayDataset(np.zeros((5, 1)), np.arange(5))
    with pytest.raises(ArgumentError, match="either sampler or shuffle"):
        DataLoader(dataset, shuffle=True, sampler=RandomSampler(dataset))
    with pytest.raises(ArgumentError, match=r"indices\(rng\), got \[0, 1\]"):
        DataLoader(dataset, sampler=[0, 1])
    with pytest.raises(DataError, match="epoch with 2 samples at batch_size 3"):
        DataLoader(dataset, 3, drop_last=True, sampler=RandomSampler(dataset, num_samples=2))
