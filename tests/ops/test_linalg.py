"""Products of matrices: against NumPy, and against PyTorch to second order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import ops
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from tests.oracle import compare_with_torch

# Every kind of pair that matmul takes: vectors, matrices, batches, broadcast batches, empty ones.
PAIRS = [
    ((3,), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3,)),
    ((2, 3), (3, 4)),
    ((3,), (5, 3, 4)),
    ((5, 2, 3), (3,)),
    ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 2, 3), (5, 3, 4)),
    ((1, 2, 3), (5, 3, 4)),
    ((6, 1, 2, 3), (5, 3, 4)),
    ((6, 5, 2, 3), (3,)),
    ((3,), (6, 5, 3, 4)),
    ((6, 5, 2, 3), (3, 4)),
    ((6, 1, 2, 3), (1, 5, 3, 1)),
    ((0, 3), (3, 4)),
    ((2, 0), (0, 4)),
    ((0,), (0,)),
    ((5, 0, 3), (3, 4)),
    ((0, 2, 3), (3, 4)),
    ((0, 2, 3), (1, 3, 4)),
    ((5, 2, 3), (3, 0)),
]


def drawn(rng, *shapes: tuple | None) -> list:
    return [None if shape is None else rng.standard_normal(shape) for shape in shapes]


@pytest.mark.parametrize("a, b", PAIRS)
def test_matmul_is_numpys(rng, a, b):
    a, b = drawn(rng, a, b)
    np.testing.assert_allclose(ops.matmul(mg.tensor(a), mg.tensor(b)).numpy(), np.matmul(a, b), atol=1e-12)
    np.testing.assert_allclose((mg.tensor(a) @ mg.tensor(b)).numpy(), np.matmul(a, b), atol=1e-12)


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("a, b", PAIRS)
def test_matmul_agrees_with_pytorch(torch, rng, a, b, dtype):
    compare_with_torch(ops.matmul, torch.matmul, drawn(rng, a, b), dtype=dtype)


@pytest.mark.oracle
@given(st.data())
def test_matmul_of_broadcast_batches_agrees_with_pytorch(data):
    import torch

    lengths = data.draw(st.lists(st.integers(1, 3), max_size=3))
    batch = [
        [1 if data.draw(st.booleans()) else n for n in lengths[data.draw(st.integers(0, len(lengths))) :]]
        for _ in "ab"
    ]
    n, k, m = data.draw(st.tuples(*[st.integers(1, 3)] * 3))
    arrays = drawn(np.random.default_rng(0), (*batch[0], n, k), (*batch[1], k, m))
    compare_with_torch(ops.matmul, torch.matmul, arrays)


@pytest.mark.parametrize(
    "layout", [lambda a: a.copy(order="F"), lambda a: a[::-1], lambda a: np.repeat(a, 2, 1)[:, ::2]]
)
def test_any_memory_layout_works(rng, layout):
    a, b = drawn(rng, (4, 3), (3, 5))
    x, w = mg.from_numpy(layout(a)).requires_grad_(), mg.from_numpy(layout(b)).requires_grad_()
    y = x @ w
    np.testing.assert_allclose(y.numpy(), layout(a) @ layout(b), atol=1e-12)
    gx, gw = mg.grad(y.sum(), [x, w])
    np.testing.assert_allclose(gx.numpy(), np.ones((4, 5)) @ layout(b).T, atol=1e-12)
    np.testing.assert_allclose(gw.numpy(), layout(a).T @ np.ones((4, 5)), atol=1e-12)


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8"])
def test_integers_stay_integers(rng, dtype):
    a, b = (rng.integers(0, 5, shape).astype(dtype) for shape in ((2, 2, 3), (3, 4)))
    y = mg.tensor(a) @ mg.tensor(b)
    assert str(y.dtype) == dtype
    assert np.array_equal(y.numpy(), a @ b)


def test_half_precision_is_computed_in_float32():
    a = mg.ones(1, 4096).half()
    assert (a @ a.T).item() == 4096  # float16 itself would stop counting at 2048
    assert (a.bfloat16() @ a.T.bfloat16()).item() == 4096


def test_each_operand_is_kept_only_for_the_others_gradient(rng):
    a, b = (mg.tensor(x) for x in drawn(rng, (2, 3), (3, 4)))
    assert (a.requires_grad_() @ b).grad_fn.kept_bytes == b.nbytes
    assert (a.detach() @ b.requires_grad_()).grad_fn.kept_bytes == a.nbytes


# ---------------------------------------------------------------- linear and its kin


LINEAR = [
    ((5, 3), (4, 3), (4,)),
    ((5, 3), (4, 3), None),
    ((2, 5, 3), (4, 3), (4,)),
    ((2, 1, 5, 3), (1, 3), (1,)),
    ((3,), (4, 3), (4,)),
    ((0, 3), (4, 3), (4,)),
    ((5, 3), (3,), None),
    ((2, 5, 3), (3,), ()),
    ((3,), (3,), ()),
    ((5, 0), (4, 0), (4,)),
]


@pytest.mark.parametrize("x, w, b", LINEAR)
def test_linear_is_its_formula(rng, x, w, b):
    x, w, b = drawn(rng, x, w, b)
    y = ops.linear(mg.tensor(x), mg.tensor(w), None if b is None else mg.tensor(b))
    np.testing.assert_allclose(y.numpy(), x @ w.T + (0 if b is None else b), atol=1e-12)


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("x, w, b", LINEAR)
def test_linear_agrees_with_pytorch(torch, rng, x, w, b, dtype):
    compare_with_torch(ops.linear, torch.nn.functional.linear, drawn(rng, x, w, b), dtype=dtype)


# name: (shapes of the operands, further arguments)
NAMED: dict[str, list[tuple[list[tuple], dict[str, Any]]]] = {
    "mm": [([(2, 3), (3, 4)], {}), ([(0, 3), (3, 4)], {})],
    "bmm": [([(5, 2, 3), (5, 3, 4)], {}), ([(0, 2, 3), (0, 3, 4)], {})],
    "mv": [([(2, 3), (3,)], {})],
    "dot": [([(3,), (3,)], {}), ([(0,), (0,)], {})],
    "inner": [([(3,), (3,)], {}), ([(2, 3), (4, 5, 3)], {}), ([(), (2, 3)], {}), ([(3,), (2, 3)], {})],
    "outer": [([(3,), (2,)], {}), ([(0,), (2,)], {})],
    "addmm": [([(2, 4), (2, 3), (3, 4)], {}), ([(4,), (2, 3), (3, 4)], {"beta": 0.5, "alpha": -2})],
    "addmv": [([(2,), (2, 3), (3,)], {"beta": 2}), ([(), (2, 3), (3,)], {"alpha": 3.5})],
    "baddbmm": [
        ([(5, 2, 4), (5, 2, 3), (5, 3, 4)], {"beta": 0.5}),
        ([(1, 4), (5, 2, 3), (5, 3, 4)], {"alpha": 2}),
    ],
    "addbmm": [([(2, 4), (5, 2, 3), (5, 3, 4)], {"beta": 0.5, "alpha": 2})],
    "tensordot": [
        ([(2, 3, 4), (3, 4, 5)], {}),
        ([(2, 3), (4,)], {"dims": 0}),
        ([(2, 3, 4), (4, 3, 5)], {"dims": ([1, 2], [1, 0])}),
        ([(2, 3, 4), (2, 5)], {"dims": ([-3], [0])}),
        ([(2, 3), (2, 3)], {"dims": 0}),
    ],
}
CASES = [(name, shapes, how) for name, cases in NAMED.items() for shapes, how in cases]

NUMPYS = {
    "mm": np.matmul,
    "bmm": np.matmul,
    "mv": np.matmul,
    "dot": np.dot,
    "inner": np.inner,
    "outer": np.outer,
    "addmm": lambda x, a, b, beta=1, alpha=1: beta * x + alpha * (a @ b),
    "addmv": lambda x, a, b, beta=1, alpha=1: beta * x + alpha * (a @ b),
    "baddbmm": lambda x, a, b, beta=1, alpha=1: beta * x + alpha * (a @ b),
    "addbmm": lambda x, a, b, beta=1, alpha=1: beta * x + alpha * (a @ b).sum(0),
    "tensordot": lambda a, b, dims=2: np.tensordot(a, b, dims),
}


@pytest.mark.parametrize("name, shapes, how", CASES)
def test_named_products_are_numpys(rng, name, shapes, how):
    arrays = drawn(rng, *shapes)
    y = getattr(ops, name)(*map(mg.tensor, arrays), **how)
    np.testing.assert_allclose(y.numpy(), NUMPYS[name](*arrays, **how), atol=1e-12)


@pytest.mark.oracle
@pytest.mark.parametrize("name, shapes, how", CASES)
def test_named_products_agree_with_pytorch(torch, rng, name, shapes, how):
    theirs = getattr(torch, name)
    compare_with_torch(
        lambda *t: getattr(ops, name)(*t, **how), lambda *t: theirs(*t, **how), drawn(rng, *shapes)
    )


def test_with_beta_0_the_summand_is_not_looked_at():
    x, a = mg.full((2, 2), float("nan")), mg.ones(2, 2)
    assert np.array_equal(ops.addmm(x, a, a, beta=0).numpy(), [[2, 2], [2, 2]])


A, B = mg.ones(2, 3), mg.ones(4, 5)


@pytest.mark.parametrize(
    "call, error, said",
    [
        (lambda: A @ B, ShapeError, r"matmul: a \[2, 3\] and b \[4, 5\] do not fit"),
        (lambda: ops.matmul(A, mg.tensor(1.0)), ShapeError, r"a \[2, 3\] and b \[\].*0-dimensional"),
        (
            lambda: mg.ones(2, 2, 3) @ mg.ones(3, 3, 4),
            ShapeError,
            r"matmul\(float32\[2, 2, 3\], float32\[3, 3, 4\]\)",
        ),
        (lambda: A @ mg.ones(3, 4).double(), DtypeError, r"one dtype"),
        (lambda: A @ mg.ones(3, 4).long(), DtypeError, r"got float32\[2, 3\], int64\[3, 4\]"),
        (lambda: A.bool() @ A.bool().T, DtypeError, r"needs numbers"),
        (lambda: ops.mm(A, mg.ones(3)), ShapeError, r"mm: mat2 must be a matrix \(I, K\); got shape \[3\]"),
        (lambda: ops.bmm(mg.ones(2, 3, 4), mg.ones(1, 4, 5)), ShapeError, r"as many matrices each"),
        (lambda: ops.mv(A, A), ShapeError, r"mv: vec must be a vector"),
        (lambda: ops.dot(mg.ones(2), mg.ones(3)), ShapeError, r"do not fit"),
        (lambda: ops.inner(A, B), ShapeError, r"last lengths of x \[2, 3\] and other \[4, 5\]"),
        (lambda: ops.outer(A, mg.ones(3)), ShapeError, r"outer: x must be a vector"),
        (
            lambda: ops.addmm(mg.ones(3, 2, 4), A, mg.ones(3, 4)),
            ShapeError,
            r"x \[3, 2, 4\] does not broadcast.*\[2, 4\]",
        ),
        (
            lambda: ops.tensordot(A, B),
            ShapeError,
            r"dimensions \(0, 1\) of a \[2, 3\] and \(0, 1\) of b \[4, 5\]",
        ),
        (lambda: ops.tensordot(A, B, 3), ArgumentError, r"dims=3.*allowed: 0 to 2"),
        (lambda: ops.linear(A, B), ShapeError, r"linear: x \[2, 3\] and weight \[4, 5\] do not fit"),
        (
            lambda: ops.linear(A, mg.ones(4, 3), mg.ones(3)),
            ShapeError,
            r"bias must have shape \[4\].*got \[3\]",
        ),
        (lambda: ops.linear(A, mg.ones(4, 3).double()), DtypeError, r"one dtype"),
        (lambda: ops.linear([1.0], A), DtypeError, r"linear takes a tensor, not list"),
    ],
)
def test_what_does_not_fit_is_said(call, error, said):
    with pytest.raises(error, match=said):
        call()
