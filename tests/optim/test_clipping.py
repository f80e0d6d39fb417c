"""Clipping follows PyTorch's numbers, on a list of gradients as on one vector."""

from __future__ import annotations

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import minigrad as mg
from minigrad.errors import ArgumentError, NonFiniteError
from minigrad.nn.utils import clip_grad_norm_, clip_grad_value_, clip_grads_with_norm_, get_total_norm

SHAPES = [(3, 4), (), (0, 2), (20_000,), (5,)]


def _parameters(lib, gradients):
    """One parameter for each gradient, and one without."""
    parameters = [lib.tensor(np.zeros_like(g), requires_grad=True) for g in gradients]
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = lib.tensor(np.array(g))
    return [*parameters, lib.tensor([1.0], requires_grad=True)]


def _flat(parameters):
    return np.concatenate([np.array(p.grad.numpy()).ravel() for p in parameters if p.grad is not None])


@given(
    norm_type=st.sampled_from([1, 2, 2.0, 3, 0.5, math.inf]),
    max_norm=st.sampled_from([0, 0.3, 2.0, 500.0, 1e9]),
    seed=st.integers(0, 9),
    dtype=st.sampled_from([np.float64, np.float32]),
)
def test_norm_follows_pytorch(torch, norm_type, max_norm, seed, dtype):
    rng = np.random.default_rng(seed)
    shapes = [
        shape for shape in SHAPES if norm_type != math.inf or 0 not in shape
    ]  # where PyTorch has no maximum
    gradients = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    ours, theirs = _parameters(mg, gradients), _parameters(torch, gradients)
    norm = clip_grad_norm_(ours, max_norm, norm_type)
    expected = torch.nn.utils.clip_grad_norm_(theirs, max_norm, norm_type)
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    assert (norm.shape, norm.dtype) == ((), dtype)
    assert norm.item() == pytest.approx(expected.item(), rel=tolerance)
    np.testing.assert_allclose(_flat(ours), _flat(theirs), rtol=tolerance, atol=1e-12)
    assert ours[-1].grad is None


@given(value=st.sampled_from([0, 0.5, 10.0, math.inf]), seed=st.integers(0, 9))
def test_value_follows_pytorch(torch, value, seed):
    gradients = [np.random.default_rng(seed).standard_normal(shape) for shape in SHAPES]
    gradients[0][0, :3] = math.nan, math.inf, -math.inf
    ours, theirs = _parameters(mg, gradients), _parameters(torch, gradients)
    assert clip_grad_value_(iter(ours), value) is None
    torch.nn.utils.clip_grad_value_(theirs, value)
    np.testing.assert_array_equal(_flat(ours), _flat(theirs))


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_norms_that_are_not_finite_follow_pytorch(torch, bad):
    gradients = [np.array([1.0, bad]), np.ones(3)]
    ours, theirs = _parameters(mg, gradients), _parameters(torch, gradients)
    with pytest.raises(NonFiniteError, match=f"norm of order 2 is {bad}"):
        clip_grad_norm_(ours, 1.0, error_if_nonfinite=True)
    np.testing.assert_array_equal(_flat(ours), [1.0, bad, 1, 1, 1])
    assert str(clip_grad_norm_(ours, 1.0).item()) == str(bad)
    torch.nn.utils.clip_grad_norm_(theirs, 1.0)
    np.testing.assert_array_equal(_flat(ours), _flat(theirs))


def test_a_large_norm_does_not_overflow():
    """In float32 the squares would."""
    parameters = _parameters(mg, [np.full(4, 1e30, np.float32)])
    assert clip_grad_norm_(parameters, 1.0).item() == pytest.approx(2e30)
    np.testing.assert_allclose(_flat(parameters), 0.5, rtol=1e-6)


def test_an_infinite_bound_only_measures():
    parameters = _parameters(mg, [np.array([3.0, math.inf]), np.array([4.0])])
    assert clip_grad_norm_(parameters, math.inf).item() == math.inf
    assert _flat(parameters).tolist() == [3, math.inf, 4]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(dtype):
    p = mg.nn.Parameter(mg.zeros(300).to(dtype=dtype))
    p.grad = mg.full((300,), 1.5).to(dtype=dtype)
    norm = clip_grad_norm_(p, 1.0)
    assert (norm.dtype, p.grad.dtype) == (p.dtype, p.dtype)
    assert norm.item() == pytest.approx(1.5 * math.sqrt(300), rel=0.01)
    assert np.linalg.norm(p.grad.float().numpy()) == pytest.approx(1, rel=0.01)


def test_a_strided_gradient_and_one_that_was_recorded():
    w = mg.tensor(np.ones((2, 3)), requires_grad=True)
    (w**2).sum().backward(create_graph=True)
    clip_grad_norm_([w], 1.0)
    assert np.linalg.norm(w.grad.detach().numpy()) == pytest.approx(1, rel=1e-6)
    w.grad = mg.tensor(np.arange(6.0).reshape(3, 2)).T
    assert clip_grad_norm_(w, 1.0).item() == pytest.approx(math.sqrt(55))
    np.testing.assert_allclose(w.grad.numpy(), np.arange(6.0).reshape(3, 2).T / math.sqrt(55), rtol=1e-6)


def test_in_two_parts(rng):
    """Measured first, scaled later: the same as at once."""
    gradients = [rng.standard_normal(3), rng.standard_normal(2)]
    at_once, in_parts = _parameters(mg, gradients), _parameters(mg, gradients)
    clip_grad_norm_(at_once, 0.5)
    clip_grads_with_norm_(in_parts, 0.5, get_total_norm([p.grad for p in in_parts[:2]]))
    assert np.array_equal(_flat(at_once), _flat(in_parts))


def test_nothing_to_clip():
    w = mg.zeros(2, requires_grad=True)
    for parameters in ([], [w], w, iter([w])):
        assert clip_grad_norm_(parameters, 1.0).tolist() == 0
        clip_grad_value_(parameters, 1.0)
    assert get_total_norm([]).dtype == np.float32


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda w: clip_grad_norm_([w], -1), "max_norm must be"),
        (lambda w: clip_grad_norm_([w], math.nan), "max_norm must be"),
        (lambda w: clip_grad_norm_([w], 1, 0), "norm_type must be > 0"),
        (lambda w: clip_grad_value_([w], -1), "clip_value must be"),
        (lambda w: clip_grad_norm_(mg.nn.Linear(1, 1), 1), "model.parameters"),
        (lambda w: get_total_norm([1.0]), "not float"),
    ],
)
def test_clear_errors(call, message):
    w = mg.ones(2, requires_grad=True)
    w.sum().backward()
    with pytest.raises(ArgumentError, match=message):
        call(w)
    assert w.grad.tolist() == [1, 1]
