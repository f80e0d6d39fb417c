"""Losses of classifiers: cross entropy with class indices or with probabilities, and the negative log-likelihood."""

from __future__ import annotations

from typing import Any

from minigrad.dtypes import FLOATING
from minigrad.errors import ArgumentError, DtypeError
from minigrad.op import operation
from minigrad.ops.arguments import count, need_tensor
from minigrad.ops.class_targets import (
    but_classes,
    check_classes,
    check_scores,
    class_axis,
    one_hot_beside,
    smoothed,
    weighted,
)
from minigrad.ops.reduction import check_reduction, reduced, spread

__all__ = ["cross_entropy", "nll_loss"]
METHODS: list[str] = []

_BOOK = "Goodfellow, Bengio & Courville 2016"


def _expected(xp: Any, q: Any, logp: Any, axis: Any) -> Any:
    """-sum q logp along `axis`; where q is 0 it counts nothing, even if logp is infinite."""
    return -xp.sum(xp.where(q != 0, q * logp, 0), axis=axis)


def _indexed_loss(xp: Any, logp: Any, t: Any, w: Any, ignore_index: int, s: float, reduction: str) -> Any:
    """The loss for class indices, from log-probabilities."""
    one_hot, counts = one_hot_beside(xp, t, logp, ignore_index)
    q = smoothed(xp, one_hot, counts, s)
    losses = _expected(xp, weighted(q, w), logp, class_axis(logp))
    return (
        xp.sum(losses) / xp.sum(weighted(one_hot, w))
        if reduction == "mean"
        else reduced(xp, losses, reduction)
    )


def _at_each_target(xp: Any, gy: Any, w: Any, one_hot: Any, counts: Any, reduction: str) -> Any:
    """The gradient that arrives at each loss, (N, 1, d1, ...); 0 where the target is ignored."""
    if reduction == "mean":
        gy = gy / xp.sum(weighted(one_hot, w))
    elif reduction == "none":
        gy = xp.expand_dims(gy, class_axis(one_hot))
    return xp.where(counts, gy, 0)


def _of_class_weights(xp: Any, g: Any, y: Any, logp: Any, q: Any, one_hot: Any, reduction: str) -> Any:
    """The gradient of the class weights: they multiply the losses and, in the mean y, are what it is divided by."""
    axes = but_classes(logp)
    gw = _expected(xp, g * q, logp, axes)
    return gw - y * xp.sum(g * one_hot, axis=axes) if reduction == "mean" else gw


def _index_samples(draw: Any, **params: Any) -> list:
    w, params = draw.uniform(0.5, 2, 3), {"ignore_index": -100, **params}
    return [
        draw.call(draw.normal(4, 3), draw.integers(0, 3, 4), None, reduction="mean", **params),
        draw.call(
            draw.normal(4, 3), draw.integers(0, 3, 4), w, reduction="mean", **{**params, "ignore_index": 1}
        ),
        draw.call(draw.normal(2, 3, 2, 2), draw.integers(0, 3, 2, 2, 2), w, reduction="sum", **params),
        draw.call(draw.normal(2, 3, 3), draw.integers(0, 3, 2, 3), None, reduction="none", **params),
        draw.call(draw.normal(3), draw.integers(0, 3, 1).reshape(()), w, reduction="none", **params),
    ]


@operation(
    name="cross_entropy",
    formula="y = mean_n(-log softmax(x_n)[t_n])",
    gradient_formula="gx = gy (softmax(x) - onehot(t)) / N",
    source=f"{_BOOK}, section 6.2.2.3; label smoothing: Szegedy et al. 2016, section 7",
    samples=lambda draw: (
        _index_samples(draw, label_smoothing=0.0) + _index_samples(draw, label_smoothing=0.2)
    ),
    flops=lambda inputs, outputs, params: 5 * count(inputs[0]),
)
def _cross_entropy(xp, x, t, w, *, ignore_index, label_smoothing, reduction):
    logp = xp.log_softmax(x, dim=class_axis(x))
    return _indexed_loss(xp, logp, t, w, ignore_index, label_smoothing, reduction)


@_cross_entropy.gradient
def cross_entropy_gradient(xp, gy, x, t, w, y, needs, *, ignore_index, label_smoothing, reduction):
    axis = class_axis(x)
    one_hot, counts = one_hot_beside(xp, t, x, ignore_index)
    q = smoothed(xp, one_hot, counts, label_smoothing)
    g = _at_each_target(xp, gy, w, one_hot, counts, reduction)
    gx = gw = None
    if needs[0]:
        wq = weighted(q, w)
        gx = g * (xp.softmax(x, dim=axis) * xp.sum(wq, axis=axis, keepdims=True) - wq)
    if needs[2]:
        gw = _of_class_weights(xp, g, y, xp.log_softmax(x, dim=axis), q, one_hot, reduction)
    return gx, None, gw


@operation(
    name="nll_loss",
    formula="y = mean_n(-x_n[t_n])",
    gradient_formula="gx = -gy onehot(t) / N",
    source=f"{_BOOK}, section 5.5",
    samples=_index_samples,
    flops=lambda inputs, outputs, params: 2 * count(outputs[0]),
)
def _nll_loss(xp, x, t, w, *, ignore_index, reduction):
    return _indexed_loss(xp, x, t, w, ignore_index, 0, reduction)


@_nll_loss.gradient
def nll_loss_gradient(xp, gy, x, t, w, y, needs, *, ignore_index, reduction):
    one_hot, counts = one_hot_beside(xp, t, x, ignore_index)
    g = _at_each_target(xp, gy, w, one_hot, counts, reduction)
    gw = _of_class_weights(xp, g, y, x, one_hot, one_hot, reduction) if needs[2] else None
    return -g * weighted(one_hot, w), None, gw


@operation(
    name="soft_cross_entropy",
    formula="y = mean_n(-sum_c t_nc log softmax(x_n)_c)",
    gradient_formula="gx = gy (softmax(x) sum_c t_c - t) / N, gt = -gy log softmax(x) / N",
    source=f"{_BOOK}, equation 3.51",
    samples=lambda draw: [
        draw.call(draw.normal(4, 3), draw.uniform(0, 1, 4, 3), None, label_smoothing=0.0, reduction="mean"),
        draw.call(
            draw.normal(2, 3, 2),
            draw.uniform(0, 1, 2, 3, 2),
            draw.uniform(0.5, 2, 3),
            label_smoothing=0.2,
            reduction="none",
        ),
        draw.call(
            draw.normal(3), draw.uniform(0, 1, 3), draw.uniform(1, 2, 3), label_smoothing=0.1, reduction="sum"
        ),
    ],
    flops=lambda inputs, outputs, params: 7 * count(inputs[0]),
)
def _soft_cross_entropy(xp, x, t, w, *, label_smoothing, reduction):
    """Cross entropy with class probabilities as targets; see `cross_entropy`."""
    axis = class_axis(x)
    q = (1 - label_smoothing) * t + label_smoothing / x.shape[axis]
    losses = _expected(xp, weighted(q, w), xp.log_softmax(x, dim=axis), axis)
    return reduced(xp, losses, reduction)


@_soft_cross_entropy.gradient
def soft_cross_entropy_gradient(xp, gy, x, t, w, needs, *, label_smoothing, reduction):
    axis = class_axis(x)
    q = (1 - label_smoothing) * t + label_smoothing / x.shape[axis]
    g = spread(gy, tuple(x.shape[a] for a in but_classes(x)), reduction)
    g = xp.expand_dims(g, axis) if reduction == "none" else g
    gx = gt = gw = None
    if needs[0]:
        wq = weighted(q, w)
        gx = g * (xp.softmax(x, dim=axis) * xp.sum(wq, axis=axis, keepdims=True) - wq)
    if needs[1] or needs[2]:
        logp = xp.log_softmax(x, dim=axis)
        gt = (label_smoothing - 1) * g * weighted(logp, w)
        gw = _expected(xp, g * q, logp, but_classes(x)) if needs[2] else None
    return gx, gt, gw


def cross_entropy(
    x: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Cross entropy between the distribution softmax(x) and the target: a class, or probabilities.

        loss_n = - sum_c weight_c q_nc log softmax(x_n)_c,    q_n = (1 - s) onehot(target_n) + s / C

    Parameters
        x: logits, floating-point, (C,), (N, C) or (N, C, d1, ...).
        target: integer classes in [0, C), of the shape of x without its class dimension; or probabilities,
            floating-point, of the shape of x, which then stand in place of the one-hot vectors.
        weight: (C,), the weight of each class; None for 1.
        ignore_index: a target of this value contributes nothing (class indices only); it may lie outside [0, C).
        reduction: "none", "sum" or "mean". With class indices the mean is weighted and leaves out ignored targets:
            sum(loss) / sum(weight[target]). With probabilities it is sum(loss) / N (times the lengths d1, ...).
        label_smoothing: s, in [0, 1].

    Returns the losses, of the shape of x without its class dimension, or one number. The mean over no target at all
    (an empty batch, or all ignored) is NaN.

    Gradient: gx_n = g_n (softmax(x_n) sum_c weight_c q_nc - weight q_n), without weights softmax minus target.
    Backward keeps x, target, weight and the loss.

    Raises ShapeError for shapes that do not fit, DtypeError for class indices that are not integers, ArgumentError
    for a target outside the range, which it names with its place.

    Source: Goodfellow, Bengio & Courville 2016, "Deep Learning", section 6.2.2.3; label smoothing: Szegedy et al.
    2016, "Rethinking the Inception Architecture for Computer Vision", section 7.

    >>> import minigrad as mg
    >>> x = mg.tensor([[0.0, 0.0], [-99.0, 99.0]], requires_grad=True)
    >>> loss = mg.nn.functional.cross_entropy(x, mg.tensor([0, 0]))
    >>> loss.backward()
    >>> x.grad                                         # (softmax - onehot) / N
    tensor([[-0.25,  0.25],
            [-0.5 ,  0.5 ]])
    """
    check_reduction("cross_entropy", reduction)
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(
            f"cross_entropy: label_smoothing must lie between 0 and 1, not {label_smoothing!r}"
        )
    check_scores("cross_entropy", x, weight)
    need_tensor("cross_entropy", target)
    if target.shape == x.shape:
        if target.dtype not in FLOATING:
            raise DtypeError(
                f"cross_entropy: targets of the shape of x, {list(x.shape)}, are class probabilities and must be "
                f"floating-point, not {target.dtype}; convert them with target.float()"
            )
        return _soft_cross_entropy(x, target, weight, label_smoothing=label_smoothing, reduction=reduction)
    check_classes("cross_entropy", x, target, ignore_index)
    return _cross_entropy(
        x, target, weight, ignore_index=ignore_index, label_smoothing=label_smoothing, reduction=reduction
    )


def nll_loss(
    x: Any, target: Any, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """Negative log-likelihood of the target classes: loss_n = -weight[target_n] x_n[target_n].

    Parameters, result and errors are those of `cross_entropy` with class indices, but x holds log-probabilities, as
    `log_softmax` gives them: cross_entropy(x, t) = nll_loss(log_softmax(x, 1), t).

    Gradient: gx_n = -g_n weight onehot(target_n).

    Source: Goodfellow, Bengio & Courville 2016, "Deep Learning", section 5.5.

    >>> import minigrad as mg
    >>> mg.nn.functional.nll_loss(mg.tensor([[-0.5, -1.0], [-0.25, -1.5]]), mg.tensor([0, 1]))
    tensor(1.)
    """
    check_reduction("nll_loss", reduction)
    check_scores("nll_loss", x, weight)
    check_classes("nll_loss", x, target, ignore_index)
    return _nll_loss(x, target, weight, ignore_index=ignore_index, reduction=reduction)
