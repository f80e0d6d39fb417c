"""Datasets in arrays, and their division."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from minigrad.data import ArrayDataset, random_split
from minigrad.errors import ArgumentError, DataError


@pytest.fixture
def dataset() -> ArrayDataset:
    return ArrayDataset(
        np.arange(20.0).reshape(10, 2), np.arange(10) % 3, classes=["a", "b", "c"], name="letters"
    )


@pytest.mark.parametrize(
    "indices",
    [
        3,
        -1,
        slice(2, 8, 3),
        [5, 5, 0],
        np.array([9, 1]),
        np.arange(10) % 2 == 0,
        np.zeros(0, int),
        np.int64(4),
    ],
)
def test_indexing_is_numpys_on_both_arrays(dataset, indices):
    inputs, targets = dataset[indices]
    np.testing.assert_array_equal(inputs, dataset.inputs[indices])
    np.testing.assert_array_equal(targets, dataset.targets[indices])


def test_length_and_repr(dataset):
    assert len(dataset) == 10
    assert repr(dataset) == "ArrayDataset('letters', 10 samples: inputs (10, 2) float64, targets (10,) int64)"


def test_the_arrays_are_not_copied():
    inputs, targets = np.zeros((2, 3)), np.zeros(2, int)
    dataset = ArrayDataset(inputs, targets)
    assert dataset.inputs is inputs
    assert dataset.targets is targets


def test_a_subset_keeps_order_and_classes(dataset):
    part = dataset.subset([7, 2], name="two")
    np.testing.assert_array_equal(part.inputs, [[14, 15], [4, 5]])
    assert part.targets.tolist() == [1, 2]
    assert (part.classes, part.name) == (("a", "b", "c"), "two")


@pytest.mark.parametrize(
    "inputs, targets, classes, said",
    [
        (np.zeros((3, 2)), np.zeros(2, int), None, r"3 inputs \(shape \(3, 2\)\) but 2 targets"),
        (np.float64(1), np.zeros(1, int), None, r"first axis .* shapes \(\) and \(1,\)"),
        (np.zeros(2), np.array([0, 2]), "ab", r"labels must lie in \[0, 2\), found values from 0 to 2"),
        (np.zeros(2), np.array([-1, 1]), "ab", "found values from -1 to 1"),
        (np.zeros(2), np.array([0.0, 1.0]), "ab", "must be integers, got float64"),
    ],
)
def test_what_does_not_fit_is_refused(inputs, targets, classes, said):
    with pytest.raises(DataError, match=said) as caught:
        ArrayDataset(inputs, targets, classes=classes, name="the digits")
    assert str(caught.value).startswith("the digits: ")


@given(st.lists(st.integers(0, 20), min_size=1, max_size=5), st.integers(0, 2**31))
def test_a_split_by_counts_loses_and_repeats_nothing(lengths, seed):
    total = sum(lengths)
    dataset = ArrayDataset(np.arange(total), np.arange(total) * 2)
    parts = random_split(dataset, lengths, seed)
    assert [len(part) for part in parts] == lengths
    together = np.concatenate([part.inputs for part in parts])
    assert sorted(together.tolist()) == list(range(total))
    for part in parts:
        np.testing.assert_array_equal(part.targets, part.inputs * 2)


@given(st.integers(0, 200), st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_a_split_by_fractions_is_pytorchs(total, weights):
    fractions = [weight / sum(weights) for weight in weights]
    lengths = [
        len(part) for part in random_split(ArrayDataset(np.arange(total), np.arange(total)), fractions)
    ]
    assert sum(lengths) == total
    assert all(abs(length - total * fraction) <= 1 for length, fraction in zip(lengths, fractions))
    assert lengths == sorted(lengths, reverse=True) or fractions != sorted(fractions, reverse=True)


def test_fractions_round_as_in_pytorch(torch):
    for total, fractions in (
        (10, [0.35, 0.35, 0.3]),
        (7, [0.5, 0.5]),
        (11, [0.25] * 4),
        (100, [0.333, 0.333, 0.334]),
    ):
        ours = random_split(ArrayDataset(np.arange(total), np.arange(total)), fractions)
        theirs = torch.utils.data.random_split(range(total), fractions)
        assert [len(part) for part in ours] == [len(part) for part in theirs]


@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=60),
    st.lists(st.integers(1, 9), min_size=2, max_size=3),
    st.integers(0, 99),
)
def test_a_stratified_split_shares_every_class(labels, weights, seed):
    labels = np.array(labels)
    dataset = ArrayDataset(np.arange(len(labels)), labels)
    parts = random_split(dataset, [weight / sum(weights) for weight in weights], seed, stratified=True)
    assert sorted(np.concatenate([part.inputs for part in parts]).tolist()) == list(range(len(labels)))
    for part in parts:
        np.testing.assert_array_equal(part.targets, labels[part.inputs])
        for label in np.unique(labels):
            expected = np.count_nonzero(labels == label) * len(part) / len(labels)
            assert abs(np.count_nonzero(part.targets == label) - expected) < len(parts)


def test_large_classes_are_shared_to_within_a_sample(rng):
    labels = rng.permutation(np.repeat([0, 1, 2], [100, 250, 650]))
    dataset = ArrayDataset(np.arange(1000), labels)
    first, second = random_split(dataset, [0.9, 0.1], seed=1, stratified=True)
    assert abs(np.bincount(second.targets) - [10, 25, 65]).max() <= 1
    assert 50 < np.count_nonzero(np.diff(first.targets)) < 900  # mixed, not class by class
    again, other = (random_split(dataset, [0.9, 0.1], seed=seed, stratified=True)[1] for seed in (1, 2))
    assert again.inputs.tolist() == second.inputs.tolist() != other.inputs.tolist()


def test_only_labels_can_be_stratified():
    for targets in (np.zeros(4), np.zeros((4, 1), int)):
        with pytest.raises(ArgumentError, match="integer labels"):
            random_split(ArrayDataset(np.arange(4), targets), [2, 2], stratified=True)


def test_names_of_features_must_fit(dataset):
    named = ArrayDataset(dataset.inputs, dataset.targets, features=["width", "height"], name="plants")
    assert named.subset([3]).features == ("width", "height")
    for features in (["width"], ["a", "b", "c"]):
        with pytest.raises(DataError, match=r"plants: \d names of features, but inputs of shape \(10, 2\)"):
            ArrayDataset(dataset.inputs, dataset.targets, features=features, name="plants")


def test_a_split_is_random_and_repeatable(dataset):
    def first(seed: int) -> list[float]:
        return random_split(dataset, [5, 5], seed)[0].inputs[:, 0].tolist()

    assert first(1) == first(1)
    assert first(1) != first(2)
    assert first(1) != sorted(first(1))


@pytest.mark.parametrize(
    "lengths", [[5, 4], [11], [], [-1, 11], [0.5, 0.4], [0.9, 0.2], [5, 5.5], [1.5, -0.5]]
)
def test_lengths_that_do_not_add_up_are_refused(dataset, lengths):
    with pytest.raises(ArgumentError, match="10 samples"):
        random_split(dataset, lengths)
