"""Losses of classifiers: cross entropy with class indices or with probabilities, and the negative log-likelihood."""

from __future__ import annotations

from typing import Any

from minigrad.dtypes import FLOATING, bool_
from minigrad.engine import describe
from minigrad.errors import ArgumentError, DtypeError, ShapeError
from minigrad.op import operation
from minigrad.ops.arguments import count, need_floating, need_tensor
from minigrad.ops.reduction import check_reduction, reduced, spread

__all__ = ["cross_entropy", "nll_loss"]
METHODS: list[str] = []

IGNORE_INDEX = -100


def _class_axis(x: Any) -> int:
    return min(1, x.ndim - 1)  # (N, C, d1, ...), or (C,) for one sample


def _beside_classes(xp: Any, w: Any, x: Any) -> Any:
    """Class weights (C,), or ones, shaped to stand beside x: (1, C, 1, ...)."""
    classes = x.shape[_class_axis(x)]
    w = xp.ones((classes,), dtype=x.dtype) if w is None else w
    return w.reshape((1,) * _class_axis(x) + (classes,) + (1,) * (x.ndim - _class_axis(x) - 1))


def _one_hot(xp: Any, t: Any, x: Any, w: Any, ignore_index: int) -> tuple[Any, Any]:
    """w[t] in the place of each target t and 0 elsewhere, of the shape of x; and which targets count, (N, 1, d1, ...)."""
    axis = _class_axis(x)
    labels = xp.arange(x.shape[axis]).reshape((-1,) + (1,) * (x.ndim - axis - 1))
    t = xp.expand_dims(t, axis)
    counts = t != ignore_index
    return xp.where((t == labels) & counts, _beside_classes(xp, w, x), 0), counts


def _smoothed(xp: Any, one_hot: Any, counts: Any, x: Any, w: Any, label_smoothing: float) -> Any:
    """q: the share 1 - s of the target's class, and s spread evenly over all classes."""
    if not label_smoothing:
        return one_hot
    even = xp.where(counts, _beside_classes(xp, w, x) * (label_smoothing / x.shape[_class_axis(x)]), 0)
    return (1 - label_smoothing) * one_hot + even


def _expected(xp: Any, q: Any, logp: Any, axis: Any) -> Any:
    """-sum_c q_c logp_c, where a class without weight counts nothing even if its probability is 0 and logp infinite."""
    return -xp.sum(xp.where(q != 0, q * logp, 0), axis=axis)


def _indexed_loss(xp: Any, logp: Any, t: Any, w: Any, ignore_index: int, label_smoothing: float, reduction: str) -> Any:
    """The loss for class indices, from log-probabilities."""
    one_hot, counts = _one_hot(xp, t, logp, w, ignore_index)
    losses = _expected(xp, _smoothed(xp, one_hot, counts, logp, w, label_smoothing), logp, _class_axis(logp))
    return xp.sum(losses) / xp.sum(one_hot) if reduction == "mean" else reduced(xp, losses, reduction)


def _of_each_target(xp: Any, gy: Any, one_hot: Any, counts: Any, axis: int, reduction: str) -> Any:
    """The gradient at each loss, (N, 1, d1, ...), and 0 where the target is ignored."""
    if reduction == "mean":
        gy = gy / xp.sum(one_hot)
    elif reduction == "none":
        gy = xp.expand_dims(gy, axis)
    return xp.where(counts, gy, 0)


def _of_class_weights(
    xp: Any, gy: Any, g: Any, logp: Any, t: Any, y: Any, one_hot: Any, ignore_index: int, label_smoothing: float, reduction: str
) -> Any:
    """The gradient of the class weights, which stand in the numerator and, in the mean, in the denominator."""
    but_classes = tuple(a for a in range(logp.ndim) if a != _class_axis(logp))
    hits, counts = _one_hot(xp, t, logp, None, ignore_index)
    gw = _expected(xp, g * _smoothed(xp, hits, counts, logp, None, label_smoothing), logp, but_classes)
    if reduction == "mean":
        gw = gw - gy * y / xp.sum(one_hot) * xp.sum(hits, axis=but_classes)
    return gw


def _index_samples(draw: Any, **smoothing: float) -> list:
    return [
        draw.call(draw.normal(4, 3), draw.integers(0, 3, 4), None, ignore_index=-100, reduction="mean", **smoothing),
        draw.call(draw.normal(4, 3), draw.integers(0, 3, 4), draw.uniform(0.5, 2, 3), ignore_index=1, reduction="mean", **smoothing),
        draw.call(draw.normal(2, 3, 2, 2), draw.integers(0, 3, 2, 2, 2), draw.uniform(0.5, 2, 3), ignore_index=0, reduction="sum", **smoothing),
        draw.call(draw.normal(2, 4, 3), draw.integers(0, 4, 2, 3), None, ignore_index=-100, reduction="none", **smoothing),
        draw.call(draw.normal(5), draw.integers(0, 5), draw.uniform(0.5, 2, 5), ignore_index=-100, reduction="none", **smoothing),
    ]


@operation(
    name="cross_entropy",
    formula="y = mean_n(-log softmax(x_n)[t_n])",
    gradient_formula="gx = gy (softmax(x) - onehot(t)) / N",
    source="Goodfellow, Bengio & Courville 2016, section 6.2.2.3; label smoothing: Szegedy et al. 2016, section 7",
    samples=lambda draw: _index_samples(draw, label_smoothing=0.0) + _index_samples(draw, label_smoothing=0.2),
    flops=lambda inputs, outputs, params: 5 * count(inputs[0]),
)
def _cross_entropy(xp, x, t, w, *, ignore_index, label_smoothing, reduction):
    logp = xp.log_softmax(x, dim=_class_axis(x))
    return _indexed_loss(xp, logp, t, w, ignore_index, label_smoothing, reduction)


@_cross_entropy.gradient
def cross_entropy_gradient(xp, gy, x, t, w, y, needs, *, ignore_index, label_smoothing, reduction):
    axis = _class_axis(x)
    one_hot, counts = _one_hot(xp, t, x, w, ignore_index)
    q = _smoothed(xp, one_hot, counts, x, w, label_smoothing)
    g = _of_each_target(xp, gy, one_hot, counts, axis, reduction)
    gx = gw = None
    if needs[0]:
        gx = g * (xp.softmax(x, dim=axis) * xp.sum(q, axis=axis, keepdims=True) - q)
    if needs[2]:
        logp = xp.log_softmax(x, dim=axis)
        gw = _of_class_weights(xp, gy, g, logp, t, y, one_hot, ignore_index, label_smoothing, reduction)
    return gx, None, gw


@operation(
    name="soft_cross_entropy",
    formula="y = mean_n(-sum_c t_nc log softmax(x_n)_c)",
    gradient_formula="gx = gy (softmax(x) sum_c t_c - t) / N, gt = -gy log softmax(x) / N",
    source="Goodfellow, Bengio & Courville 2016, equation 3.51",
    samples=lambda draw: [
        draw.call(draw.normal(4, 3), draw.uniform(0, 1, 4, 3), None, label_smoothing=0.0, reduction="mean"),
        draw.call(draw.normal(2, 3, 2), draw.uniform(0, 1, 2, 3, 2), draw.uniform(0.5, 2, 3), label_smoothing=0.2, reduction="none"),
        draw.call(draw.normal(3), draw.uniform(0, 1, 3), draw.uniform(0.5, 2, 3), label_smoothing=0.1, reduction="sum"),
    ],
    flops=lambda inputs, outputs, params: 7 * count(inputs[0]),
)
def _soft_cross_entropy(xp, x, t, w, *, label_smoothing, reduction):
    axis = _class_axis(x)
    q = ((1 - label_smoothing) * t + label_smoothing / x.shape[axis]) * _beside_classes(xp, w, x)
    return reduced(xp, _expected(xp, q, xp.log_softmax(x, dim=axis), axis), reduction)


@_soft_cross_entropy.gradient
def soft_cross_entropy_gradient(xp, gy, x, t, w, needs, *, label_smoothing, reduction):
    axis = _class_axis(x)
    w_c = _beside_classes(xp, w, x)
    smooth = (1 - label_smoothing) * t + label_smoothing / x.shape[axis]
    q = smooth * w_c
    g = spread(xp, gy, x.shape[:axis] + x.shape[axis + 1 :], reduction)
    g = xp.expand_dims(g, axis) if reduction == "none" else g
    gx = gt = gw = None
    if needs[0]:
        gx = g * (xp.softmax(x, dim=axis) * xp.sum(q, axis=axis, keepdims=True) - q)
    if needs[1] or needs[2]:
        logp = xp.log_softmax(x, dim=axis)
        gt = -(1 - label_smoothing) * g * w_c * logp
        gw = _expected(xp, g * smooth, logp, tuple(a for a in range(x.ndim) if a != axis))
    return gx, gt, gw


@operation(
    name="nll_loss",
    formula="y = mean_n(-x_n[t_n])",
    gradient_formula="gx = -gy onehot(t) / N",
    source="Goodfellow, Bengio & Courville 2016, section 5.5",
    samples=_index_samples,
    flops=lambda inputs, outputs, params: 2 * count(outputs[0]),
)
def _nll_loss(xp, x, t, w, *, ignore_index, reduction):
    return _indexed_loss(xp, x, t, w, ignore_index, 0, reduction)


@_nll_loss.gradient
def nll_loss_gradient(xp, gy, x, t, w, y, needs, *, ignore_index, reduction):
    one_hot, counts = _one_hot(xp, t, x, w, ignore_index)
    g = _of_each_target(xp, gy, one_hot, counts, _class_axis(x), reduction)
    gw = _of_class_weights(xp, gy, g, x, t, y, one_hot, ignore_index, 0, reduction) if needs[2] else None
    return -g * one_hot, None, gw


def cross_entropy(
    x: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = IGNORE_INDEX,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Cross entropy between the distribution softmax(x) and the target: a class, or probabilities.

        loss_n = - sum_c weight_c q_nc log softmax(x_n)_c,    q_n = (1 - s) onehot(target_n) + s / C

    Parameters
        x: logits, floating-point, (C,), (N, C) or (N, C, d1, ...).
        target: integer classes in [0, C), of the shape of x without its class dimension; or probabilities, floating-point,
            of the shape of x, which then stand in place of the one-hot vectors.
        weight: (C,), the weight of each class; None for 1.
        ignore_index: a target of this value contributes nothing (class indices only); it may lie outside [0, C).
        reduction: "none", "sum" or "mean". With class indices the mean is weighted, sum(loss) / sum(weight[target]), over the targets not
            ignored; with probabilities it is sum(loss) / N (times the lengths d1, ...).
        label_smoothing: s, in [0, 1].

    Returns the losses, of the shape of x without its class dimension, or one number. The mean over no target at all (an empty
    batch, or all ignored) is NaN.

    Gradient: gx_n = g_n (softmax(x_n) sum_c weight_c q_nc - weight q_n): without weights, softmax minus target. Backward keeps x,
    target, weight and the loss.

    Raises ShapeError for shapes that do not fit; ArgumentError for a target outside the range, which it names with its place;
    DtypeError for a target that is neither integers of the one shape nor floating-point numbers of the other.

    Source: Goodfellow, Bengio & Courville 2016, "Deep Learning", section 6.2.2.3; label smoothing: Szegedy et al. 2016,
    "Rethinking the Inception Architecture", section 7.

    >>> import minigrad as mg
    >>> x = mg.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]], requires_grad=True)
    >>> loss = mg.nn.functional.cross_entropy(x, mg.tensor([0, 2]))
    >>> loss.backward()
    >>> x.grad                                         # (softmax - onehot) / N
    tensor([[-0.1065,  0.0533,  0.0533],
            [ 0.1667,  0.1667, -0.3333]])
    """
    check_reduction("cross_entropy", reduction)
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(f"cross_entropy: label_smoothing must lie between 0 and 1, not {label_smoothing!r}")
    _check_scores("cross_entropy", x, weight)
    need_tensor("cross_entropy", target)
    if target.dtype in FLOATING and target.shape == x.shape:
        return _soft_cross_entropy(x, target, weight, label_smoothing=label_smoothing, reduction=reduction)
    _check_classes("cross_entropy", x, target, ignore_index)
    return _cross_entropy(x, target, weight, ignore_index=ignore_index, label_smoothing=label_smoothing, reduction=reduction)


def nll_loss(x: Any, target: Any, weight: Any = None, *, ignore_index: int = IGNORE_INDEX, reduction: str = "mean") -> Any:
    """Negative log-likelihood of the target classes, given log-probabilities: loss_n = -weight[target_n] x_n[target_n].

    Parameters, result and errors are those of `cross_entropy` with class indices, but x holds log-probabilities, as `log_softmax`
    gives them: cross_entropy(x, t) = nll_loss(log_softmax(x, 1), t).

    Gradient: gx_n = -g_n weight onehot(target_n).

    Source: Goodfellow, Bengio & Courville 2016, "Deep Learning", section 5.5.

    >>> import minigrad as mg
    >>> mg.nn.functional.nll_loss(mg.tensor([[-0.5, -1.0], [-0.2, -1.7]]), mg.tensor([0, 1]))
    tensor(1.1)
    """
    check_reduction("nll_loss", reduction)
    _check_scores("nll_loss", x, weight)
    need_tensor("nll_loss", target)
    _check_classes("nll_loss", x, target, ignore_index)
    return _nll_loss(x, target, weight, ignore_index=ignore_index, reduction=reduction)


def _check_scores(name: str, x: Any, weight: Any) -> None:
    need_floating(name, x)
    if x.ndim == 0 or not x.shape[_class_axis(x)]:
        raise ShapeError(f"{name}: x must have the shape (C,), (N, C) or (N, C, d1, ...), C at least 1, not {describe(x)}")
    if weight is not None and weight.shape != (x.shape[_class_axis(x)],):
        raise ShapeError(
            f"{name}: weight has shape {list(weight.shape)}; for x of shape {list(x.shape)} it must be {[x.shape[_class_axis(x)]]}, one per class"
        )


def _check_classes(name: str, x: Any, target: Any, ignore_index: int) -> None:
    """Refuse targets that are no class indices for x: shape, dtype, range."""
    axis = _class_axis(x)
    expected = x.shape[:axis] + x.shape[axis + 1 :]
    if target.dtype in FLOATING:
        raise ShapeError(
            f"{name}: floating-point targets are class probabilities and must have the shape of x, {list(x.shape)}, not {list(target.shape)}. "
            f"Class indices must be integers of shape {list(expected)}; convert them with target.long()"
            if name == "cross_entropy"
            else f"{name}: targets must be integers of shape {list(expected)}, not {target.dtype}{list(target.shape)}"
        )
    if target.shape != expected:
        raise ShapeError(
            f"{name}: for x of shape {list(x.shape)} class indices must have the shape {list(expected)}, not {list(target.shape)}"
            + ("; one-hot targets are probabilities and must be floating-point" if target.shape == x.shape else "")
        )
    if target.dtype == bool_:
        raise DtypeError(f"{name}: class indices must be integers, not bool; convert them with target.long()")
    labels, classes = getattr(target, "array", target), x.shape[axis]
    outside = ((labels < 0) | (labels >= classes)) & (labels != ignore_index)
    if bool(outside.any()):
        place = tuple(int(i[0]) for i in outside.nonzero()) if labels.ndim else ()
        raise ArgumentError(
            f"{name}: target{list(place) if place else ''} is {int(labels[place])}; with {classes} classes a target must lie "
            f"between 0 and {classes - 1}, or be ignore_index={ignore_index}"
        )
