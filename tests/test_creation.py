"""New tensors: PyTorch's forms of the arguments, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import ArgumentError, DtypeError


@pytest.mark.oracle
@pytest.mark.parametrize(
    "make",
    [
        lambda lib: lib.zeros(2, 3),
        lambda lib: lib.ones((2, 0)),
        lambda lib: lib.full((2, 3), 7),
        lambda lib: lib.full((2,), True),
        lambda lib: lib.full((), 2.5, dtype=lib.float64),
        lambda lib: lib.arange(5),
        lambda lib: lib.arange(2, 9, 3),
        lambda lib: lib.arange(5, 1, -2),
        lambda lib: lib.arange(0.0, 1.0, 0.25),
        lambda lib: lib.arange(3, dtype=lib.float64),
        lambda lib: lib.linspace(-1, 1, 5),
        lambda lib: lib.linspace(3, 4, 1),
        lambda lib: lib.eye(3),
        lambda lib: lib.eye(2, 4),
        lambda lib: lib.zeros_like(lib.ones(2, dtype=lib.int16)),
        lambda lib: lib.full_like(lib.ones(2, dtype=lib.float64), 3),
        lambda lib: lib.ones_like(lib.zeros(2), dtype=lib.int64),
    ],
)
def test_values_and_dtypes_are_pytorchs(torch, make):
    got, expected = make(mg), make(torch)
    assert str(got.dtype) == str(expected.dtype).removeprefix("torch.")
    assert got.shape == tuple(expected.shape)
    assert got.tolist() == expected.tolist()


@pytest.mark.parametrize("dtype", [None, "float16", "bfloat16", "float64"])
def test_random_numbers_have_their_distribution(dtype):
    uniform, normal = mg.rand(100, 200, dtype=dtype), mg.randn((100, 200), dtype=dtype)
    assert str(uniform.dtype) == str(normal.dtype) == (dtype or "float32")
    u, n = uniform.double().numpy(), normal.double().numpy()
    assert u.min() >= 0
    assert u.max() <= 1
    assert abs(u.mean() - 0.5) < 0.02
    assert abs(u.std() - 12**-0.5) < 0.02
    assert abs(n.mean()) < 0.04
    assert abs(n.std() - 1) < 0.03
    like = mg.rand_like(uniform), mg.randn_like(uniform)
    assert all((t.shape, t.dtype) == (uniform.shape, uniform.dtype) for t in like)


def test_random_integers_and_orders():
    assert set(mg.randint(3, 6, (1000,)).tolist()) == {3, 4, 5}
    assert set(mg.randint(2, (1000,)).tolist()) == {0, 1}  # low may be left out, as in PyTorch
    assert mg.randint(0, 5, 4).shape == (4,)
    assert mg.randint(0, 5, (2, 3), dtype="uint8").dtype == mg.uint8
    order = mg.randperm(50)
    assert order.dtype == mg.int64
    assert sorted(order.tolist()) == list(range(50)) != order.tolist()


def test_the_seed_decides():
    def draw():
        mg.manual_seed(5)
        return [
            mg.rand(2).tolist(),
            mg.randn(2).tolist(),
            mg.randint(0, 99, (3,)).tolist(),
            mg.randperm(9).tolist(),
        ]

    first = draw()
    assert draw() == first
    assert mg.rand(2).tolist() != first[0]


def test_memory_is_shared_where_it_says_so():
    array = np.arange(3.0)
    shared, copied = mg.from_numpy(array), mg.tensor(array)
    assert mg.as_tensor(shared) is shared
    through = mg.as_tensor(array)
    array[0] = 9
    assert (shared[0].item(), through[0].item(), copied[0].item()) == (9, 9, 0)
    assert mg.as_tensor(array, dtype="float32").dtype == mg.float32
    assert mg.as_tensor([1, 2]).tolist() == [1, 2]


def test_gradients_are_wanted_on_request():
    for tensor in (
        mg.zeros(2, requires_grad=True),
        mg.rand(2, requires_grad=True),
        mg.full((), 1.0, requires_grad=True),
    ):
        assert tensor.requires_grad
        assert tensor.is_leaf


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: mg.zeros(-1), ArgumentError, r"integers >= 0, not \(-1,\)"),
        (lambda: mg.ones(2.0, 3), ArgumentError, r"not \(2\.0, 3\)"),
        (lambda: mg.arange(0, 5, -1), ArgumentError, "from 0 to 5 in steps of -1 never arrives"),
        (lambda: mg.arange(0, 5, 0), ArgumentError, "in steps of 0"),
        (lambda: mg.linspace(0, 1, -1), ArgumentError, "steps >= 0, not -1"),
        (lambda: mg.eye(-2), ArgumentError, r"not \(-2, -2\)"),
        (lambda: mg.randint(5, 5, (2,)), ArgumentError, "low < high, not 5 and 5"),
        (lambda: mg.randint(0, 1.5, (2,)), ArgumentError, "not 0 and 1.5"),
        (lambda: mg.randperm(-1), ArgumentError, r"not \(-1,\)"),
        (lambda: mg.rand(2, dtype="int64"), DtypeError, "floating point, not int64; randint draws integers"),
        (lambda: mg.randn_like(mg.ones(2, dtype="bool")), DtypeError, "not bool"),
        (lambda: mg.from_numpy([1.0]), DtypeError, r"takes a NumPy array, not list; use mg\.tensor"),
        (lambda: mg.from_dlpack([1.0]), DtypeError, "speaks DLPack, not list"),
        (lambda: mg.zeros(2, dtype="complex64"), DtypeError, "complex64"),
        (lambda: mg.zeros(2, dtype="int64", requires_grad=True), DtypeError, "floating-point"),
        (
            lambda: mg.tensor([3, 300], dtype="uint8"),
            ArgumentError,
            "uint8 holds 0 to 255; given were 3 to 300",
        ),
        (lambda: mg.tensor(2**70), ArgumentError, "outside the range of int64"),
        (
            lambda: mg.full((2,), 2**70),
            ArgumentError,
            "int64 tensor cannot be filled with 1180591620717411303424",
        ),
        (lambda: mg.zeros(2).fill_("a"), ArgumentError, "float32 tensor cannot be filled with 'a'"),
        (lambda: mg.arange(2).fill_(float("nan")), ArgumentError, "int64 tensor cannot be filled with nan"),
        (lambda: mg.ones(1).expand(3).zero_(), ArgumentError, r"shape \[3\] cannot be written to"),
    ],
)
def test_what_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_numbers_too_large_are_infinite_without_a_word():
    for tensor in (mg.tensor(1e300), mg.full((), 1e300), mg.zeros(()).fill_(1e300)):
        assert tensor.item() == float("inf")
    half = mg.zeros(1, dtype="float16").copy_(mg.tensor([1e30]))
    assert half.tolist() == [float("inf")]


def test_tensors_of_tensors():
    for dtype in ("float32", "bfloat16", "int64"):
        row = mg.ones(2, dtype=dtype)
        both = mg.tensor([row, row])
        assert (both.dtype, both.tolist()) == (row.dtype, [[1, 1], [1, 1]])


@pytest.mark.oracle
def test_what_dlpack_cannot_carry_is_refused(torch):
    with pytest.raises(DtypeError, match="from_dlpack cannot share this Tensor"):
        mg.from_dlpack(torch.ones(2, dtype=torch.bfloat16))
