"""cat, stack, split, unbind and their kin: against NumPy and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from tests.oracle import compare_with_torch


def numbered(*shape: int) -> np.ndarray:
    return np.arange(int(np.prod(shape)), dtype=np.float64).reshape(shape)


# name: (shapes, call with the library and tensors, what NumPy gives)
JOINS = {
    "cat": ([(2, 3), (1, 3)], lambda lib, *x: lib.cat(x), np.concatenate),
    "cat last": ([(2, 3), (2, 1), (2, 2)], lambda lib, *x: lib.cat(x, -1), lambda x: np.concatenate(x, -1)),
    "cat one": ([(2, 3)], lambda lib, *x: lib.cat(x, dim=1), lambda x: x[0]),
    "cat with empty": ([(2, 0), (2, 3)], lambda lib, *x: lib.cat(x, 1), lambda x: x[1]),
    "cat with nothing": ([(0,), (2, 3), (0,)], lambda lib, *x: lib.cat(x, 1), lambda x: x[1]),
    "cat of nothing": ([(0,), (0,)], lambda lib, *x: lib.cat(x), np.concatenate),
    "concat": ([(2, 3), (2, 3)], lambda lib, *x: lib.concat(x, 1), lambda x: np.concatenate(x, 1)),
    "concatenate": ([(2, 3), (2, 3)], lambda lib, *x: lib.concatenate(x, 1), lambda x: np.concatenate(x, 1)),
    "stack": ([(2, 3)] * 3, lambda lib, *x: lib.stack(x), np.stack),
    "stack last": ([(2, 3)] * 3, lambda lib, *x: lib.stack(x, -1), lambda x: np.stack(x, -1)),
    "stack numbers": ([()] * 2, lambda lib, *x: lib.stack(x), np.stack),
    "hstack": ([(2, 3), (2, 1)], lambda lib, *x: lib.hstack(x), np.hstack),
    "hstack vectors": ([(2,), (), (3,)], lambda lib, *x: lib.hstack(x), np.hstack),
    "vstack": ([(2, 3), (3,)], lambda lib, *x: lib.vstack(x), np.vstack),
}


@pytest.mark.parametrize("name", JOINS)
def test_joins_like_numpy(name):
    shapes, call, expected = JOINS[name]
    arrays = [numbered(*s) + 10 * k for k, s in enumerate(shapes)]
    y = call(mg, *map(mg.tensor, arrays))
    np.testing.assert_array_equal(y.numpy(), expected(arrays), strict=True)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", JOINS)
def test_joins_like_pytorch(torch, rng, name, dtype):
    shapes, call, _ = JOINS[name]
    arrays = [rng.standard_normal(s) for s in shapes]
    compare_with_torch(lambda *x: call(mg, *x), lambda *x: call(torch, *x), arrays, dtype=dtype)


@pytest.mark.parametrize("join", ["cat", "stack"])
def test_dtypes_promote(torch, join):
    for a, b in [
        ("float32", "float64"),
        ("int64", "float32"),
        ("bool", "int32"),
        ("float16", "bfloat16"),
        ("int32", "float16"),
    ]:
        ours = getattr(mg, join)([mg.tensor([1, 0], dtype=a), mg.tensor([3, 4], dtype=b)])
        theirs = getattr(torch, join)(
            [torch.tensor([1, 0], dtype=getattr(torch, a)), torch.tensor([3, 4], dtype=getattr(torch, b))]
        )
        assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")
        assert ours.tolist() == theirs.tolist()


def test_promoted_gradients_return_to_their_dtypes():
    a, b = mg.ones(2, requires_grad=True), mg.ones(1, dtype="float64", requires_grad=True)
    ga, gb = mg.grad(mg.cat([a, b]), [a, b], mg.tensor([1.0, 2.0, 3.0], dtype="float64"))
    assert (ga.dtype, ga.tolist(), gb.dtype, gb.tolist()) == (a.dtype, [1, 2], b.dtype, [3])


def test_the_same_tensor_twice_gets_both_gradients():
    x = mg.ones(2, requires_grad=True)
    (g,) = mg.grad(mg.cat([x, x]), x, mg.tensor([1.0, 2.0, 3.0, 4.0]))
    assert g.tolist() == [4.0, 6.0]


# name: (shape, call on a tensor of either library, what NumPy gives)
PARTS = {
    "split": ((5, 2), lambda x: x.split(2), lambda x: [x[:2], x[2:4], x[4:]]),
    "split last": ((2, 3), lambda x: x.split(5, -1), lambda x: [x]),
    "split list": ((2, 6), lambda x: x.split([1, 0, 5], 1), lambda x: np.split(x, [1, 1], 1)),
    "split empty": ((0, 2), lambda x: x.split(3), lambda x: [x]),
    "chunk": ((7, 2), lambda x: x.chunk(3), lambda x: [x[:3], x[3:6], x[6:]]),
    "chunk few": ((5,), lambda x: x.chunk(4), lambda x: [x[:2], x[2:4], x[4:]]),
    "chunk empty": ((0, 2), lambda x: x.chunk(2), lambda x: [x, x]),
    "tensor_split": ((7, 2), lambda x: x.tensor_split(3), lambda x: np.array_split(x, 3)),
    "tensor_split at": ((2, 7), lambda x: x.tensor_split((2, -1), 1), lambda x: np.split(x, (2, -1), 1)),
    "tensor_split back": ((7,), lambda x: x.tensor_split([5, 2, 9]), lambda x: [x[:5], x[5:2], x[2:], x[7:]]),
    "unbind": ((3, 2), lambda x: x.unbind(), list),
    "unbind last": ((3, 2), lambda x: x.unbind(-1), lambda x: list(x.T)),
    "unbind one": ((1, 2), lambda x: x.unbind(), list),
    "unbind empty": ((0, 2), lambda x: x.unbind(), list),
    "iteration": ((3, 2), tuple, list),
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_like_numpy(name):
    shape, call, expected = PARTS[name]
    x = numbered(*shape)
    parts = call(t := mg.tensor(x))
    assert isinstance(parts, tuple)
    assert len(parts) == len(expected(x))
    for part, e in zip(parts, expected(x), strict=True):
        np.testing.assert_array_equal(part.numpy(), e, strict=True)
        assert part._storage is t._storage or not part.numel()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", PARTS)
def test_parts_like_pytorch(torch, rng, name, dtype):
    shape, call, _ = PARTS[name]
    compare_with_torch(call, call, [rng.standard_normal(shape)], dtype=dtype)


@pytest.mark.parametrize("name", [name for name in PARTS if "empty" not in name])
def test_only_one_part_is_used(torch, rng, name):
    shape, call, _ = PARTS[name]
    compare_with_torch(
        lambda x: call(x)[-1] * x.sum(), lambda x: call(x)[-1] * x.sum(), [rng.standard_normal(shape)]
    )


@given(st.lists(st.integers(0, 4), min_size=1, max_size=5), st.integers(0, 2))
def test_cat_undoes_split(sizes, dim):
    shape = [2, 3, 2]
    shape[dim] = sum(sizes)
    x = mg.tensor(numbered(*shape))
    parts = x.split(sizes, dim)
    assert [p.shape[dim] for p in parts] == sizes
    assert mg.cat(parts, dim).tolist() == x.tolist()


@given(st.integers(1, 4), st.integers(0, 2), st.integers(0, 2))
def test_unbind_undoes_stack(n, stacked, taken):
    arrays = [numbered(2, 3) + 10 * k for k in range(n)]
    y = mg.stack(list(map(mg.tensor, arrays)), stacked)
    for k, part in enumerate(y.unbind(taken)):
        np.testing.assert_array_equal(part.numpy(), np.take(np.stack(arrays, stacked), k, taken))


@pytest.mark.parametrize("indexing", ["ij", "xy"])
@pytest.mark.parametrize("shapes", [[(2,), (3,), (4,)], [(3,)], [(), (2,)], [(2,), (0,)]])
def test_meshgrid(torch, rng, shapes, indexing):
    arrays = [rng.standard_normal(s) for s in shapes]
    for ours, expected in zip(
        mg.meshgrid(*map(mg.tensor, arrays), indexing=indexing),
        np.meshgrid(*arrays, indexing=indexing),
        strict=True,
    ):
        np.testing.assert_array_equal(ours.numpy(), expected, strict=True)
    compare_with_torch(
        lambda *x: mg.meshgrid(*x, indexing=indexing),
        lambda *x: torch.meshgrid(*x, indexing=indexing),
        arrays,
    )


def test_tensor_split_at_a_tensor():
    assert [p.tolist() for p in mg.arange(4).tensor_split(mg.tensor([1, 3]))] == [[0], [1, 2], [3]]


def test_meshgrid_takes_a_list():
    assert [g.shape for g in mg.meshgrid([mg.zeros(2), mg.zeros(3)])] == [(2, 3), (2, 3)]


X = mg.zeros(2, 3)
REFUSED = {
    "cat shapes": (
        lambda: mg.cat([X, mg.zeros(2, 4)]),
        ShapeError,
        r"cat along dim 0: shapes \[2, 3\], \[2, 4\] must",
    ),
    "cat dimensions": (lambda: mg.cat([X, mg.zeros(2)]), ShapeError, r"shapes \[2, 3\], \[2\]"),
    "cat numbers": (lambda: mg.cat([mg.tensor(1.0)]), ShapeError, r"shapes \[\] must have that dimension"),
    "cat dim": (
        lambda: mg.cat([X, X], 2),
        ArgumentError,
        r"dim 2 is out of range for a tensor of shape \[2, 3\]",
    ),
    "cat none": (lambda: mg.cat([]), ArgumentError, "at least one tensor"),
    "cat one": (lambda: mg.cat(X), DtypeError, "a list or tuple of tensors, not Tensor"),
    "cat number": (lambda: mg.cat([X, 1.0]), DtypeError, "takes tensors, not float 1.0"),
    "stack": (lambda: mg.stack([X, mg.zeros(3)]), ShapeError, r"tensors of one shape, got \[2, 3\], \[3\]"),
    "stack dim": (lambda: mg.stack([X, X], 3), ArgumentError, "allowed: -3 to 2"),
    "split sum": (
        lambda: X.split([1, 3], 1),
        ArgumentError,
        r"lengths \[1, 3\] must add up to 3, dimension 1 of shape \[2, 3\]",
    ),
    "split negative": (lambda: X.split([-1, 4], 1), ArgumentError, "must add up to 3"),
    "split zero": (lambda: X.split(0), ArgumentError, "length 1 or more, not 0"),
    "split number": (lambda: mg.tensor(1.0).split(1), ShapeError, "split needs a tensor with dimensions"),
    "chunk": (lambda: X.chunk(0), ArgumentError, "1 part or more, not 0"),
    "tensor_split": (lambda: X.tensor_split(0), ArgumentError, "1 part or more, not 0"),
    "unbind": (lambda: X.unbind(2), ArgumentError, "dim 2 is out of range"),
    "meshgrid": (lambda: mg.meshgrid(X, X), ShapeError, r"vectors, not shapes \[2, 3\], \[2, 3\]"),
    "meshgrid indexing": (lambda: mg.meshgrid(mg.zeros(2), indexing="yx"), ArgumentError, "not 'yx'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name):
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        call()
