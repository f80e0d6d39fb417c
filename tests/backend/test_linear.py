"""The kernels of fully connected layers, held to the plain definitions in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.backend import get_backend
from minigrad.backend.memory import memory
from minigrad.backend.native import linear
from minigrad.op import get_operation
from tests.backend.twins import same_with_any_threads

XP = get_backend("cpu").xp
SIZES = [
    (128, 784, 512),
    (1, 5, 3),
    (7, 33, 10),
    (130, 1030, 70),
    (64, 512, 256),
    (600, 40, 13),
    (3, 700, 1),
    (8, 16, 8),
]


@pytest.fixture(autouse=True)
def small_ones_too(monkeypatch):
    monkeypatch.setattr(linear, "_FEW", 0)


def close(got, expected, terms):
    """Rounding grows with the square root of the number of terms, at most."""
    tolerance = 1e-6 * max(1, terms**0.5 / 4) * max(np.abs(expected).max(), 1e-30)
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance)


def check(M, K, O, activation, bias, seed=0):
    rng = np.random.default_rng(seed)
    x, w, b, gy = (rng.standard_normal(s).astype(np.float32) for s in ((M, K), (O, K), (O,), (M, O)))
    b = b if bias else None
    memory.release()  # what is read before it is written comes from the system, not from the last call
    y = linear.linear_act_forward(XP, x, w, b, activation=activation)
    wide = [None if a is None else a.astype(np.float64) for a in (x, w, b)]
    if activation == "none":
        expected = get_operation("linear").forward(XP, *wide)
    else:
        expected = get_operation("linear_act").forward(XP, *wide, activation=activation)
    close(y, expected, K)
    needs = (True, True, bias)
    if activation == "none":
        found = linear.linear_gradient(XP, gy, x, w, x.shape, w.shape, needs)
    else:
        found = linear.linear_act_gradient(XP, gy, x, w, y, x.shape, w.shape, needs, activation=activation)
        gy = np.where(y > 0, gy, 0)
    plain = get_operation("linear").gradient_fn(
        XP, gy.astype(np.float64), wide[0], wide[1], x.shape, w.shape, needs
    )
    for got, exact, terms in zip(found, plain, (O, M, M), strict=True):
        if exact is None:
            assert got is None
        else:
            close(got, exact, terms)


@pytest.mark.parametrize("activation", ["none", "relu"])
@pytest.mark.parametrize("size", SIZES)
def test_products_are_those_of_the_definition(size, activation):
    check(*size, activation, bias=True)
    check(*size, activation, bias=False)


@given(
    st.integers(1, 80),
    st.integers(1, 80),
    st.integers(1, 80),
    st.sampled_from(["none", "relu"]),
    st.booleans(),
)
def test_products_of_any_size(M, K, O, activation, bias):
    check(M, K, O, activation, bias)


def test_sums_longer_than_a_panel_are_cut():
    check(600, 700, 620, "relu", bias=True)


@pytest.mark.parametrize("size", [(70, 100, 90), (33, 600, 40)])
def test_bits_do_not_depend_on_the_number_of_threads(rng, size):
    M, K, O = size
    x, w, gy = (rng.standard_normal(s).astype(np.float32) for s in ((M, K), (O, K), (M, O)))
    same_with_any_threads(
        lambda: (
            linear.linear_forward(XP, x, w, None),
            *linear.linear_gradient(XP, gy, x, w, x.shape, w.shape, (True, True, False))[:2],
        )
    )


def test_only_what_is_needed_is_computed(rng):
    x, w, gy = (rng.standard_normal(s).astype(np.float32) for s in ((40, 30), (20, 30), (40, 20)))
    both = linear.linear_gradient(XP, gy, x, w, x.shape, w.shape, (True, True, True))
    for i in range(3):
        needs = tuple(j == i for j in range(3))
        one = linear.linear_gradient(
            XP, gy, x if i == 1 else None, w if i == 0 else None, x.shape, w.shape, needs
        )
        assert [g is not None for g in one] == list(needs)
        np.testing.assert_array_equal(one[i], both[i])


def test_what_does_not_suit_is_declined(rng, monkeypatch):
    x, w = rng.standard_normal((8, 8)).astype(np.float32), rng.standard_normal((8, 8)).astype(np.float32)
    assert linear.linear_forward(XP, x.astype(np.float64), w.astype(np.float64), None) is None
    assert linear.linear_act_forward(XP, x, w, None, activation="tanh") is None
    monkeypatch.setattr(linear, "_FEW", 1 << 19)
    assert linear.linear_forward(XP, x, w, None) is None


@pytest.mark.parametrize("lead", [(), (5,), (3, 4)])
def test_leading_dimensions_and_other_layouts(rng, lead):
    x = mg.tensor(np.asfortranarray(rng.standard_normal((*lead, 96)).astype(np.float32)), requires_grad=True)
    w = mg.tensor(np.asfortranarray(rng.standard_normal((112, 96)).astype(np.float32)), requires_grad=True)
    y = mg.nn.functional.linear(x, w)
    assert y.shape == (*lead, 112)
    np.testing.assert_allclose(y.numpy(), x.numpy() @ w.numpy().T, rtol=1e-4, atol=1e-4)
    (y * y).sum().backward()
    g = 2 * y.numpy().reshape(-1, 112)
    np.testing.assert_allclose(x.grad.numpy().reshape(-1, 96), g @ w.numpy(), rtol=1e-3, atol=1e-2)
    np.testing.assert_allclose(w.grad.numpy(), g.T @ x.numpy().reshape(-1, 96), rtol=1e-3, atol=1e-2)


def test_nan_and_infinity_reach_the_results_that_see_them(rng):
    x, w = rng.standard_normal((16, 40)).astype(np.float32), rng.standard_normal((24, 40)).astype(np.float32)
    x[3, 7], w[5, 9] = np.nan, np.inf
    y = linear.linear_act_forward(XP, x, w, None, activation="relu")
    assert np.isnan(y[3]).all()
    others = np.delete(np.delete(y, 3, 0), 5, 1)
    assert np.isfinite(others).all()
    assert not np.isfinite(y[:, 5]).all()
