"""Convolution, batch norm, sum and activation in one go: the kernels against the composite's own definition in float64.

The definition is given the kernel's own y, so that both cut off the same numbers: one that rounding has moved over 0
would be a difference of the whole gradient at that place. Tolerance: 1e-5 of the largest value, which is what is asked
of the convolutions alone; backward 1e-4, since the sums that batch norm takes back from the gradient all but cancel.

Memory that is used again is filled with NaN first: a number that a kernel forgets to write shows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minigrad.backend import get_backend
from minigrad.backend.memory import memory
from minigrad.backend.native import convolution
from minigrad.backend.native.team import team
from minigrad.op import get_operation

XP = get_backend("cpu").xp
OPERATION, INFERENCE = get_operation("conv_bn_act"), get_operation("conv_bn_act_inference")
CONV = ("stride", "padding", "dilation", "groups")


def nhwc(a: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def single(a: np.ndarray | None, layout: Any = np.ascontiguousarray) -> Any:
    return None if a is None else layout(a.astype(np.float32))


def poison(*shapes: tuple) -> None:
    """Fill the blocks that arrays of these shapes may get with NaN."""
    for shape in shapes:
        held = [memory.empty(shape, np.float32) for _ in range(6)]
        for a in held:
            a.reshape(-1)[:] = np.nan


def assert_near(got: Any, expected: Any, rtol: float, what: str) -> None:
    assert (got is None) == (expected is None), what
    if got is not None:
        assert got.shape == expected.shape, what
        worst, scale = np.abs(got - expected).max(), np.abs(expected).max()
        assert worst <= rtol * scale, f"{what}: {worst} of {scale}"  # NaN fails too


@st.composite
def cases(draw: Any) -> dict[str, Any]:
    kernel = draw(st.sampled_from([1, 2, 3, 3, 3, 5]))
    return {
        "N": draw(st.sampled_from([1, 3, 5, 19])),
        "C": draw(st.sampled_from([1, 3, 16, 20, 32, 48, 128])),
        "O": draw(st.sampled_from([16, 24, 32, 64, 128])),
        "size": (draw(st.integers(5, 12)), draw(st.integers(5, 12))),
        "kernel": kernel,
        "stride": draw(st.sampled_from([1, 1, 1, 2])),
        "padding": draw(st.integers(0, kernel // 2)),
        "activation": draw(st.sampled_from(["relu", "none"])),
        "residual": draw(st.booleans()),
        "affine": draw(st.booleans()),
        "direct": draw(st.booleans()),
        "last": draw(st.booleans()),
        "needs": draw(st.tuples(*[st.booleans()] * 5)),
        "threads": draw(st.integers(1, 3)),
    }


def case(**changes: Any) -> dict[str, Any]:
    usual = {
        "N": 5, "C": 16, "O": 16, "size": (12, 9), "kernel": 3, "stride": 1, "padding": 1, "activation": "relu",
        "residual": True, "affine": True, "direct": False, "last": True, "needs": (True,) * 5, "threads": 2,
    }  # fmt: skip
    return {**usual, **changes}


@settings(max_examples=60)
@given(cases())
@example(case())
@example(case(residual=False))  # then relu is undone by the kernel that goes back through the convolution
@example(case(N=40, C=32, O=32, size=(8, 8), activation="none"))
@example(case(C=64, O=64, size=(7, 7), direct=True))
@example(case(O=32, size=(8, 8), stride=2, residual=False))
@example(case(O=32, size=(8, 8), kernel=1, stride=2, padding=0, residual=False, activation="none"))
@example(case(N=3, C=128, O=128, size=(8, 8)))
@example(case(N=3, C=3, size=(9, 9), residual=False))
@example(case(last=False))
@example(case(needs=(True, False, True, True, True)))
@example(case(needs=(False, True, False, False, False)))
def test_kernels_equal_the_definition(c):
    rng = np.random.default_rng(0)
    N, C, O, K = c["N"], c["C"], c["O"], c["kernel"]
    conv = {"stride": (c["stride"],) * 2, "padding": (c["padding"],) * 2, "dilation": (1, 1), "groups": 1}
    how = {**conv, "eps": 1e-5, "activation": c["activation"]}
    layout = nhwc if c["last"] else np.ascontiguousarray
    x = rng.standard_normal((N, C, *c["size"])) + 0.5
    w = rng.standard_normal((O, C, K, K))
    gamma, beta = (rng.standard_normal(O), rng.standard_normal(O)) if c["affine"] else (None, None)
    shape = get_operation("conv2d").forward(XP, x, w, None, **conv).shape
    residual = rng.standard_normal(shape) if c["residual"] else None
    arrays = (x, w, gamma, beta, residual)
    # What the kernel sees, rounded, is what the definition gets
    singles = (single(x, layout), single(w), single(gamma), single(beta), single(residual, layout))
    x, w, gamma, beta, residual = (None if a is None else a.astype(np.float64) for a in singles)
    before = [None if a is None else a.copy() for a in singles]
    previous, team.size = team.size, c["threads"]
    try:
        poison(shape, x.shape)
        got = convolution.conv_bn_act_forward(XP, *singles, **how)
        if got is None:  # the definition runs then
            assert K == 1 or min(shape[2:]) < 16
            return
        expected = OPERATION.forward(XP, x, w, gamma, beta, residual, **how)
        for name, a, b in zip(("y", "z", "mean", "var"), got, expected, strict=True):
            assert_near(a, np.asarray(b), 2e-5, name)

        y, z, mean, var = got
        gy = single(rng.standard_normal(shape), layout)
        gmean, gvar = (rng.standard_normal(mean.shape) * c["direct"] for _ in range(2))
        needs = tuple(n and a is not None for n, a in zip(c["needs"], arrays, strict=True))
        poison(shape, x.shape)
        got = convolution.conv_bn_act_gradient(
            XP, (gy, None, gmean, gvar), *singles[:3], y, z, mean, var, x.shape, w.shape, needs, **how
        )
        wide = [a.astype(np.float64) for a in (y, *expected[1:])]
        expected = OPERATION.gradient_fn(
            XP, (gy.astype(np.float64), None, gmean, gvar), x, w, gamma, *wide, x.shape, w.shape, needs, **how
        )
        assert got is not None
        for i, name in enumerate(("x", "w", "gamma", "beta", "residual")):
            if needs[i]:
                assert_near(got[i], expected[i], 1e-4, f"gradient by {name}")
    finally:
        team.size = previous
    for a, b in zip(singles, before, strict=True):
        assert a is None or np.array_equal(a, b), "an input was changed"


@settings(max_examples=30)
@given(cases())
@example(case())
@example(case(C=128, O=128, size=(8, 8)))
@example(case(kernel=1, padding=0, stride=2))
def test_inference_equals_the_definition(c):
    rng = np.random.default_rng(0)
    O, K = c["O"], c["kernel"]
    conv = {"stride": (c["stride"],) * 2, "padding": (c["padding"],) * 2, "dilation": (1, 1), "groups": 1}
    how = {**conv, "eps": 1e-5, "activation": c["activation"]}
    layout = nhwc if c["last"] else np.ascontiguousarray
    x, w = (
        single(rng.standard_normal((c["N"], c["C"], *c["size"])), layout),
        single(rng.standard_normal((O, c["C"], K, K))),
    )
    mean, var = single(rng.standard_normal(O)), single(rng.uniform(0.1, 2, O))
    gamma, beta = (
        (single(rng.standard_normal(O)), single(rng.standard_normal(O))) if c["affine"] else (None, None)
    )
    shape = get_operation("conv2d").forward(XP, x, w, None, **conv).shape
    residual = single(rng.standard_normal(shape), layout) if c["residual"] else None
    arrays = (x, w, mean, var, gamma, beta, residual)
    poison(shape)
    got = convolution.conv_bn_act_inference_forward(XP, *arrays, **how)
    if got is not None:
        wide = [None if a is None else a.astype(np.float64) for a in arrays]
        assert_near(got, INFERENCE.forward(XP, *wide, **how), 1e-5, "y")


def test_poison_reaches_the_memory_that_kernels_get():
    poison((3, 40, 40, 16))
    assert np.isnan(memory.empty((3, 40, 40, 16), np.float32)).all()


@pytest.mark.parametrize("changes", [{"groups": 2}, {"dilation": (2, 2)}])
def test_other_convolutions_are_left_to_the_definition(rng, changes):
    x, w = (
        nhwc(rng.standard_normal((2, 16, 9, 9), np.float32)),
        rng.standard_normal((16, 16 // changes.get("groups", 1), 3, 3), np.float32),
    )
    how = {
        "stride": (1, 1),
        "padding": (1, 1),
        "dilation": (1, 1),
        "groups": 1,
        "eps": 1e-5,
        "activation": "relu",
        **changes,
    }
    assert convolution.conv_bn_act_forward(XP, x, w, **how) is None
