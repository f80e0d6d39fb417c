"""gather, scatter and their kin, tables of vectors, selections by value: against loops, NumPy and PyTorch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from tests.oracle import compare_with_torch


def places(index: np.ndarray, dim: int):
    """(place in index, place it points to), one pair after the other."""
    for place in itertools.product(*map(range, index.shape)):
        yield place, (*place[:dim], index[place], *place[dim + 1 :])


@st.composite
def cases(draw):
    """x, dim, an index no longer than x but along dim, and a source at least as long as the index."""
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    dim = draw(st.integers(0, len(shape) - 1))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    length = [draw(st.integers(0, 6 if d == dim else n)) for d, n in enumerate(shape)]
    index = rng.integers(0, shape[dim], length).astype(draw(st.sampled_from([np.int64, np.int32])))
    src = rng.standard_normal([n + draw(st.integers(0, 1)) for n in length])
    return rng.standard_normal(shape), draw(st.sampled_from([dim, dim - len(shape)])), index, src


@given(cases())
def test_gather_by_loop(case):
    x, dim, index, _ = case
    expected = np.zeros(index.shape)
    for place, source in places(index, dim % x.ndim):
        expected[place] = x[source]
    np.testing.assert_array_equal(
        mg.gather(mg.tensor(x), dim, mg.tensor(index)).numpy(), expected, strict=True
    )


@given(cases())
def test_scatter_add_by_loop(case):
    x, dim, index, src = case
    expected = x.copy()
    for place, target in places(index, dim % x.ndim):
        expected[target] += src[place]
    y = mg.scatter_add(mg.tensor(x), dim, mg.tensor(index), mg.tensor(src))
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-14)
    np.testing.assert_array_equal(
        mg.scatter(mg.tensor(x), dim, mg.tensor(index), mg.tensor(src), reduce="add").numpy(), y.numpy()
    )


@given(cases())
def test_scatter_by_loop(case):
    x, dim, index, src = case
    expected, filled = x.copy(), x.copy()
    for place, target in places(index, dim % x.ndim):
        expected[target] = src[place]  # the last one stays, here and there
        filled[target] = 0.5
    y = mg.scatter(mg.tensor(x), dim, mg.tensor(index), mg.tensor(src))
    np.testing.assert_array_equal(y.numpy(), expected, strict=True)
    for y in (
        mg.scatter(mg.tensor(x), dim, mg.tensor(index), 0.5),
        mg.scatter(mg.tensor(x), dim, mg.tensor(index), value=0.5),
    ):
        np.testing.assert_array_equal(y.numpy(), filled, strict=True)


@given(case=cases())
@settings(max_examples=30)
def test_like_pytorch(torch, case):
    x, dim, index, src = case
    ours, theirs = mg.tensor(index), torch.tensor(index)
    compare_with_torch(lambda x: x.gather(dim, ours), lambda x: x.gather(dim, theirs), [x])
    used = src[tuple(map(slice, index.shape))]  # PyTorch differentiates a source of the index's shape only
    compare_with_torch(
        lambda x, s: x.scatter_add(dim, ours, s), lambda x, s: x.scatter_add(dim, theirs, s), [x, used]
    )
    compare_with_torch(lambda x: x.scatter(dim, ours, 1.5), lambda x: x.scatter(dim, theirs, 1.5), [x])


def test_scatter_of_a_source_like_pytorch(torch, rng):
    index = np.array([[2, 0], [1, 3]])  # nothing twice
    compare_with_torch(
        lambda x, s: mg.scatter(x, 1, mg.tensor(index), s),
        lambda x, s: torch.scatter(x, 1, torch.tensor(index), s),
        [rng.standard_normal((3, 4)), rng.standard_normal((2, 2))],
    )


def test_a_longer_source_gets_no_gradient_where_unused(rng):
    src = mg.tensor(rng.standard_normal((2, 3)), requires_grad=True)
    for op in (mg.scatter, mg.scatter_add):
        (g,) = mg.grad(
            op(mg.zeros(2, 4, dtype="float64"), 1, mg.tensor([[0, 3]]), src),
            src,
            mg.tensor(np.arange(8.0).reshape(2, 4)),
        )
        assert g.tolist() == [[0.0, 3.0, 0.0], [0.0, 0.0, 0.0]]


def test_without_dimensions_like_pytorch(torch):
    for lib in (mg, torch):
        one, zero = lib.tensor(3.0), lib.tensor(0)
        assert tuple(one.gather(0, lib.tensor([0, 0])).shape) == (2,)
        assert tuple(lib.tensor([3.0]).gather(0, zero).shape) == ()
        assert one.scatter(0, zero, 2.0).item() == 2
        assert one.scatter_add(0, zero, one).item() == 6
        assert tuple(one.index_select(0, zero).shape) == ()
        assert tuple(lib.tensor([3.0]).index_select(0, zero).shape) == (1,)
        assert one.index_add(0, zero, one).item() == 6


# ---------------------------------------------------------------- whole rows


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.data())
def test_index_select_and_add_like_numpy(shape, data):
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    index = np.array(data.draw(st.lists(st.integers(0, shape[dim] - 1), max_size=6)), np.int64)
    x = np.random.default_rng(0).standard_normal(shape)
    rows = mg.index_select(mg.tensor(x), dim, mg.tensor(index))
    np.testing.assert_array_equal(rows.numpy(), np.take(x, index, dim), strict=True)
    expected = np.moveaxis(x.copy(), dim, 0)
    for k, i in enumerate(index):
        expected[i] += 2 * np.moveaxis(rows.numpy(), dim, 0)[k]
    y = mg.index_add(mg.tensor(x), dim, mg.tensor(index), rows, alpha=2)
    np.testing.assert_allclose(y.numpy(), np.moveaxis(expected, 0, dim), rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_index_select_and_add_like_pytorch(torch, rng, dim, dtype):
    x, index = rng.standard_normal((3, 4, 2)), np.array([1, 0, 1, 1])
    ours, theirs = mg.tensor(index), torch.tensor(index)
    compare_with_torch(
        lambda x: x.index_select(dim, ours), lambda x: x.index_select(dim, theirs), [x], dtype=dtype
    )
    source = rng.standard_normal(np.take(x, index, dim).shape)
    compare_with_torch(
        lambda x, s: x.index_add(dim, ours, s, alpha=-0.5),
        lambda x, s: x.index_add(dim, theirs, s, alpha=-0.5),
        [x, source],
        dtype=dtype,
    )


@pytest.mark.parametrize("padding_idx", [None, 2, -5])
@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (0,)])
def test_embedding(torch, rng, shape, padding_idx):
    x, weight = rng.integers(0, 5, shape), rng.standard_normal((5, 3))
    np.testing.assert_array_equal(
        mg.embedding(mg.tensor(x), mg.tensor(weight), padding_idx).numpy(), weight[x]
    )
    for dtype in ("float64", "float32"):
        compare_with_torch(
            lambda w: mg.embedding(mg.tensor(x), w, padding_idx=padding_idx),
            lambda w: torch.nn.functional.embedding(torch.tensor(x), w, padding_idx=padding_idx),
            [weight],
            dtype=dtype,
            order=2 if x.size else 1,  # PyTorch's second derivative fails without indices
        )


def test_embedding_keeps_neither_the_table_nor_the_result():
    x = mg.tensor(np.zeros(100, np.int64))
    y = mg.embedding(x, mg.ones(1000, 64, requires_grad=True))
    assert y.grad_fn.kept_bytes == 800


# ---------------------------------------------------------------- take_along_dim


@pytest.mark.parametrize(
    "shapes", [((2, 3), (2, 4), 1), ((2, 3), (1, 3), 0), ((1, 3, 2), (4, 2, 2), 1), ((2, 3), (5,), None)]
)
def test_take_along_dim(torch, rng, shapes):
    shape, index_shape, dim = shapes
    x = rng.standard_normal(shape)
    n = x.size if dim is None else shape[dim]
    index = rng.integers(-n, n, index_shape)
    line, along = (x.reshape(-1), 0) if dim is None else (x, dim)
    expected = np.take_along_axis(line, index, along)
    np.testing.assert_array_equal(
        mg.take_along_dim(mg.tensor(x), mg.tensor(index), dim).numpy(), expected, strict=True
    )
    compare_with_torch(
        lambda x: mg.take_along_dim(x, mg.tensor(index), dim),
        lambda x: torch.take_along_dim(x, torch.tensor(index), dim),
        [x],
    )


# ---------------------------------------------------------------- by value


@pytest.mark.parametrize("shape", [(3, 4), (5,), (), (0, 2), (2, 2, 2)])
def test_nonzero(torch, rng, shape):
    x = rng.integers(0, 2, shape)
    np.testing.assert_array_equal(mg.nonzero(mg.tensor(x)).numpy(), np.argwhere(x), strict=True)
    np.testing.assert_array_equal(mg.argwhere(mg.tensor(x)).numpy(), np.argwhere(x), strict=True)
    found, expected = mg.nonzero(mg.tensor(x), as_tuple=True), torch.nonzero(torch.tensor(x), as_tuple=True)
    assert [v.tolist() for v in found] == [v.tolist() for v in expected]


@pytest.mark.parametrize(
    "shapes", [((2, 3), (2, 3)), ((2, 3), (3,)), ((3,), (2, 3)), ((2, 1), (3,)), ((), ())]
)
def test_masked_select(torch, rng, shapes):
    x, mask = rng.standard_normal(shapes[0]), rng.random(shapes[1]) < 0.6
    whole = np.broadcast_shapes(*shapes)
    expected = np.broadcast_to(x, whole)[np.broadcast_to(mask, whole)]
    np.testing.assert_array_equal(
        mg.masked_select(mg.tensor(x), mg.tensor(mask)).numpy(), expected, strict=True
    )
    compare_with_torch(
        lambda x: x.masked_select(mg.tensor(mask)), lambda x: x.masked_select(torch.tensor(mask)), [x]
    )


@pytest.mark.parametrize("classes", [-1, 4, 6])
@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
def test_one_hot(torch, rng, shape, classes):
    x = rng.integers(0, 4, shape)
    y = mg.one_hot(mg.tensor(x), classes)
    np.testing.assert_array_equal(
        y.numpy(), np.eye(classes if classes > 0 else x.max() + 1, dtype=np.int64)[x], strict=True
    )
    assert y.tolist() == torch.nn.functional.one_hot(torch.tensor(x), classes).tolist()


def test_one_hot_of_nothing():
    assert mg.one_hot(mg.zeros(0, dtype="int64"), 3).shape == (0, 3)


# ---------------------------------------------------------------- what is refused

X, INDEX = mg.zeros(2, 3), mg.tensor([[0, 1]])
TABLE = mg.zeros(3, 2)
REFUSED = {
    "gather range": (
        lambda: mg.gather(X, 1, mg.tensor([[3]])),
        ArgumentError,
        r"index 3 is out of range for dimension 1 .*\[2, 3\]; allowed: 0 to 2",
    ),
    "gather negative": (
        lambda: mg.gather(X, 1, mg.tensor([[-1]])),
        ArgumentError,
        "index -1 is out of range .* allowed: 0 to 2",
    ),
    "gather dtype": (lambda: mg.gather(X, 1, X), DtypeError, "int64 or int32, not float32"),
    "gather no tensor": (lambda: mg.gather(X, 1, [[0]]), DtypeError, "not list"),
    "gather dimensions": (
        lambda: mg.gather(X, 1, mg.tensor([0])),
        ShapeError,
        r"index of shape \[1\] must have the 2 dimensions of x",
    ),
    "gather long": (
        lambda: mg.gather(X, 1, mg.zeros(3, 1, dtype="int64")),
        ShapeError,
        "in all but dimension 1 not be longer",
    ),
    "gather dim": (lambda: mg.gather(X, 2, INDEX), ArgumentError, "dim 2 is out of range"),
    "scatter src": (
        lambda: mg.scatter(X, 1, INDEX, mg.zeros(1, 1)),
        ShapeError,
        r"src of shape \[1, 1\] .* index, of shape \[1, 2\]",
    ),
    "scatter dtype": (lambda: mg.scatter_add(X, 1, INDEX, INDEX), DtypeError, "x is float32, src is int64"),
    "scatter what": (lambda: mg.scatter(X, 1, INDEX), ArgumentError, "either src or value"),
    "scatter both": (lambda: mg.scatter(X, 1, INDEX, X, value=1.0), ArgumentError, "either src or value"),
    "scatter reduce": (
        lambda: mg.scatter(X, 1, INDEX, X, reduce="multiply"),
        ArgumentError,
        "None or 'add', not 'multiply'",
    ),
    "index_select": (
        lambda: mg.index_select(X, 1, INDEX),
        ShapeError,
        r"must be a vector, not of shape \[1, 2\]",
    ),
    "index_select range": (
        lambda: mg.index_select(X, 0, mg.tensor([2])),
        ArgumentError,
        "index 2 .* allowed: 0 to 1",
    ),
    "index_select one": (
        lambda: mg.index_select(mg.tensor(1.0), 0, mg.tensor([0, 0])),
        ShapeError,
        "no dimensions",
    ),
    "index_add": (
        lambda: mg.index_add(X, 0, mg.tensor([1]), mg.zeros(2, 3)),
        ShapeError,
        r"shape \[1, 3\], not \[2, 3\]",
    ),
    "index_add dtype": (lambda: mg.index_add(X, 0, mg.tensor([1]), INDEX), DtypeError, "source is int64"),
    "embedding range": (
        lambda: mg.embedding(mg.tensor([3]), TABLE),
        ArgumentError,
        r"index 3 .* shape \[3, 2\]; allowed: 0 to 2",
    ),
    "embedding negative": (lambda: mg.embedding(mg.tensor([-1]), TABLE), ArgumentError, "index -1"),
    "embedding dtype": (lambda: mg.embedding(X, TABLE), DtypeError, "int64 or int32, not float32"),
    "embedding table": (
        lambda: mg.embedding(INDEX, mg.zeros(3)),
        ShapeError,
        r"a table \(V, D\), not of shape \[3\]",
    ),
    "embedding padding": (lambda: mg.embedding(INDEX, TABLE, 3), ArgumentError, "padding_idx 3 names no row"),
    "take_along_dim": (
        lambda: mg.take_along_dim(X, mg.tensor([0]), 1),
        ShapeError,
        r"as many dimensions, got \[2, 3\] and \[1\]",
    ),
    "take_along_dim broadcast": (
        lambda: mg.take_along_dim(X, mg.zeros(3, 1, dtype="int64"), 1),
        ShapeError,
        "do not broadcast",
    ),
    "take_along_dim range": (
        lambda: mg.take_along_dim(X, mg.tensor([[-4]]), 1),
        ArgumentError,
        "index -4 .* allowed: -3 to 2",
    ),
    "masked_select": (lambda: mg.masked_select(X, INDEX), DtypeError, "mask must be bool, not int64"),
    "one_hot dtype": (lambda: mg.one_hot(X), DtypeError, "takes integers, not float32"),
    "one_hot range": (lambda: mg.one_hot(INDEX, 1), ArgumentError, "between 0 and 0; x holds 0 to 1"),
    "one_hot negative": (lambda: mg.one_hot(mg.tensor([-1]), 3), ArgumentError, "x holds -1 to -1"),
    "one_hot empty": (
        lambda: mg.one_hot(mg.zeros(0, dtype="int64")),
        ArgumentError,
        "number of classes must be given",
    ),
    "one_hot none": (
        lambda: mg.one_hot(mg.zeros(0, dtype="int64"), 0),
        ArgumentError,
        "1 class or more, not 0",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name):
    call, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        call()
