"""Padding: a border around the data, of a constant or of the data itself."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from minigrad.errors import ArgumentError, ShapeError
from minigrad.op import operation
from minigrad.ops.dims import as_ints

METHODS: list[str] = []
__all__ = ["pad"]

_IN_NUMPY = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


class Frame(NamedTuple):
    """What `widths`, some of them negative perhaps, mean for data of one shape."""

    kept: tuple[slice, ...]  # the part of the data that negative widths leave
    inner: tuple[int, ...]  # its shape
    border: tuple[tuple[int, int], ...]  # the widths that are added to it
    inside: tuple[slice, ...]  # where it then lies
    outer: tuple[int, ...]  # shape of all


def _frame(shape: Sequence[int], widths: Sequence[tuple[int, int]]) -> Frame:
    kept = tuple(slice(max(0, -a), min(b, 0) or None) for a, b in widths)
    inner = tuple(len(range(n)[part]) for n, part in zip(shape, kept, strict=True))
    border = tuple((max(0, a), max(0, b)) for a, b in widths)
    inside = tuple(slice(a, a + n) for n, (a, _) in zip(inner, border, strict=True))
    return Frame(
        kept, inner, border, inside, tuple(a + n + b for n, (a, b) in zip(inner, border, strict=True))
    )


def _copies(frame: Frame, mode: str) -> Iterator[tuple[tuple, tuple]]:
    """(border, source) in the padded array: what lies in `border` is copied from `source`, in this order.

    One dimension after the other, over the whole extent of the others: corners are copies of borders copied before.
    """
    for d, (n, (a, b)) in enumerate(zip(frame.inner, frame.border, strict=True)):
        end = a + n  # along this dimension the data lie from a to end
        before, after = {
            "constant": (None, None),
            "reflect": (slice(2 * a, a, -1), slice(end - 2, (end - 2 - b) if end - 2 >= b else None, -1)),
            "replicate": (slice(a, a + 1), slice(end - 1, end)),
            "circular": (slice(n, n + a), slice(a, a + b)),
        }[mode]
        lead = (slice(None),) * d
        if a and before:
            yield (*lead, slice(0, a)), (*lead, before)
        if b and after:
            yield (*lead, slice(end, end + b)), (*lead, after)


@operation(
    name="pad",
    formula="y = x with a border of widths[d] = (before, after) along dimension d; negative widths cut off",
    gradient_formula="gx = the inner part of gy, plus what the border copied from x",
    source="definition",
    samples=lambda draw: [
        draw.call(draw.normal(2, 3), widths=((0, 0), (2, 1)), mode="constant", value=1.5),
        draw.call(draw.normal(4, 3), widths=((-1, 2), (1, -2)), mode="constant", value=0.0),
        draw.call(draw.normal(2, 4, 3), widths=((0, 0), (3, 2), (1, 2)), mode="reflect", value=0.0),
        draw.call(draw.normal(1, 3, 2), widths=((0, 0), (1, 4), (3, 0)), mode="replicate", value=0.0),
        draw.call(draw.normal(1, 3, 4), widths=((0, 0), (3, 1), (-1, 3)), mode="circular", value=0.0),
    ],
    dtypes="move",
    flops=0,
)
def _pad(xp, x, *, widths, mode, value):
    frame = _frame(x.shape, widths)
    y = xp.empty_like(x, shape=frame.outer)  # in the memory order of x
    if mode == "constant":
        y[...] = value
    y[frame.inside] = x[frame.kept]
    for border, source in _copies(frame, mode):
        y[border] = y[source]
    return y


@_pad.gradient
def pad_gradient(xp, gy, x_shape, *, widths, mode):
    return xp.unpad(gy, shape=x_shape, widths=widths, mode=mode)


@operation(
    name="unpad",
    formula="y = the inner part of x, plus its border where padding copied it from",
    gradient_formula="gx = gy padded (a constant border is 0)",
    source="adjoint of pad",
    samples=lambda draw: [
        draw.call(draw.normal(2, 6), shape=(2, 3), widths=((0, 0), (2, 1)), mode="constant"),
        draw.call(draw.normal(5, 2), shape=(4, 3), widths=((-1, 2), (1, -2)), mode="constant"),
        draw.call(draw.normal(2, 9, 6), shape=(2, 4, 3), widths=((0, 0), (3, 2), (1, 2)), mode="reflect"),
        draw.call(draw.normal(1, 8, 5), shape=(1, 3, 2), widths=((0, 0), (1, 4), (3, 0)), mode="replicate"),
        draw.call(draw.normal(1, 7, 6), shape=(1, 3, 4), widths=((0, 0), (3, 1), (-1, 3)), mode="circular"),
    ],
    may_view=True,
    flops=lambda inputs, outputs, params: (
        0 if params["mode"] == "constant" else math.prod(inputs[0]) - math.prod(outputs[0])
    ),
)
def _unpad(xp, x, *, shape, widths, mode):
    """The gradient of padding: the inner part, and the border added to what it was copied from."""
    frame = _frame(shape, widths)
    if mode != "constant":
        x = xp.array(x)
    for border, source in reversed(list(_copies(frame, mode))):
        dim = len(source) - 1
        x[source] += xp.sum(x[border], axis=dim, keepdims=True) if mode == "replicate" else x[border]
    if frame.inner == shape:
        return x[frame.inside]
    y = xp.zeros_like(x, shape=shape)  # in the memory order of x
    y[frame.kept] = x[frame.inside]
    return y


@_unpad.gradient
def unpad_gradient(xp, gy, *, shape, widths, mode):
    frame = _frame(shape, widths)
    return xp.pad(gy[frame.kept], frame.border, mode=_IN_NUMPY[mode])


def pad(x: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """A border around the data.

    x:     any dtype, n dimensions.
    pad:   widths (before, after) of the last dimension, then of the one before it, and so on; for pictures
           (left, right, top, bottom). Negative widths cut off, before anything is added.
    mode:  "constant" fills in `value` (default 0), "reflect" mirrors at the edge, which is not repeated, "replicate"
           repeats the edge, "circular" continues at the other end.
    value: for mode "constant" only.

    Returns a tensor longer by before + after in each dimension padded. Widths must be smaller than the dimension for
    reflect, no larger for circular; replicate needs an edge. The gradient adds to each entry what its copies get.

    Raises ArgumentError for an unknown mode or a wrong number of widths, ShapeError for widths too large.

    >>> import minigrad as mg
    >>> x = mg.tensor([[1, 2, 3]])
    >>> mg.pad(x, (1, 2)), mg.pad(x, (2, 1), mode="reflect")
    (tensor([[0, 1, 2, 3, 0, 0]]), tensor([[3, 2, 1, 2, 3, 2]]))
    """
    given = as_ints(pad, "pad")
    if mode not in _IN_NUMPY:
        raise ArgumentError(f"pad: mode must be one of {', '.join(_IN_NUMPY)}, not {mode!r}")
    if len(given) % 2 or len(given) > 2 * x.ndim:
        raise ArgumentError(
            f"pad: {list(given)} must be (before, after) for up to {x.ndim} dimensions of shape {list(x.shape)}, "
            "the last one first"
        )
    if mode != "constant" and value not in (None, 0):
        raise ArgumentError(f"pad: mode {mode!r} takes no value, got {value}")
    pairs = [(given[i], given[i + 1]) for i in range(0, len(given), 2)]
    widths = ((0, 0),) * (x.ndim - len(pairs)) + tuple(reversed(pairs))
    for d, (n, (a, b)) in enumerate(zip(x.shape, widths, strict=True)):
        left, widest = n + min(a, 0) + min(b, 0), max(a, b, 0)
        limit = {
            "constant": widest,
            "reflect": left - 1,
            "replicate": widest if left else 0,
            "circular": left,
        }[mode]
        if left < 0:
            raise ShapeError(
                f"pad: widths ({a}, {b}) cut off more than dimension {d} of shape {list(x.shape)} has"
            )
        if widest > max(limit, 0):
            raise ShapeError(
                f"pad: widths ({a}, {b}) of dimension {d} of shape {list(x.shape)} "
                f"may be at most {max(limit, 0)} in mode {mode!r}, which copies what negative widths leave"
            )
    return _pad(x, widths=widths, mode=mode, value=0 if value is None else value)
