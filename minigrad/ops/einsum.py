"""Sums of products, their axes named by letters (Einstein's summation convention)."""

from __future__ import annotations

import string
from typing import Any

import numpy as np

from minigrad.errors import ArgumentError, ShapeError
from minigrad.op import operation
from minigrad.ops.arguments import count, need_tensor
from minigrad.ops.linalg import require_one_dtype

__all__ = ["einsum"]
METHODS: list[str] = []


def _flops(inputs: list, outputs: list, params: dict) -> float:
    """A multiplication or addition per operand for each combination of indices, as the formula has it."""
    terms, _ = _terms(params["equation"])
    return max(1, len(inputs)) * count(tuple(_lengths(terms, inputs).values()))


@operation(
    name="einsum",
    formula="y[result] = sum over the labels not in it of the product of operand[its labels]",
    gradient_formula="of one operand: the einsum of gy and the others, repeated along axes that it had alone",
    source="Einstein 1916, Die Grundlage der allgemeinen Relativitätstheorie, section 5; the notation is NumPy's",
    samples=lambda draw: [
        draw.call(draw.normal(2, 3), draw.normal(3, 4), equation="ij,jk->ki"),
        draw.call(draw.normal(2, 3, 2), draw.normal(2, 2, 3), equation="bij,bji->b"),
        draw.call(draw.normal(2, 3), draw.normal(3), draw.normal(2, 4), equation="ij,j,ik->k"),
        draw.call(draw.normal(3, 3, 2), equation="iij->ij"),
        draw.call(draw.normal(3, 3), draw.normal(2, 3), equation="ii,ji->j"),
        draw.call(draw.normal(2, 3, 4), equation="ijk->j"),
        draw.call(draw.normal(2, 1), draw.normal(3, 4), equation="ij,kj->ik"),
        draw.call(draw.normal(1), draw.normal(3), equation="i,i->"),
    ],
    may_view=True,  # of one operand: transposed, or its diagonal
    flops=_flops,
)
def _einsum(xp, *operands, equation):
    require_one_dtype("einsum", *operands)
    return xp.einsum(equation, *operands, optimize=len(operands) > 1)


@_einsum.gradient
def einsum_gradient(xp, gy, operands, operands_shape, needs, *, equation):
    terms, result = _terms(equation)
    lengths = _lengths(terms, operands_shape)
    gradients: list[Any] = []
    for i, (labels, shape) in enumerate(zip(terms, operands_shape, strict=True)):
        if not needs[i]:
            gradients.append(None)
            continue
        # y is linear in operand i: gy and the others, summed over each label that this one lacks, or has at length 1
        inputs = [result, *terms[:i], *terms[i + 1 :]]
        own = dict(zip(labels, shape, strict=True))  # a label that stands twice (a diagonal) counts once
        kept = [
            label
            for label, n in own.items()
            if n == lengths[label] and any(label in other for other in inputs)
        ]
        g = xp.einsum(
            f"{','.join(inputs)}->{''.join(kept)}", gy, *operands[:i], *operands[i + 1 :], optimize=True
        )
        # Where nobody else had the label, every element receives the same; on a diagonal, those off it receive nothing
        found = dict(zip(kept, g.shape, strict=True))
        first = [labels.index(label) == axis for axis, label in enumerate(labels)]
        g = g.reshape(_ordered(kept, found, labels, first))
        g = xp.broadcast_to(g, shape)
        gradients.append(g if all(first) else xp.where(xp.asarray(_on_diagonal(labels, shape)), g, 0))
    return gradients


def _ordered(kept: list, found: dict, labels: str, first: list) -> tuple:
    """The shape that lines the gradient's axes up with the operand's: length 1 where it has none."""
    return tuple(
        found.get(label, 1) if is_first else 1 for label, is_first in zip(labels, first, strict=True)
    )


def _on_diagonal(labels: str, shape: tuple) -> np.ndarray:
    """True where axes of the same label have the same index."""
    mask = np.ones(shape, dtype=bool)
    indices = np.indices(shape, sparse=True)
    for axis, label in enumerate(labels):
        mask &= indices[axis] == indices[labels.index(label)]
    return mask


def _terms(equation: str) -> tuple[list[str], str]:
    operands, result = equation.split("->")
    return operands.split(","), result


def _lengths(terms: list[str], shapes: list) -> dict[str, int]:
    """The length that each label stands for; an axis of length 1 broadcasts."""
    lengths: dict[str, int] = {}
    for labels, shape in zip(terms, shapes, strict=True):
        for label, n in zip(labels, shape, strict=True):
            lengths[label] = n if lengths.get(label, 1) == 1 else lengths[label]
    return lengths


def einsum(equation: str, *operands: Any) -> Any:
    """Sum of products of tensors whose axes are named by letters.

    equation: for each operand its axes' labels, letters, separated by commas; then "->" and the labels of the result.
              A label that is not in the result is summed over; one that stands twice at one operand takes its diagonal;
              "..." stands for all axes not named, which broadcast. Without "->" the result has "..." first and then, in
              alphabetical order, the labels that stand once.
    operands: tensors of one dtype; axes of one label have one length, or length 1, which broadcasts

    Returns the tensor of the result's labels. Three and more operands are multiplied in an order likely to be cheap.
    Gradient: by one operand, the einsum of gy with the others. Memory: all operands are kept.
    Errors: ArgumentError for an equation that is not one; ShapeError if it does not fit the operands; DtypeError for
    differing dtypes.
    Source: the notation is NumPy's.

    >>> import minigrad as mg
    >>> a, b = mg.tensor([[1.0, 2.0], [3.0, 4.0]]), mg.tensor([1.0, 10.0])
    >>> mg.einsum("ij,j->i", a, b)  # matrix times vector
    tensor([21., 43.])
    >>> mg.einsum("ii", a)  # trace
    tensor(5.)
    """
    if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
        operands = tuple(operands[0])
    if not isinstance(equation, str):
        raise ArgumentError(
            f"einsum: the equation must be a string such as 'ij,jk->ik', not {type(equation).__name__}"
        )
    for x in operands:
        need_tensor("einsum", x)
    return _einsum(*operands, equation=_explicit(equation, [tuple(x.shape) for x in operands]))


def _explicit(equation: str, shapes: list[tuple]) -> str:
    """The equation with its result written out and letters in the place of dots."""
    left, arrow, result = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes):
        raise ArgumentError(f"einsum: {equation!r} names {len(terms)} operands, {len(shapes)} were given")
    unused = [letter for letter in string.ascii_letters if letter not in equation]
    most = 0
    for term, shape in zip(terms, shapes, strict=True):
        most = max(most, len(shape) - len(_letters(term, equation)) if "..." in term else 0)
    if most > len(unused):
        raise ArgumentError(
            f"einsum: {equation!r} and its operands have more than {len(string.ascii_letters)} different axes"
        )
    dots = "".join(unused[:most])
    named = "".join(_letters(term, equation) for term in terms)
    if not arrow:
        result = "..." + "".join(sorted(label for label in set(named) if named.count(label) == 1))
    wanted = _letters(result, equation)
    if len(set(wanted)) < len(wanted) or not set(wanted) <= set(named):
        raise ArgumentError(
            f"einsum: each label of the result of {equation!r} must stand there once, and at an operand"
        )
    written = []
    for i, (term, shape) in enumerate(zip(terms, shapes, strict=True)):
        here = len(shape) - len(_letters(term, equation))
        if here < 0 or (here and "..." not in term):
            raise ShapeError(
                f"einsum: operand {i} of {equation!r}, {term!r}, does not fit its shape {list(shape)}"
            )
        written.append(term.replace("...", dots[most - here :]))
    _check_lengths(equation, written, shapes)
    return f"{','.join(written)}->{result.replace('...', dots)}"


def _letters(term: str, equation: str) -> str:
    """The term's labels without its dots; refuses anything else."""
    letters = term.replace("...", "", 1)
    if not all(letter in string.ascii_letters for letter in letters):
        raise ArgumentError(
            f"einsum: {term!r} in {equation!r} must consist of letters, and '...' once at most"
        )
    return letters


def _check_lengths(equation: str, terms: list[str], shapes: list[tuple]) -> None:
    lengths = _lengths(terms, shapes)
    for i, (term, shape) in enumerate(zip(terms, shapes, strict=True)):
        own: dict[str, int] = {}
        for label, n in zip(term, shape, strict=True):
            if n not in (1, lengths[label]) or own.setdefault(label, n) != n:
                raise ShapeError(
                    f"einsum: in {equation!r}, operand {i} of shape {list(shape)} has length {n} where the axis is "
                    f"{own[label] if own.get(label, n) != n else lengths[label]} long elsewhere"
                )
