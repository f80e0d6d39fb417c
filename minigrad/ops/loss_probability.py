"""Losses between probabilities: binary cross entropy, of probabilities or logits, and Kullback-Leibler divergence."""

from __future__ import annotations

from typing import Any

from minigrad.errors import ArgumentError
from minigrad.op import operation
from minigrad.ops.arguments import count
from minigrad.ops.reduction import check_pair, check_reduction, check_weight, reduced, spread

__all__ = ["binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div"]
METHODS: list[str] = []

_BISHOP = "Bishop 2006, equation 4.90"
_LOG_OF_ZERO = (
    -100
)  # a finite stand-in for log 0, so that one hopeless prediction does not make the loss infinite


def _log(xp: Any, x: Any) -> Any:
    return xp.maximum(xp.log(x), _LOG_OF_ZERO)


@operation(
    name="binary_cross_entropy",
    formula="y = mean(-w (t log x + (1 - t) log(1 - x)))",
    gradient_formula="gx = gy w (x - t) / (x (1 - x)) / N, gt = gy w (log(1 - x) - log x) / N",
    source=_BISHOP,
    samples=lambda draw: [
        draw.call(draw.uniform(0.1, 0.9, 3, 2), draw.uniform(0, 1, 3, 2), None, reduction="mean"),
        draw.call(
            draw.uniform(0.1, 0.9, 3, 2), draw.uniform(0, 1, 3, 2), draw.uniform(0.5, 2, 2), reduction="none"
        ),
        draw.call(draw.uniform(0.1, 0.9, 2), draw.uniform(0, 1, 2), draw.uniform(0.5, 2, 1), reduction="sum"),
    ],
    dtypes="promote",
    broadcast=True,  # the weight, to the shape of x
    flops=lambda inputs, outputs, params: 8 * count(inputs[0]),
)
def _binary_cross_entropy(xp, x, t, w, *, reduction):
    losses = -t * _log(xp, x) - (1 - t) * _log(xp, 1 - x)
    return reduced(xp, losses if w is None else losses * w, reduction)


@_binary_cross_entropy.gradient
def binary_cross_entropy_gradient(xp, gy, x, t, w, needs, *, reduction):
    g = spread(gy, x.shape, reduction)
    gw_ = g if w is None else g * w
    gx = gw_ * (x - t) / xp.maximum(x * (1 - x), 1e-12) if needs[0] else None
    gt = gw_ * (_log(xp, 1 - x) - _log(xp, x)) if needs[1] else None
    gw = -g * (t * _log(xp, x) + (1 - t) * _log(xp, 1 - x)) if needs[2] else None
    return gx, gt, gw


def _softplus(xp: Any, x: Any) -> Any:
    """log(1 + exp(x)), where the exponential cannot overflow."""
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))


@operation(
    name="binary_cross_entropy_with_logits",
    formula="y = mean(-w (p t log s(x) + (1 - t) log(1 - s(x)))), s(x) = 1 / (1 + exp(-x))",
    gradient_formula="gx = gy w ((1 - t) s(x) - p t s(-x)) / N: without weights (s(x) - t) / N",
    source=_BISHOP,
    samples=lambda draw: [
        draw.call(draw.normal(3, 2), draw.uniform(0, 1, 3, 2), None, None, reduction="mean"),
        draw.call(
            draw.normal(3, 2),
            draw.uniform(0, 1, 3, 2),
            draw.uniform(0.5, 2, 3, 1),
            draw.uniform(0.5, 2, 2),
            reduction="none",
        ),
        draw.call(draw.normal(2), draw.uniform(0, 1, 2), None, draw.uniform(0.5, 2, 1), reduction="sum"),
    ],
    dtypes="promote",
    broadcast=True,  # the weights, to the shape of x
    flops=lambda inputs, outputs, params: 9 * count(inputs[0]),
)
def _binary_cross_entropy_with_logits(xp, x, t, w, pos_weight, *, reduction):
    # -log s(x) = softplus(-x) and -log(1 - s(x)) = x + softplus(-x), which need no logarithm of a rounded probability
    share = 1 if pos_weight is None else 1 + (pos_weight - 1) * t
    losses = (1 - t) * x + share * _softplus(xp, -x)
    return reduced(xp, losses if w is None else losses * w, reduction)


@_binary_cross_entropy_with_logits.gradient
def binary_cross_entropy_with_logits_gradient(xp, gy, x, t, w, pos_weight, needs, *, reduction):
    g = spread(gy, x.shape, reduction)
    g_w = g if w is None else g * w
    p = 1 if pos_weight is None else pos_weight
    gx = gt = gw = gp = None
    if needs[0]:
        gx = g_w * ((1 - t) * xp.sigmoid(x) - p * t * xp.sigmoid(-x))
    if any(needs[1:]):
        softplus = _softplus(xp, -x)
        gt = g_w * ((p - 1) * softplus - x)
        gw = g * ((1 - t) * x + (1 + (p - 1) * t) * softplus)
        gp = g_w * t * softplus
    return gx, gt, gw if needs[2] else None, gp if needs[3] else None


@operation(
    name="kl_div",
    formula="y = mean(t (log t - x)), or with log_target mean(exp(t) (t - x))",
    gradient_formula="gx = -gy t / N, gt = gy (log t + 1 - x) / N; "
    "with log_target gx = -gy exp(t) / N, gt = gy exp(t) (t - x + 1) / N",
    source="Kullback & Leibler 1951, equation 2.4",
    samples=lambda draw: [
        draw.call(draw.normal(3, 2), draw.uniform(0.1, 1, 3, 2), reduction="mean", log_target=False),
        draw.call(draw.normal(3, 2), draw.uniform(0.1, 1, 3, 2), reduction="batchmean", log_target=False),
        draw.call(draw.normal(3, 2), draw.normal(3, 2), reduction="none", log_target=True),
    ],
    dtypes="promote",
    flops=lambda inputs, outputs, params: 4 * count(inputs[0]),
)
def _kl_div(xp, x, t, *, reduction, log_target):
    losses = xp.exp(t) * (t - x) if log_target else t * (_log_or_zero(xp, t) - x)
    return reduced(xp, losses, reduction)


@_kl_div.gradient
def kl_div_gradient(xp, gy, x, t, needs, *, reduction, log_target):
    g = spread(gy, x.shape, reduction)
    p = xp.exp(t) if log_target else t
    gx = -g * p
    if not needs[1]:
        return gx, None
    return gx, g * p * (t - x + 1) if log_target else g * (_log_or_zero(xp, t) + 1 - x)


def _log_or_zero(xp: Any, t: Any) -> Any:
    """log t, and 0 where t is 0: t log t tends to 0 there, and the gradient stays finite."""
    return xp.log(xp.where(t == 0, 1, t))


def binary_cross_entropy(x: Any, target: Any, weight: Any = None, *, reduction: str = "mean") -> Any:
    """Binary cross entropy of probabilities: loss = -weight (target log x + (1 - target) log(1 - x)), per element.

    Parameters
        x: probabilities in [0, 1], floating-point, any shape. Logarithms are cut off at -100.
        target: numbers of the same shape, usually 0 or 1; any in between are probabilities.
        weight: broadcasts to the shape of x; None for 1.
        reduction: "none", "sum" or "mean", the mean over all elements whatever their weights.

    Returns the losses, of the shape of x, or one number.
    Gradient: gx = g weight (x - target) / max(x (1 - x), 1e-12).
    Where there are logits, `binary_cross_entropy_with_logits` is more accurate.

    Raises ArgumentError for x outside [0, 1]; ShapeError for shapes that differ.

    Source: Bishop 2006, "Pattern Recognition and Machine Learning", equation 4.90.

    >>> import minigrad as mg
    >>> mg.nn.functional.binary_cross_entropy(mg.tensor([0.5, 0.0]), mg.tensor([1.0, 1.0]), reduction="none")
    tensor([  0.6931472, 100.       ])
    """
    check_reduction("binary_cross_entropy", reduction)
    check_pair("binary_cross_entropy", x, target)
    check_weight("binary_cross_entropy", "weight", weight, x)
    values = getattr(x, "array", x)
    if values.size and not (values.min() >= 0 and values.max() <= 1):
        raise ArgumentError(
            "binary_cross_entropy: x must hold probabilities between 0 and 1; it ranges from "
            f"{float(values.min()):g} to {float(values.max()):g}. For logits use binary_cross_entropy_with_logits"
        )
    return _binary_cross_entropy(x, target, weight, reduction=reduction)


def binary_cross_entropy_with_logits(
    x: Any, target: Any, weight: Any = None, *, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """Binary cross entropy of sigmoid(x), computed from the logits x so that nothing overflows or is rounded to 0.

        loss = -weight (pos_weight target log s + (1 - target) log(1 - s)),   s = sigmoid(x)

    Parameters
        x: logits, floating-point, any shape.
        target: numbers of the same shape, usually 0 or 1.
        weight, pos_weight: broadcast to the shape of x; None for 1. pos_weight > 1 counts a positive as several.
        reduction: "none", "sum" or "mean", the mean over all elements whatever their weights.

    Returns the losses, of the shape of x, or one number. Gradient without weights: gx = g (sigmoid(x) - target).

    Source: Bishop 2006, "Pattern Recognition and Machine Learning", equation 4.90.

    >>> import minigrad as mg
    >>> x = mg.tensor([0.0, 100.0])
    >>> mg.nn.functional.binary_cross_entropy_with_logits(x, mg.tensor([1.0, 0.0]), reduction="none")
    tensor([  0.6931472, 100.       ])
    """
    name = "binary_cross_entropy_with_logits"
    check_reduction(name, reduction)
    check_pair(name, x, target)
    check_weight(name, "weight", weight, x)
    check_weight(name, "pos_weight", pos_weight, x)
    return _binary_cross_entropy_with_logits(x, target, weight, pos_weight, reduction=reduction)


def kl_div(x: Any, target: Any, *, reduction: str = "mean", log_target: bool = False) -> Any:
    """Kullback-Leibler divergence of log-probabilities x from the target: loss = target (log target - x), per element.

    Parameters
        x: log-probabilities, floating-point, any shape.
        target: probabilities of the same shape, or their logarithms if `log_target`. Where one is 0, so is the loss.
        reduction: "none", "sum", "mean" (over all elements), or "batchmean" (the sum divided by the length of the first
            dimension: the mean divergence of the samples).

    Returns the losses, of the shape of x, or one number. Gradient: gx = -g target; gtarget = g (log target + 1 - x), in
    which log target is taken as 0 where target is 0.

    Source: Kullback & Leibler 1951, "On Information and Sufficiency", equation 2.4.

    >>> import minigrad as mg
    >>> p, q = mg.tensor([[0.5, 0.5]]), mg.tensor([[0.25, 0.75]])
    >>> mg.nn.functional.kl_div(mg.log(q), p, reduction="batchmean")
    tensor(0.1438)
    """
    check_reduction("kl_div", reduction, ("none", "mean", "sum", "batchmean"))
    check_pair("kl_div", x, target)
    if reduction == "batchmean" and not x.ndim:
        raise ArgumentError("kl_div: reduction 'batchmean' needs a batch dimension; x is 0-dimensional")
    return _kl_div(x, target, reduction=reduction, log_target=bool(log_target))
