"""Initialisers beyond the plain ones: distributions, bounds, structure."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

import minigrad as mg
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn import init


def same_distribution(numbers: np.ndarray, distribution) -> float:
    """The probability of a larger distance between samples and distribution (Kolmogorov-Smirnov)."""
    return stats.kstest(numbers.ravel(), distribution.cdf).pvalue


@pytest.mark.parametrize(
    ("mean", "std", "a", "b"),
    [
        (0.0, 1.0, -2.0, 2.0),
        (0.0, 0.02, -0.04, 0.04),
        (1.0, 2.0, -math.inf, 1.5),
        (0.0, 1.0, 5.0, math.inf),
        (0.0, 1.0, 9.0, 9.5),
        (-3.0, 1.0, -20.0, -13.0),
        (0.0, 1.0, -math.inf, math.inf),
        (0.0, 1.0, -0.001, 0.002),
        (0.0, 1e-3, -2.0, 2.0),
    ],
)
def test_truncated_normal_is_scipys(mean, std, a, b):
    tensor = mg.empty(100, 200, dtype="float64")
    assert init.trunc_normal_(tensor, mean, std, a, b) is tensor
    numbers = tensor.numpy()
    assert a <= numbers.min()
    assert numbers.max() <= b
    expected = stats.truncnorm((a - mean) / std, (b - mean) / std, mean, std)
    assert same_distribution(numbers, expected) > 0.01
    assert abs(numbers.mean() - expected.mean()) < 5 * expected.std() / math.sqrt(numbers.size)


def test_truncated_normal_keeps_its_bounds_in_single_precision():
    numbers = init.trunc_normal_(mg.empty(50_000), std=0.5, a=-0.1, b=0.1).numpy()
    assert np.abs(numbers).max() <= np.float32(0.1)


@pytest.mark.oracle
def test_truncated_normal_is_pytorchs(torch):
    torch.manual_seed(0)
    theirs = torch.nn.init.trunc_normal_(torch.empty(20_000), 0.5, 2.0, -1.0, 3.0).numpy()
    ours = init.trunc_normal_(mg.empty(20_000), 0.5, 2.0, -1.0, 3.0).numpy()
    assert stats.ks_2samp(ours, theirs).pvalue > 0.01


@pytest.mark.parametrize("shape", [(80, 50), (20, 10, 3, 5)])
def test_lecun(shape):
    fan_in = math.prod(shape[1:])
    normal = init.lecun_normal_(mg.empty(shape)).numpy()
    assert same_distribution(normal, stats.norm(0, 1 / math.sqrt(fan_in))) > 0.01
    bound = math.sqrt(3 / fan_in)
    uniform = init.lecun_uniform_(mg.empty(shape)).numpy()
    assert np.abs(uniform).max() <= np.float32(bound)
    assert same_distribution(uniform, stats.uniform(-bound, 2 * bound)) > 0.01


@pytest.mark.parametrize("shape", [(5, 5), (7, 4), (4, 7), (6, 2, 3, 2), (20, 2, 2)])
def test_orthogonal(shape):
    tensor = init.orthogonal_(mg.empty(shape, dtype="float64"), gain=1.5)
    matrix = tensor.numpy().reshape(shape[0], -1)
    rows, columns = matrix.shape
    product = matrix @ matrix.T if rows <= columns else matrix.T @ matrix
    np.testing.assert_allclose(product, 1.5**2 * np.eye(min(rows, columns)), atol=1e-12)


def test_orthogonal_matrices_are_uniform():
    """Without the signs' correction the diagonal of Q leans to one side; uniform ones have entries of mean 0."""
    entries = np.array([init.orthogonal_(mg.empty(3, 3)).numpy() for _ in range(2000)])
    assert np.abs(entries.mean(axis=0)).max() < 5 * math.sqrt(1 / 3 / 2000)
    np.testing.assert_allclose(entries.var(axis=0), 1 / 3, atol=0.04)
    assert abs((np.linalg.det(entries) > 0).mean() - 0.5) < 0.06


@pytest.mark.oracle
def test_structured_weights_are_pytorchs(torch):
    for shape in [(3, 3), (2, 5)]:
        expected = torch.nn.init.eye_(torch.empty(shape)).numpy()
        assert init.eye_(mg.randn(shape)).tolist() == expected.tolist()
    for shape, groups in [((4, 3, 5), 1), ((3, 4, 3, 2), 1), ((6, 2, 3, 3), 3), ((4, 3, 2, 2, 2), 2)]:
        expected = torch.nn.init.dirac_(torch.empty(shape), groups).numpy()
        assert init.dirac_(mg.randn(shape), groups).tolist() == expected.tolist()


def test_dirac_hands_channels_on():
    layer = mg.nn.Conv2d(3, 3, 3, padding=1, bias=False)
    init.dirac_(layer.weight)
    x = mg.randn(2, 3, 5, 5)
    assert layer(x).tolist() == x.tolist()


@pytest.mark.parametrize(("sparsity", "zeros"), [(0.0, 0), (0.31, 4), (0.5, 5), (1.0, 10)])
def test_sparse(sparsity, zeros):
    weight = init.sparse_(mg.empty(10, 4000), sparsity, std=0.3).numpy()
    assert set((weight == 0).sum(axis=0).tolist()) == {zeros}
    if zeros < 10:
        assert same_distribution(weight[weight != 0], stats.norm(0, 0.3)) > 0.01
        spread = (weight == 0).mean(axis=1)  # each row is dropped as often as the others
        np.testing.assert_allclose(spread, zeros / 10, atol=0.04)


def test_half_precision_and_parameters_are_filled():
    for fill in (init.orthogonal_, init.trunc_normal_, init.lecun_normal_, init.eye_):
        layer = mg.nn.Linear(4, 4, dtype="bfloat16")
        assert fill(layer.weight) is layer.weight
        assert layer.weight.dtype == mg.bfloat16
        assert layer.weight.requires_grad
        mg.manual_seed(0)
        first = fill(layer.weight).tolist()
        mg.manual_seed(0)
        assert fill(layer.weight).tolist() == first


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: init.trunc_normal_(mg.zeros(2), std=0),
            ArgumentError,
            "std > 0 and a < b, not 0, -2.0 and 2.0",
        ),
        (lambda: init.trunc_normal_(mg.zeros(2), a=1, b=1), ArgumentError, "a < b, not 1.0, 1 and 1"),
        (lambda: init.orthogonal_(mg.zeros(2)), ShapeError, r"at least 2 dimensions, not shape \[2\]"),
        (lambda: init.eye_(mg.zeros(2, 2, 2)), ShapeError, r"2 dimensions, not shape \[2, 2, 2\]"),
        (lambda: init.dirac_(mg.zeros(2, 2)), ShapeError, r"\(O, C, K, ...\), not shape \[2, 2\]"),
        (
            lambda: init.dirac_(mg.zeros(3, 2, 1), 2),
            ArgumentError,
            "3 channels cannot be divided into 2 groups",
        ),
        (lambda: init.sparse_(mg.zeros(2), 0.5), ShapeError, r"2 dimensions, not shape \[2\]"),
        (lambda: init.sparse_(mg.zeros(2, 2), 1.5), ArgumentError, "sparsity from 0 to 1 .* not 1.5"),
        (lambda: init.lecun_normal_(mg.zeros(2)), ShapeError, "at least 2 dimensions"),
    ],
)
def test_wrong_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
