"""einsum: against loops over all indices, against NumPy, and against PyTorch to second order."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import ops
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.op import get_operation
from tests.oracle import compare_with_torch

CASES = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ij->ji", (2, 3)),
    ("ba", (2, 3)),
    ("ij->", (2, 3)),
    ("ij->i", (2, 3)),
    ("ii", (3, 3)),
    ("ii->i", (3, 3)),
    ("iij->ij", (3, 3, 2)),
    ("iii->i", (2, 2, 2)),
    ("ijij->j", (2, 3, 2, 3)),
    ("ii,ij->j", (3, 3), (3, 2)),
    ("i,i->", (3,), (3,)),
    ("i,j->ij", (3,), (4,)),
    ("i,i,i->i", (3,), (3,), (3,)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)),
    ("ij,jk,kl,lm->mi", (2, 3), (3, 4), (4, 2), (2, 3)),
    ("bhqd,bhkd->bhqk", (2, 2, 3, 4), (2, 2, 5, 4)),
    ("ij,kj->ik", (2, 1), (3, 4)),
    ("i,i,ij->j", (1,), (3,), (3, 2)),
    ("ij,ij->ij", (1, 3), (2, 1)),
    ("i,j->i", (3,), (4,)),
    ("...ij,...jk->...ik", (5, 2, 3), (3, 4)),
    ("...ij,...jk", (2, 1, 2, 3), (5, 3, 4)),
    ("i...->...", (2, 3, 4)),
    ("...ii->...i", (2, 3, 3)),
    ("...", (2, 3)),
    ("b...,b...->...b", (2, 3), (2, 4, 3)),
    ("...i->i", (2, 4, 3)),
    (" i j , j -> i ", (2, 3), (3,)),
    ("aB,Bc->cBa", (2, 3), (3, 4)),
    (",i->i", (), (3,)),
    ("ij,j->i", (0, 3), (3,)),
    ("ij,j->i", (2, 0), (0,)),
    ("nchw,oc->nohw", (2, 3, 4, 4), (5, 3)),
]


def drawn(shapes) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape) for shape in shapes]


def loops_einsum(equation: str, *operands: np.ndarray) -> np.ndarray:
    """The definition: for every combination of indices, the product of the operands is added to the result."""
    left, result = equation.split("->")
    terms = left.split(",")
    lengths = {label: n for term, x in zip(terms, operands) for label, n in zip(term, x.shape)}
    y = np.zeros([lengths[label] for label in result])
    for indices in itertools.product(*map(range, lengths.values())):
        at = dict(zip(lengths, indices))
        factors = [x[tuple(at[label] for label in term)] for term, x in zip(terms, operands)]
        y[tuple(at[label] for label in result)] += np.prod(factors)
    return y


@st.composite
def sums_of_products(draw) -> tuple[str, list[tuple]]:
    """An equation of one to four operands, diagonals and lone labels among them, and fitting shapes."""
    lengths = {"i": 2, "j": 3, "k": 1, "l": 2}
    terms = draw(st.lists(st.text("ijkl", max_size=3), min_size=1, max_size=4))
    used = sorted(set("".join(terms)))
    result = "".join(draw(st.lists(st.sampled_from(used), unique=True))) if used else ""
    return f"{','.join(terms)}->{result}", [tuple(lengths[label] for label in term) for term in terms]


@given(sums_of_products())
def test_einsum_is_its_definition(case):
    equation, shapes = case
    arrays = drawn(shapes)
    y = ops.einsum(equation, *map(mg.tensor, arrays))
    np.testing.assert_allclose(y.numpy(), loops_einsum(equation, *arrays), atol=1e-12)


@pytest.mark.parametrize("equation, shapes", [(e, s) for e, *s in CASES if e not in ("...i->i", "...")])
def test_einsum_is_numpys(equation, shapes):
    arrays = drawn(shapes)
    y = ops.einsum(equation, *map(mg.tensor, arrays))
    np.testing.assert_allclose(y.numpy(), np.einsum(equation, *arrays), atol=1e-12)


@pytest.mark.oracle
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("equation, shapes", [(e, s) for e, *s in CASES])
def test_einsum_agrees_with_pytorch(torch, equation, shapes, dtype):
    compare_with_torch(
        lambda *t: ops.einsum(equation, *t), lambda *t: torch.einsum(equation, *t), drawn(shapes), dtype=dtype
    )


@pytest.mark.oracle
@given(sums_of_products())
def test_einsum_agrees_with_pytorch_to_second_order(case):
    import torch

    equation, shapes = case
    compare_with_torch(
        lambda *t: ops.einsum(equation, *t), lambda *t: torch.einsum(equation, *t), drawn(shapes)
    )


def test_only_the_wanted_gradients_are_computed():
    a, b = map(mg.tensor, drawn([(2, 3), (3, 4)]))
    y = ops.einsum("ij,jk->ik", a, b.requires_grad_())
    (gb,) = mg.grad(y.sum(), [b])
    np.testing.assert_allclose(gb.numpy(), np.einsum("ij,ik->jk", a.numpy(), np.ones((2, 4))))


def test_off_a_diagonal_no_nan_arrives():
    x = mg.tensor(np.eye(2), requires_grad=True)
    (gx,) = mg.grad(ops.einsum("ii->i", x), [x], mg.tensor([np.nan, np.inf], dtype="float64"))
    assert np.array_equal(gx.numpy(), [[np.nan, 0], [0, np.inf]], equal_nan=True)


def test_a_list_of_operands_and_integers_work():
    a = mg.tensor([[1, 2], [3, 4]])
    y = ops.einsum("ij,jk->ik", [a, a])
    assert y.dtype == mg.int64
    assert y.tolist() == [[7, 10], [15, 22]]


def test_flops_count_every_combination_of_indices():
    flops = get_operation("einsum").flops
    assert flops([(2, 3), (3, 4)], [(2, 4)], {"equation": "ij,jk->ik"}) == 2 * 2 * 3 * 4


A, B = mg.ones(2, 3), mg.ones(3, 4)


@pytest.mark.parametrize(
    "call, error, said",
    [
        (lambda: ops.einsum("ij,jk->ik", A), ArgumentError, r"names 2 operands, 1 were given"),
        (
            lambda: ops.einsum("ij,jk->ik", A, mg.ones(4, 4)),
            ShapeError,
            r"operand 1 of shape \[4, 4\] has length 4.* 3 long",
        ),
        (lambda: ops.einsum("ijk->i", A), ShapeError, r"operand 0.*'ijk', does not fit its shape \[2, 3\]"),
        (lambda: ops.einsum("i->i", A), ShapeError, r"'i', does not fit its shape \[2, 3\]"),
        (lambda: ops.einsum("ij->ii", A), ArgumentError, r"must stand there once, and at an operand"),
        (lambda: ops.einsum("ij->k", A), ArgumentError, r"must stand there once, and at an operand"),
        (lambda: ops.einsum("i1->i", A), ArgumentError, r"'i1' in 'i1->i' must consist of letters"),
        (lambda: ops.einsum("......", A), ArgumentError, r"'\.\.\.' once at most"),
        (lambda: ops.einsum("ii", A), ShapeError, r"operand 0 of shape \[2, 3\] has length"),
        (lambda: ops.einsum(A, "ij"), ArgumentError, r"the equation must be a string"),
        (lambda: ops.einsum("ij,jk", A, B.double()), DtypeError, r"one dtype"),
        (lambda: ops.einsum("ij,jk", A, [[1.0]]), DtypeError, r"einsum takes a tensor, not list"),
    ],
)
def test_what_does_not_fit_is_said(call, error, said):
    with pytest.raises(error, match=said):
        call()
