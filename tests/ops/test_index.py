"""x[key] and x[key] = value: against NumPy and PyTorch over made-up keys, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.errors import ArgumentError, DtypeError, GraphError, ShapeError
from tests.oracle import compare_with_torch


@st.composite
def shapes_and_keys(draw: Any) -> tuple[tuple[int, ...], tuple]:
    """A shape of up to four dimensions and a key that fits it: every kind of item, arrays that broadcast."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    common = draw(st.sampled_from([(2,), (3, 2), (0,), (1,)]))
    kinds = ["int", "slice", "slice", "all", "array", "array", "list", "mask", "none", "bool"]
    key: list[Any] = []
    dim = 0
    while dim < len(shape):
        n, kind = shape[dim], draw(st.sampled_from(kinds))
        if kind == "int":
            key.append(draw(st.integers(-n, n - 1)))
        elif kind == "slice":
            ends = st.none() | st.integers(-n - 1, n + 1)
            key.append(slice(draw(ends), draw(ends), draw(st.none() | st.integers(1, 3))))
        elif kind == "all":
            key.append(slice(None))
        elif kind in ("array", "list"):
            own = tuple(1 if draw(st.booleans()) else m for m in common)[
                draw(st.integers(0, len(common) - 1)) :
            ]
            array = rng.integers(-n, n, own)
            key.append(array.tolist() if kind == "list" and array.size else array)
        elif kind == "mask":
            width = draw(st.integers(1, min(2, len(shape) - dim)))
            mask = np.zeros(shape[dim : dim + width], bool)
            chosen = rng.permutation(mask.size)[: common[-1]] if draw(st.booleans()) else [0]
            mask.reshape(-1)[chosen if len(chosen) == common[-1] else [0]] = True
            key.append(mask)
            dim += width - 1
        elif kind == "none":
            key.append(None)
            dim -= 1
        elif kind == "bool" and common != (0,):
            key.append(True)
            dim -= 1
        else:
            dim -= 1
        dim += 1
        if len(key) > 6:
            break
    end = draw(st.integers(0, len(key)))
    if draw(st.booleans()):
        key[end:] = [Ellipsis]
    return shape, tuple(key)


def in_torch(torch: Any, key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple(in_torch(torch, k) for k in key)
    return (
        torch.tensor(key)
        if isinstance(key, np.ndarray)
        else torch.tensor(key)
        if isinstance(key, list)
        else key
    )


def as_tensors(key: Any) -> Any:
    return tuple(mg.tensor(k) if isinstance(k, np.ndarray) else k for k in key)


def numpy_agrees(key: tuple) -> bool:
    """NumPy counts an int beside arrays as an array of one, which moves dimensions to the front; PyTorch does not."""
    arrays = any(isinstance(k, (np.ndarray, list, bool)) for k in key)
    return not (arrays and any(isinstance(k, int) and not isinstance(k, bool) for k in key))


@given(shapes_and_keys())
@settings(max_examples=150)
def test_reads_what_numpy_reads(case):
    shape, key = case
    x = np.arange(float(np.prod(shape))).reshape(shape)
    assume(numpy_agrees(key))
    for ours in (key, as_tensors(key)):
        y = mg.tensor(x)[ours]
        np.testing.assert_array_equal(y.numpy(), x[key], strict=True)


@given(shapes_and_keys())
@settings(max_examples=150)
def test_writes_where_it_reads(case):
    shape, key = case
    x = mg.tensor(np.arange(np.prod(shape)).reshape(shape))
    places = x[key].numpy().copy()
    values = -1 - np.arange(places.size).reshape(places.shape)
    expected = x.numpy().copy().reshape(-1)
    expected[places.reshape(-1)] = values.reshape(-1)
    version = x._storage.version if x._storage else 0
    x[key] = mg.tensor(values)
    np.testing.assert_array_equal(x.numpy().reshape(-1), expected)
    assert x._storage.version == version + 1
    x[key] = 7
    assert (x.numpy().reshape(-1)[places.reshape(-1)] == 7).all()


@given(case=shapes_and_keys())
@settings(max_examples=150)
def test_reads_and_differentiates_like_pytorch(torch, case):
    shape, key = case
    x = np.random.default_rng(0).standard_normal(shape)
    theirs = in_torch(torch, key)
    compare_with_torch(lambda x: x[key], lambda x: x[theirs], [x])


@given(case=shapes_and_keys())
@settings(max_examples=60)
def test_writes_like_pytorch(torch, case):
    shape, key = case
    x, theirs = mg.zeros(*shape), torch.zeros(*shape)
    value = np.random.default_rng(0).standard_normal(x[key].shape[-1:]).astype(np.float32)
    x[key] = mg.tensor(value)
    places = torch.arange(theirs.numel()).reshape(shape)[in_torch(torch, key)]
    if len(set(places.reshape(-1).tolist())) == places.numel():  # else it is open which value stays
        theirs[in_torch(torch, key)] = torch.tensor(value)
        np.testing.assert_array_equal(x.numpy(), theirs.numpy())


def test_gradient_of_duplicates_adds_up(rng):
    x, weights = rng.standard_normal((5, 3)), rng.standard_normal((4, 3))
    index = np.array([1, -4, 0, 1])
    (g,) = mg.grad((t := mg.tensor(x, requires_grad=True))[index], t, mg.tensor(weights))
    expected = np.zeros((5, 3))
    for k, i in enumerate(index):
        expected[i] += weights[k]
    np.testing.assert_allclose(g.numpy(), expected, rtol=1e-15)


def test_layout_and_half_precision_of_the_gradient(rng):
    ones = mg.tensor(np.ones((2000, 2)), dtype="bfloat16")
    x = mg.tensor(rng.standard_normal((2, 3)).T, dtype="bfloat16", requires_grad=True)
    (g,) = mg.grad(x[np.zeros(2000, int)], x, ones)
    assert g.dtype == x.dtype
    assert g.tolist() == [[2000.0] * 2, [0.0] * 2, [0.0] * 2]  # bfloat16 itself would stop counting at 256


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32"])
def test_gradient_by_small_integers(dtype):
    x = mg.zeros(300, 2, requires_grad=True)
    index = np.array([127, 1, 127] if dtype == "uint8" else [-1, 127, -1]).astype(dtype)
    (g,) = mg.grad(x[index], x, mg.ones(3, 2))
    assert {i: row[0] for i, row in enumerate(g.tolist()) if row[0]} == {
        int(index[0]) % 300: 2.0,
        int(index[1]): 1.0,
    }


def test_views_share_memory_and_gathers_do_not():
    x = mg.arange(6).reshape(2, 3)
    x[0, 1:].fill_(9)
    assert x.tolist() == [[0, 9, 9], [3, 4, 5]]
    x[[0]].fill_(7)
    assert x.tolist() == [[0, 9, 9], [3, 4, 5]]


def test_only_the_indices_are_kept_for_backward():
    x = mg.ones(1000, 1000, requires_grad=True)
    assert x[3].grad_fn.kept_bytes == 0
    assert x[[3, 4]].grad_fn.kept_bytes == 16


def test_an_index_changed_after_the_call_is_seen():
    index, x = np.array([0, 1]), mg.ones(3, requires_grad=True)
    y = x[index].sum()
    index[0] = 2
    with pytest.raises(GraphError, match="changed in place"):
        y.backward()


def test_integers_of_every_kind_point():
    x = mg.arange(4)
    for one in (2, np.int64(2), np.array(2), mg.tensor(2), np.uint8(2), -2):
        assert x[one].shape == ()
        assert x[one].item() == 2
    assert x[mg.tensor(1) :].tolist() == [1, 2, 3]
    assert x[range(2)].tolist() == [0, 1]
    assert x[np.array([0, 3], np.uint8)].tolist() == [0, 3]
    assert x[[]].shape == (0,)
    assert x[np.bool_(True)].shape == (1, 4)


X = mg.zeros(2, 3, 4)
REFUSED = {
    "int": (
        5,
        ArgumentError,
        r"index 5 is out of range for dimension 0 of a tensor of shape \[2, 3, 4\]; allowed: -2 to 1",
    ),
    "negative": ((0, -4), ArgumentError, "index -4 is out of range for dimension 1 .* allowed: -3 to 2"),
    "array": ((slice(None), [0, 3]), ArgumentError, "index 3 is out of range for dimension 1"),
    "tensor": (np.array([[0, -7]]), ArgumentError, "index -7 is out of range for dimension 0"),
    "step": (slice(None, None, -1), ArgumentError, "step of a slice must be positive, not -1; mg.flip"),
    "zero step": (slice(None, None, 0), ArgumentError, "must be positive, not 0"),
    "too many": (
        (0, 0, 0, 0),
        ArgumentError,
        r"too many indices: the key points into 4 dimensions, .* \[2, 3, 4\] has 3",
    ),
    "ellipses": ((..., 0, ...), ArgumentError, "one ellipsis"),
    "mask": (
        np.ones((3, 4), bool),
        ShapeError,
        r"mask of shape \[3, 4\], beginning at dimension 0, .* shape \[2, 3, 4\]",
    ),
    "wide mask": (np.ones((2, 3, 4, 5), bool), ArgumentError, "points into 4 dimensions"),
    "apart": (([0, 1], [0, 1, 2]), ShapeError, r"index\(float32\[2, 3, 4\], int64\[2\], int64\[3\]\)"),
    "float": (1.0, DtypeError, "not of float 1.0"),
    "floats": (np.zeros(2), DtypeError, r"must be integer or bool, not float64 of shape \[2\]"),
    "word": ("a", DtypeError, "not of str 'a'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses_what_is_no_index(name):
    key, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        X[key]
    with pytest.raises(
        error, match=message if name != "apart" else r"cannot write 1 to x\[key\] for x of shape \[2, 3, 4\]"
    ):
        X[key] = 1


def test_an_empty_dimension_has_no_index():
    with pytest.raises(ArgumentError, match="allowed: none, it is empty"):
        mg.zeros(0, 2)[0]


def test_a_value_that_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match=r"cannot write float32\[5\] to x\[key\] for x of shape \[2, 3, 4\]"):
        X[0] = mg.ones(5)


# ---------------------------------------------------------------- index_put


PUTS = {
    "rows": ((4, 3), (np.array([0, 2]),), (2, 3)),
    "negative": ((4, 3), (np.array([0, -1, 1]),), (3, 3)),
    "one value": ((4, 3), (np.array([0, 2]), np.array([1, 1])), ()),
    "a mask": ((2, 3), (np.array([[True, False, True], [False, True, False]]),), (3,)),
    "apart": ((2, 3, 4), (np.array([[0], [1]]), None, np.array([0, 3])), (2, 2, 3)),
    "second": ((2, 3), (None, np.array([2, 0])), (1, 2)),
    "one": ((2, 3), (np.array(1),), (3,)),
}


@pytest.mark.parametrize("accumulate", [False, True])
@pytest.mark.parametrize("name", PUTS)
def test_index_put(torch, rng, name, accumulate):
    shape, indices, value_shape = PUTS[name]
    theirs = tuple(slice(None) if i is None else torch.tensor(i) for i in indices)

    def by_torch(x, v):  # no index occurs twice; torch.index_put itself does not take None
        y = x.clone()
        y[theirs] = y[theirs] + v if accumulate else v
        return y

    arrays = [rng.standard_normal(shape), rng.standard_normal(value_shape)]
    compare_with_torch(lambda x, v: mg.index_put(x, indices, v, accumulate), by_torch, arrays)


def test_index_put_adds_duplicates_like_pytorch(torch, rng):
    rows, columns = np.array([[0], [2]]), np.array([1, 1, -1])
    compare_with_torch(
        lambda x, v: mg.index_put(x, (rows, columns), v, accumulate=True),
        lambda x, v: torch.index_put(x, (torch.tensor(rows), torch.tensor(columns)), v, accumulate=True),
        [rng.standard_normal((3, 4)), rng.standard_normal(3)],
    )


def test_index_put_against_a_loop(rng):
    x, v = rng.standard_normal((3, 4)), rng.standard_normal(5)
    rows, columns = rng.integers(0, 3, 5), rng.integers(0, 4, 5)
    expected = x.copy()
    for r, c, value in zip(rows, columns, v, strict=True):
        expected[r, c] += value
    y = mg.index_put(mg.tensor(x), (rows, mg.tensor(columns)), mg.tensor(v), accumulate=True)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-15)
    assert mg.zeros(2).index_put((np.array([1]),), 3.0).tolist() == [0.0, 3.0]


def test_index_put_refuses():
    x = mg.zeros(2, 3)
    with pytest.raises(DtypeError, match="tuple of integer arrays or masks, at least one"):
        mg.index_put(x, (None,), mg.zeros(3))
    with pytest.raises(DtypeError, match="takes arrays, masks and None"):
        mg.index_put(x, (np.array([0]), 1), mg.zeros(1))
    with pytest.raises(DtypeError, match="x is float32, values are int64"):
        mg.index_put(x, (np.array([0]),), mg.tensor([1, 2, 3]))
    with pytest.raises(ShapeError, match="index_put"):
        mg.index_put(x, (np.array([0]),), mg.zeros(2, 2))
