"""Tensor: construction, NumPy's protocols, types, text."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import dtypes
from minigrad.errors import ArgumentError, DtypeError, GraphError, ShapeError

NAMES = list(dtypes.BY_NAME)


def test_construction_and_dtypes():
    assert mg.tensor([1.0, 2.0]).dtype == mg.float32
    assert mg.tensor([1, 2]).dtype == mg.int64
    assert mg.tensor(True).dtype == mg.bool
    assert mg.tensor(np.float64(2)).dtype == mg.float64
    assert mg.tensor(np.ones(2, np.float16)).dtype == mg.float16
    assert mg.tensor([1, 2], dtype=mg.bfloat16).dtype == mg.bfloat16
    assert mg.tensor([mg.tensor(1.0), mg.tensor(2.0)]).tolist() == [1.0, 2.0]
    source = np.ones(3)
    copied, shared = mg.tensor(source), mg.from_numpy(source)
    source[0] = 5
    assert copied.tolist() == [1, 1, 1]
    assert shared.tolist() == [5, 1, 1]
    for wrong, error in [
        ("text", DtypeError),
        ([[1], [1, 2]], ShapeError),
        (np.ones(2, complex), DtypeError),
        (None, DtypeError),
    ]:
        with pytest.raises(error):
            mg.tensor(wrong)


def test_big_endian_arrays_are_converted():
    swapped = np.arange(3, dtype=">f4")
    assert mg.from_numpy(swapped).dtype == mg.float32
    assert (mg.from_numpy(swapped) + 1).tolist() == [1, 2, 3]


def test_creation_functions():
    assert mg.zeros(2, 3).shape == mg.ones((2, 3)).shape == mg.empty([2, 3]).shape == (2, 3)
    assert mg.full((2,), 7).dtype == mg.int64
    assert mg.full((2,), 7.0).dtype == mg.float32
    assert mg.arange(2, 8, 2).tolist() == [2, 4, 6]
    assert mg.arange(0.0, 1.0, 0.5).dtype == mg.float32
    assert mg.linspace(0, 1, 3).tolist() == [0, 0.5, 1]
    assert mg.eye(2).tolist() == [[1, 0], [0, 1]]
    assert sorted(mg.randperm(5).tolist()) == [0, 1, 2, 3, 4]
    assert mg.zeros_like(mg.ones(2, dtype="float64")).dtype == mg.float64
    mg.manual_seed(3)
    first = mg.randn(4).tolist()
    mg.manual_seed(3)
    assert mg.randn(4).tolist() == first


def test_numpy_reads_tensors():
    t = mg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert np.asarray(t).tolist() == [[1, 2], [3, 4]]
    assert np.asarray(t, dtype=np.float64).dtype == np.float64
    view = t.numpy()
    assert np.shares_memory(view, t.array)
    with pytest.raises(ValueError, match="read-only"):
        view[0, 0] = 9
    with pytest.raises(TypeError):
        np.exp(t)  # would lose the gradient without a word


def test_operators_with_numbers_arrays_and_numpy_scalars():
    t = mg.tensor([1.0, 2.0], requires_grad=True)
    array = np.array([10.0, 20.0], np.float32)
    for other in (3, 2.5, np.float32(2), np.float64(2), np.int64(3), array):
        plain = np.asarray(other)
        for ours, theirs in [
            (t + other, t.numpy() + plain),
            (other + t, plain + t.numpy()),
            (t - other, t.numpy() - plain),
            (other - t, plain - t.numpy()),
            (t * other, t.numpy() * plain),
            (other * t, plain * t.numpy()),
            (t / other, t.numpy() / plain),
            (other / t, plain / t.numpy()),
        ]:
            assert isinstance(ours, mg.Tensor)
            assert ours.dtype == mg.float32
            assert ours.requires_grad
            np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-6)
    assert (t > 1.5).tolist() == [False, True]
    assert (-t).tolist() == [-1, -2]
    assert (2**t).tolist() == [2, 4]
    assert (t**2).tolist() == [1, 4]


def test_python_protocols():
    t = mg.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert len(t) == 2
    assert [row.tolist() for row in t] == [[1, 2], [3, 4]]
    assert float(t[0, 1]) == 2.0
    assert int(mg.tensor(3)) == 3
    assert [10, 20, 30][mg.tensor(1)] == 20
    assert bool(mg.tensor(0.0)) is False
    assert f"{t[0, 0]:.2f}" == "1.00"
    assert {t: 1}[t] == 1
    for wrong in (lambda: t.item(), lambda: bool(t), lambda: len(mg.tensor(1.0))):
        with pytest.raises(ShapeError):
            wrong()
    with pytest.raises(ShapeError, match=r"\.any\(\) or \.all\(\)"):
        bool(t == t)
    with pytest.raises(DtypeError, match="only integer tensors"):
        [1, 2][mg.tensor(1.0)]


def test_repr_shows_what_matters():
    x = mg.tensor([1.0, 2.5], requires_grad=True)
    assert repr(x) == "tensor([1. , 2.5], requires_grad=True)"
    assert repr(x * 2.0) == "tensor([2., 5.], grad_fn=<mulBackward>)"
    assert repr(mg.ones(2, dtype="float64")) == "tensor([1., 1.], dtype=float64)"
    assert repr(mg.arange(2)) == "tensor([0, 1])"
    assert "shape=(50, 40)" in repr(mg.zeros(50, 40))
    assert "shape=(0, 3)" in repr(mg.zeros(0, 3))
    assert repr(mg.tensor([1.0, 2.5], dtype="bfloat16")) == "tensor([1. , 2.5], dtype=bfloat16)"
    assert x.device == "cpu"


def test_casts_and_their_gradients():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = x.double() * 3.0
    assert y.dtype == mg.float64
    y.sum().backward()
    assert x.grad.dtype == mg.float32
    assert x.grad.tolist() == [3, 3]
    assert x.to(mg.float32) is x
    assert x.to("cpu") is x
    assert not x.long().requires_grad
    assert [f(x).dtype for f in (mg.Tensor.half, mg.Tensor.bfloat16, mg.Tensor.int, mg.Tensor.bool)] == [
        mg.float16,
        mg.bfloat16,
        mg.int32,
        mg.bool,
    ]


@pytest.mark.parametrize("half", ["float16", "bfloat16"])
def test_half_precision_is_computed_wide_and_rounded_once(half):
    ones = mg.ones(4096, dtype=half)
    assert ones.sum().item() == 4096  # bfloat16 arithmetic would stop at 256
    assert ones.sum().dtype == mg.as_dtype(half)
    x = mg.tensor([1.5, -2.0], dtype=half, requires_grad=True)
    y = (x * x).sum()
    y.backward()
    assert x.grad.dtype == x.dtype
    assert x.grad.tolist() == [3, -4]
    assert (x + mg.ones(2)).dtype == mg.float32


@pytest.mark.oracle
@pytest.mark.parametrize("dims", [(1, 1), (1, 0), (0, 1), (0, 0)])
def test_promotion_follows_pytorch(torch, dims):
    for a, b in itertools.product(NAMES, NAMES):
        ours = mg.ones((2,) * dims[0], dtype=a) + mg.ones((2,) * dims[1], dtype=b)
        theirs = torch.ones((2,) * dims[0], dtype=getattr(torch, a)) + torch.ones(
            (2,) * dims[1], dtype=getattr(torch, b)
        )
        assert f"torch.{ours.dtype}" == str(theirs.dtype), (a, b, dims)


@pytest.mark.oracle
@pytest.mark.parametrize("number", [True, 2, 2.5])
def test_promotion_with_numbers_follows_pytorch(torch, number):
    for name, ndim in itertools.product(NAMES, (0, 1)):
        ours, theirs = mg.ones((2,) * ndim, dtype=name), torch.ones((2,) * ndim, dtype=getattr(torch, name))
        assert f"torch.{(ours * number).dtype}" == str((theirs * number).dtype), (name, number)
        assert f"torch.{(ours / number).dtype}" == str((theirs / number).dtype), (name, number)


@pytest.mark.oracle
def test_dlpack_both_ways(torch):
    ours = mg.ones(3)
    theirs = torch.from_dlpack(ours)
    theirs[0] = 5
    assert ours.tolist() == [5, 1, 1]
    back = mg.from_dlpack(torch.arange(3.0))
    assert (back * 2).tolist() == [0, 2, 4]
    x, shared = mg.ones(3, requires_grad=True), mg.ones(3)
    other = torch.from_dlpack(shared)
    y = (x * shared).sum()
    other.mul_(2)
    with pytest.raises(GraphError, match="changed in place"):
        y.backward()
    kept = mg.ones(3)
    y = (x * kept).sum()
    torch.from_dlpack(kept)
    with pytest.raises(GraphError, match="lent out by DLPack since"):
        y.backward()
    with pytest.raises(GraphError, match="detach"):
        torch.from_dlpack(x)


@given(st.lists(st.integers(0, 3), max_size=4))
def test_views_share_the_count_of_writes(shape):
    t = mg.zeros(tuple(shape))
    view = t.reshape(-1)
    with mg.no_grad():
        view += 1
    assert t.tolist() == mg.ones(tuple(shape)).tolist()
    assert t._storage is view._storage or t.numel() == 0


def test_shallow_copies_share_the_count_of_writes():
    x, w = mg.ones(2), mg.ones(2, requires_grad=True)
    twin = copy.copy(x)
    y = (w * x).sum()
    twin.fill_(5.0)
    assert x.tolist() == [5, 5]
    with pytest.raises(GraphError, match="changed in place"):
        y.backward()


def test_set_takes_over_from_memory_that_cannot_be_written_to():
    x, source = mg.ones(1).expand(2), mg.zeros(3)
    assert x.set_(source) is x
    assert x.fill_(2.0).tolist() == source.tolist() == [2, 2, 2]


def test_deep_copies_are_leaves_of_their_own():
    x = mg.nn.Parameter(mg.ones(2))
    (x * 3.0).sum().backward()
    twin = copy.deepcopy({"weight": x})["weight"]
    twin.data.zero_()
    assert isinstance(twin, mg.nn.Parameter)
    assert (x.tolist(), twin.grad.tolist(), twin.requires_grad) == ([1, 1], [3, 3], True)
    with pytest.raises(GraphError, match="only leaves"):
        copy.deepcopy(x * 1.0)


def test_errors_of_numpy_become_ours():
    with pytest.raises(DtypeError, match=r"sub\(bool\[2\], bool\[2\]\)"):
        mg.tensor([True, False]) - mg.tensor([True, True])
    with pytest.raises(ArgumentError, match="add"):
        mg.tensor([1], dtype="uint8") + 300
    with pytest.raises(IndexError, match="3"):
        mg.arange(3)[3]


def test_where_as_a_method():
    x = mg.tensor([1.0, -2.0], requires_grad=True)
    y = x.where(x > 0, 0.0)
    y.sum().backward()
    assert y.tolist() == [1, 0]
    assert x.grad.tolist() == [1, 0]
