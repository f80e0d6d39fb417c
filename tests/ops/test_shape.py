"""reshape, permute, expand and their kin, flips and repetitions, triangles and diagonals: against NumPy and PyTorch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from tests.oracle import compare_with_torch


def numbered(*shape: int) -> np.ndarray:
    """An array whose elements are all different."""
    return np.arange(math.prod(shape), dtype=np.float64).reshape(shape)


# name: (shape of x, call on a tensor x of ours or of PyTorch's, the same on a NumPy array x)
SAME = {
    "reshape": ((2, 6), lambda x: x.reshape(3, 4), lambda x: x.reshape(3, 4)),
    "reshape, tuple": ((2, 6), lambda x: x.reshape((3, -1)), lambda x: x.reshape(3, 4)),
    "reshape to none": ((1, 1), lambda x: x.reshape(()), lambda x: x[0, 0]),
    "reshape of none": ((), lambda x: x.reshape(1, -1), lambda x: x[None, None]),
    "reshape of empty": ((0, 3), lambda x: x.reshape(-1, 6), lambda x: x.reshape(0, 6)),
    "view": ((2, 6), lambda x: x.view(-1), np.ravel),
    "flatten": ((2, 3, 4), lambda x: x.flatten(), np.ravel),
    "flatten some": ((2, 3, 4, 2), lambda x: x.flatten(1, -2), lambda x: x.reshape(2, 12, 2)),
    "flatten of none": ((), lambda x: x.flatten(), np.ravel),
    "ravel": ((2, 3), lambda x: x.ravel(), np.ravel),
    "unflatten": ((2, 12), lambda x: x.unflatten(1, (3, -1)), lambda x: x.reshape(2, 3, 4)),
    "unflatten of empty": ((0, 2), lambda x: x.unflatten(0, (0, 3)), lambda x: x.reshape(0, 3, 2)),
    "squeeze": ((1, 3, 1), lambda x: x.squeeze(), np.squeeze),
    "squeeze one": ((1, 3, 1), lambda x: x.squeeze(-1), lambda x: x[..., 0]),
    "squeeze long": ((1, 3, 1), lambda x: x.squeeze(1), lambda x: x),
    "squeeze several": ((1, 3, 1), lambda x: x.squeeze((0, 1)), lambda x: x[0]),
    "squeeze none": ((), lambda x: x.squeeze(0), lambda x: x),
    "unsqueeze": ((2, 3), lambda x: x.unsqueeze(1), lambda x: x[:, None]),
    "unsqueeze last": ((2, 3), lambda x: x.unsqueeze(-1), lambda x: x[..., None]),
    "unsqueeze none": ((), lambda x: x.unsqueeze(0), lambda x: x[None]),
    "permute": ((2, 3, 4), lambda x: x.permute(2, 0, 1), lambda x: x.transpose(2, 0, 1)),
    "permute, tuple": ((2, 3, 4), lambda x: x.permute((-1, 0, 1)), lambda x: x.transpose(2, 0, 1)),
    "permute none": ((), lambda x: x.permute(()), lambda x: x),
    "transpose": ((2, 3, 4), lambda x: x.transpose(0, -1), lambda x: x.swapaxes(0, 2)),
    "transpose none": ((), lambda x: x.transpose(0, -1), lambda x: x),
    "swapaxes": ((2, 3, 4), lambda x: x.swapaxes(1, 2), lambda x: x.swapaxes(1, 2)),
    "swapdims": ((2, 3, 4), lambda x: x.swapdims(1, 2), lambda x: x.swapaxes(1, 2)),
    "t": ((2, 3), lambda x: x.t(), np.transpose),
    "t of a vector": ((3,), lambda x: x.t(), lambda x: x),
    "T": ((2, 3), lambda x: x.T, np.transpose),
    "mT": ((2, 3, 4), lambda x: x.mT, lambda x: x.swapaxes(1, 2)),
    "movedim": ((2, 3, 4), lambda x: x.movedim(0, -1), lambda x: np.moveaxis(x, 0, -1)),
    "movedim several": (
        (2, 3, 4, 5),
        lambda x: x.movedim((3, 0), (0, 2)),
        lambda x: np.moveaxis(x, (3, 0), (0, 2)),
    ),
    "moveaxis": ((2, 3, 4), lambda x: x.moveaxis(2, 0), lambda x: np.moveaxis(x, 2, 0)),
    "expand": ((3, 1), lambda x: x.expand(2, -1, 4), lambda x: np.broadcast_to(x, (2, 3, 4))),
    "expand, tuple": ((1, 3), lambda x: x.expand((4, 3)), lambda x: np.broadcast_to(x, (4, 3))),
    "expand none": ((), lambda x: x.expand(2, 3), lambda x: np.broadcast_to(x, (2, 3))),
    "expand to empty": ((1, 3), lambda x: x.expand(0, 3), lambda x: np.broadcast_to(x, (0, 3))),
    "broadcast_to": ((3, 1), lambda x: x.broadcast_to((3, 2)), lambda x: np.broadcast_to(x, (3, 2))),
    "contiguous": ((2, 3), lambda x: x.T.contiguous(), np.transpose),
    "narrow": ((2, 5), lambda x: x.narrow(1, 1, 3), lambda x: x[:, 1:4]),
    "narrow from the end": ((2, 5), lambda x: x.narrow(-1, -2, 1), lambda x: x[:, -2:-1]),
    "select": ((2, 5), lambda x: x.select(1, -1), lambda x: x[:, -1]),
    "flip": ((2, 3, 2), lambda x: x.flip(0, 2), lambda x: np.flip(x, (0, 2))),
    "flip, tuple": ((2, 3), lambda x: x.flip((-1,)), lambda x: np.flip(x, 1)),
    "flip nothing": ((2, 3), lambda x: x.flip(()), lambda x: x),
    "roll": ((2, 3), lambda x: x.roll(2), lambda x: np.roll(x, 2)),
    "roll one": ((2, 3), lambda x: x.roll(-1, 1), lambda x: np.roll(x, -1, 1)),
    "roll several": ((3, 4), lambda x: x.roll((1, -6), (0, 1)), lambda x: np.roll(x, (1, -6), (0, 1))),
    "roll one twice": ((3, 4), lambda x: x.roll((1, 1), (0, 0)), lambda x: np.roll(x, 2, 0)),
    "roll empty": ((0, 4), lambda x: x.roll(1, 0), lambda x: x),
    "repeat": ((2, 3), lambda x: x.repeat(2, 1, 3), lambda x: np.tile(x, (2, 1, 3))),
    "repeat never": ((2, 3), lambda x: x.repeat((0, 2)), lambda x: np.tile(x, (0, 2))),
    "repeat none": ((), lambda x: x.repeat(3), lambda x: np.tile(x, 3)),
    "tile": ((2, 3), lambda x: x.tile(2), lambda x: np.tile(x, 2)),
    "tile more": ((3,), lambda x: x.tile((2, 2)), lambda x: np.tile(x, (2, 2))),
    "repeat_interleave": ((2, 3), lambda x: x.repeat_interleave(2, 1), lambda x: np.repeat(x, 2, 1)),
    "repeat_interleave all": ((2, 3), lambda x: x.repeat_interleave(2), lambda x: np.repeat(x, 2)),
    "repeat_interleave never": ((2, 3), lambda x: x.repeat_interleave(0, dim=0), lambda x: x[:0]),
    "tril": ((3, 4), lambda x: x.tril(), np.tril),
    "tril of each": ((2, 4, 3), lambda x: x.tril(-1), lambda x: np.tril(x, -1)),
    "triu": ((3, 4), lambda x: x.triu(diagonal=1), lambda x: np.triu(x, 1)),
    "triu of each": ((2, 4, 3), lambda x: x.triu(-2), lambda x: np.triu(x, -2)),
    "diagonal": ((3, 4), lambda x: x.diagonal(), np.diagonal),
    "diagonal of others": ((3, 2, 4), lambda x: x.diagonal(-1, 2, 0), lambda x: np.diagonal(x, -1, 2, 0)),
    "diagonal outside": ((3, 4), lambda x: x.diagonal(4), lambda x: np.zeros(0)),
    "diag of a vector": ((3,), lambda x: x.diag(-1), lambda x: np.diag(x, -1)),
    "diag of a matrix": ((3, 2), lambda x: x.diag(1), lambda x: np.diag(x, 1)),
    "diag_embed": ((2, 3), lambda x: x.diag_embed(), lambda x: np.stack([np.diag(row) for row in x])),
}


@pytest.mark.parametrize("name", SAME)
def test_like_numpy(name):
    shape, ours, expected = SAME[name]
    x = numbered(*shape)
    y = ours(mg.tensor(x))
    np.testing.assert_array_equal(y.numpy(), expected(x), strict=True)
    assert isinstance(y.array, np.ndarray)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", SAME)
def test_like_pytorch(torch, rng, name, dtype):
    shape, call, _ = SAME[name]
    compare_with_torch(call, call, [rng.standard_normal(shape)], dtype=dtype)


@pytest.mark.parametrize("name", [name for name in SAME if "none" not in name and "vector" not in name])
def test_any_layout_and_dtype(name):
    shape, ours, expected = SAME[name]
    columns = np.asfortranarray(numbered(*shape))
    np.testing.assert_array_equal(ours(mg.from_numpy(columns)).numpy(), expected(columns))
    for dtype in ("int32", "bool", "float16", "bfloat16"):
        x = mg.tensor(numbered(*shape), dtype=dtype)
        y = ours(x)
        assert y.dtype == x.dtype
        np.testing.assert_array_equal(y.numpy(), expected(x.numpy()))


# Functions that PyTorch has no method for, or that take several tensors
FUNCTIONS = {
    "atleast_1d": ([()], lambda lib, x: lib.atleast_1d(x)),
    "atleast_2d": ([(3,)], lambda lib, x: lib.atleast_2d(x)),
    "atleast_3d": ([(3,)], lambda lib, x: lib.atleast_3d(x)),
    "atleast_3d of several": ([(3,), ()], lambda lib, *xs: lib.atleast_3d(*xs)),
    "atleast_1d of a list": ([(), (2,)], lambda lib, *xs: lib.atleast_1d(xs)),
    "named": (
        [(2, 3)],
        lambda lib, x: lib.tile(
            lib.flip(lib.permute(lib.reshape(x, shape=(3, 2)), dims=(1, 0)), dims=(1,)), dims=(2,)
        ),
    ),
    "atleast_3d of a matrix": ([(3, 2)], lambda lib, x: lib.atleast_3d(x)),
    "broadcast_tensors": ([(3, 1), (2,), ()], lambda lib, *xs: lib.broadcast_tensors(*xs)),
    "reshape_as": ([(2, 3), (3, 2)], lambda lib, x, other: x.reshape_as(other) * other),
    "view_as": ([(2, 3), (3, 2)], lambda lib, x, other: x.view_as(other) * other),
    "expand_as": ([(1, 3), (2, 3)], lambda lib, x, other: x.expand_as(other) * other),
    "diag_embed": ([(2, 3)], lambda lib, x: lib.diag_embed(x, 1, 0, 2)),
    "diag_embed below": ([(2, 2, 3)], lambda lib, x: lib.diag_embed(x, offset=-2)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_like_pytorch(torch, rng, name):
    shapes, call = FUNCTIONS[name]
    arrays = [rng.standard_normal(s) for s in shapes]
    compare_with_torch(lambda *xs: call(mg, *xs), lambda *xs: call(torch, *xs), arrays)


def test_repeat_interleave_by_counts(torch, rng):
    x, counts = rng.standard_normal((3, 2)), np.array([2, 0, 3])
    expected = np.repeat(x, counts, axis=0)
    np.testing.assert_array_equal(mg.repeat_interleave(mg.tensor(x), mg.tensor(counts), 0).numpy(), expected)
    compare_with_torch(
        lambda x: mg.repeat_interleave(x, mg.tensor(counts), dim=0),
        lambda x: torch.repeat_interleave(x, torch.tensor(counts), dim=0),
        [x],
    )


# ---------------------------------------------------------------- any shape

lengths = st.lists(st.integers(0, 4), max_size=5)


@given(lengths, st.randoms(use_true_random=False))
def test_permute_and_back(shape, random):
    x = numbered(*shape)
    order = random.sample(range(len(shape)), len(shape))
    y = mg.tensor(x).permute([d - len(shape) if random.random() < 0.5 else d for d in order])
    np.testing.assert_array_equal(y.numpy(), x.transpose(order), strict=True)
    np.testing.assert_array_equal(y.permute(np.argsort(order).tolist()).numpy(), x)


@given(lengths.filter(len), st.data())
def test_flatten_and_unflatten(shape, data):
    start = data.draw(st.integers(0, len(shape) - 1))
    end = data.draw(st.integers(start, len(shape) - 1))
    x = mg.tensor(numbered(*shape))
    y = x.flatten(start, end - len(shape))
    assert y.shape == (*shape[:start], math.prod(shape[start : end + 1]), *shape[end + 1 :])
    assert y.unflatten(start, shape[start : end + 1]).tolist() == x.tolist()


@given(st.lists(st.integers(1, 3), max_size=4), st.data())
def test_expand_and_sum_back(shape, data):
    own = [1 if data.draw(st.booleans()) else n for n in shape]
    lead = data.draw(st.lists(st.integers(0, 3), max_size=2))
    x = mg.tensor(numbered(*own), requires_grad=True)
    y = x.expand(
        *lead, *[-1 if a == n and data.draw(st.booleans()) else n for a, n in zip(own, shape, strict=True)]
    )
    np.testing.assert_array_equal(y.numpy(), np.broadcast_to(x.numpy(), (*lead, *shape)))
    (g,) = mg.grad(y, x, mg.tensor(np.ones(y.shape)))
    assert (g.numpy() == math.prod([*lead, *shape]) // max(math.prod(own), 1)).all()


# ---------------------------------------------------------------- memory

VIEWS = [
    "reshape",
    "view",
    "flatten",
    "squeeze",
    "unsqueeze",
    "permute",
    "transpose",
    "T",
    "expand",
    "narrow",
    "select",
    "diagonal",
]


@pytest.mark.parametrize("name", VIEWS)
def test_views_share_memory(name):
    shape, call, _ = SAME[name]
    x = mg.tensor(numbered(*shape))
    assert np.may_share_memory(call(x).numpy(), x.numpy())
    assert call(x)._storage is x._storage


@pytest.mark.parametrize("name", ["flip", "roll", "repeat", "tril"])
def test_copies_do_not(name):
    shape, call, _ = SAME[name]
    x = mg.tensor(numbered(*shape))
    assert not np.may_share_memory(call(x).numpy(), x.numpy())


def test_contiguous_copies_only_if_needed():
    x = mg.tensor(numbered(2, 3))
    assert x.contiguous() is x
    assert x.T.contiguous().array.flags.c_contiguous


def test_view_copies_where_memory_forbids_a_view():
    assert mg.tensor(numbered(2, 3)).T.view(-1).tolist() == [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]


# ---------------------------------------------------------------- what is refused

X = mg.zeros(2, 3)
REFUSED = {
    "reshape": (lambda: X.reshape(4, 2), ShapeError, r"cannot reshape \[2, 3\], 6 elements, to \[4, 2\]"),
    "reshape -1": (lambda: X.reshape(4, -1), ShapeError, r"6 elements, to \[4, -1\]"),
    "reshape two": (lambda: X.reshape(-1, -1), ShapeError, "one may be -1"),
    "reshape -2": (lambda: X.reshape(-2, 3), ShapeError, "lengths are 0 or more"),
    "reshape ambiguous": (lambda: mg.zeros(0).reshape(-1, 0), ShapeError, r"to \[-1, 0\]"),
    "reshape float": (lambda: X.reshape(2.0, 3), DtypeError, "shape must be an int, not float 2.0"),
    "view dtype": (lambda: X.view(mg.float64), DtypeError, r"convert them with x.to\(dtype\)"),
    "flatten": (lambda: X.flatten(1, 0), ArgumentError, "start_dim 1 comes after end_dim 0"),
    "unflatten": (
        lambda: X.unflatten(1, (2, 2)),
        ShapeError,
        r"dimension 1 of shape \[2, 3\], of length 3, into \[2, 2\]",
    ),
    "unflatten none": (
        lambda: mg.tensor(1.0).unflatten(0, (1,)),
        ShapeError,
        "needs a tensor with dimensions",
    ),
    "squeeze": (
        lambda: X.squeeze(2),
        ArgumentError,
        r"dim 2 is out of range for a tensor of shape \[2, 3\]; allowed: -2 to 1",
    ),
    "squeeze twice": (
        lambda: X.squeeze((0, -2)),
        ArgumentError,
        r"\(0, -2\) names a dimension of shape \[2, 3\] twice",
    ),
    "unsqueeze": (lambda: X.unsqueeze(3), ArgumentError, "allowed: -3 to 2"),
    "permute few": (lambda: X.permute(0), ShapeError, r"all 2 dimensions of shape \[2, 3\], got \[0\]"),
    "permute twice": (lambda: X.permute(0, 0), ArgumentError, "twice"),
    "transpose": (lambda: X.transpose(0, 2), ArgumentError, "dim1 2 is out of range"),
    "t": (lambda: mg.zeros(1, 2, 3).t(), ShapeError, r"at most 2 dimensions, not shape \[1, 2, 3\]"),
    "movedim": (lambda: X.movedim(0, (0, 1)), ArgumentError, "differ in number"),
    "expand": (lambda: X.expand(2, 4), ShapeError, r"cannot expand \[2, 3\] to \[2, 4\]"),
    "expand few": (lambda: X.expand(3), ShapeError, r"cannot expand \[2, 3\] to \[3\]"),
    "expand new": (lambda: X.expand(-1, 2, 3), ShapeError, r"to \[-1, 2, 3\]"),
    "broadcast": (
        lambda: mg.broadcast_tensors(X, mg.zeros(2)),
        ShapeError,
        r"shapes \[2, 3\], \[2\] do not broadcast",
    ),
    "narrow": (
        lambda: X.narrow(1, 2, 2),
        ArgumentError,
        r"start 2 and length 2 do not lie within dimension 1 of shape \[2, 3\]",
    ),
    "select": (lambda: X.select(1, 3), ArgumentError, "index 3 is out of range for dimension 1"),
    "flip": (lambda: X.flip(0, 0), ArgumentError, "twice"),
    "roll nothing": (lambda: X.roll(()), ArgumentError, "as many, at least one"),
    "roll": (lambda: X.roll((1, 2), 0), ArgumentError, r"shifts \(1, 2\) and dims 0 must be as many"),
    "repeat": (lambda: X.repeat(2), ShapeError, r"needs 2 or more numbers, none negative, not \[2\]"),
    "repeat_interleave": (lambda: X.repeat_interleave(-1), ArgumentError, "not be negative, got -1"),
    "repeat_interleave counts": (
        lambda: X.repeat_interleave(mg.tensor([1, 2, 3]), 0),
        ArgumentError,
        r"2 counts.*int64\[3\]",
    ),
    "tril": (lambda: mg.zeros(3).tril(), ShapeError, r"tril needs 2 dimensions or more, not shape \[3\]"),
    "diagonal": (lambda: X.diagonal(0, 1, 1), ArgumentError, "twice"),
    "diagonal of a vector": (lambda: mg.zeros(3).diagonal(), ShapeError, "diagonal needs 2 dimensions"),
    "diag": (lambda: mg.zeros(1, 2, 3).diag(), ShapeError, r"a vector or a matrix, not shape \[1, 2, 3\]"),
    "diag_embed": (lambda: mg.diag_embed(mg.tensor(1.0)), ShapeError, "with dimensions"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name):
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        call()


def test_lengths_may_be_numpy_integers_or_tensors() -> None:
    shape: Any = (np.int64(3), mg.tensor(2))
    assert X.reshape(shape).shape == (3, 2)
