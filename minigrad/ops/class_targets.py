"""Targets of classifiers: class indices as one-hot vectors beside the scores, and what is checked before they are used.

The scores x are (N, C, d1, ...), or (C,) for one sample; class indices t are (N, d1, ...), or 0-dimensional.
"""

from __future__ import annotations

from typing import Any

from minigrad.dtypes import FLOATING, bool_, int64
from minigrad.engine import describe
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.ops.arguments import need_floating, need_tensor


def class_axis(x: Any) -> int:
    """The axis of x that counts classes."""
    return min(1, x.ndim - 1)


def but_classes(x: Any) -> tuple[int, ...]:
    """All axes of x but that."""
    return tuple(a for a in range(x.ndim) if a != class_axis(x))


def beside_classes(w: Any, x: Any) -> Any:
    """A vector over classes (C,), shaped (1, C, 1, ...) to stand beside x."""
    return w.reshape(tuple(n if a == class_axis(x) else 1 for a, n in enumerate(x.shape)))


def weighted(q: Any, w: Any) -> Any:
    """Shares of classes, shaped as x, times the class weights if there are any."""
    return q if w is None else q * beside_classes(w, q)


def one_hot_beside(xp: Any, t: Any, x: Any, ignore_index: int) -> tuple[Any, Any]:
    """1 at the class of each target and 0 elsewhere, shaped as x; and which targets count, (N, 1, d1, ...)."""
    axis, classes = class_axis(x), x.shape[class_axis(x)]
    t = xp.expand_dims(t, axis).astype(int64)
    counts = t != ignore_index
    t = xp.where(counts, t, classes)  # a class that does not exist
    hit = t == beside_classes(xp.arange(classes), x)
    return xp.where(hit, xp.ones((), dtype=x.dtype), 0), counts


def smoothed(xp: Any, one_hot: Any, counts: Any, label_smoothing: float) -> Any:
    """The share 1 - s of each target's class, and s spread evenly over all classes; 0 for targets that do not count."""
    if not label_smoothing:
        return one_hot
    share = label_smoothing / one_hot.shape[class_axis(one_hot)]
    even = xp.where(counts, share * xp.ones((), dtype=one_hot.dtype), 0)
    return (1 - label_smoothing) * one_hot + even


def check_scores(name: str, x: Any, weight: Any) -> None:
    """Refuse scores without a class axis, and class weights that are not one per class."""
    need_floating(name, x)
    if not x.ndim or not x.shape[class_axis(x)]:
        raise ShapeError(
            f"{name}: x must be (C,), (N, C) or (N, C, d1, ...) with at least one class, not {describe(x)}"
        )
    classes = x.shape[class_axis(x)]
    if weight is not None and weight.shape != (classes,):
        raise ShapeError(
            f"{name}: weight has shape {list(weight.shape)}; for x of shape {list(x.shape)} it must be "
            f"[{classes}], one number per class"
        )


def check_classes(name: str, x: Any, target: Any, ignore_index: int) -> None:
    """Refuse targets that are no class indices for x: of another shape, not integers, out of range."""
    need_tensor(name, target)
    expected = tuple(x.shape[a] for a in but_classes(x))
    if target.dtype in FLOATING or target.dtype == bool_:
        raise DtypeError(
            f"{name}: for x of shape {list(x.shape)} targets must be class indices, integers of shape "
            f"{list(expected)}, not {describe(target)}; convert them with target.long()"
        )
    if target.shape != expected:
        raise ShapeError(
            f"{name}: for x of shape {list(x.shape)} class indices must have shape {list(expected)}, "
            f"not {list(target.shape)}"
        )
    labels, classes = getattr(target, "array", target), x.shape[class_axis(x)]
    outside = ((labels < 0) | (labels >= classes)) & (labels != ignore_index)
    if bool(outside.any()):
        place = tuple(int(i[0]) for i in outside.nonzero()) if labels.ndim else ()
        raise ArgumentError(
            f"{name}: target{list(place) if place else ''} is {int(labels[place])}; with {classes} classes a target "
            f"must lie between 0 and {classes - 1}, or be ignore_index={ignore_index}"
        )
