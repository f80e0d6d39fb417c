"""Losses of predicted numbers: squared, absolute and in between, and Gaussian and Poisson likelihoods."""

from __future__ import annotations

import math
from typing import Any

from minigrad import ops
from minigrad.errors import ArgumentError, ShapeError
from minigrad.op import operation
from minigrad.ops.arguments import count
from minigrad.ops.reduction import check_pair, check_reduction, reduced, spread

__all__ = [
    "gaussian_nll_loss",
    "huber_loss",
    "l1_loss",
    "mse_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
]
METHODS: list[str] = []

_HASTIE = "Hastie, Tibshirani & Friedman 2009, section 10.6"


def _samples(draw: Any, **params: Any) -> list:
    """Predictions and targets whose differences keep away from 0, 0.8 and 1."""
    t = draw.normal(3, 2)
    d = draw.apart(3, 2, kinks=(-1, -0.8, 0, 0.8, 1), gap=0.6)
    return [draw.call(t + d, t, reduction=r, **params) for r in ("none", "mean", "sum")]


def _flops(per_element: int) -> Any:
    return lambda inputs, outputs, params: per_element * count(inputs[0])


@operation(
    name="mse_loss",
    formula="y = mean((x - t)^2)",
    gradient_formula="gx = 2 gy (x - t) / N, gt = -gx",
    source=f"{_HASTIE}, squared error",
    samples=_samples,
    dtypes="promote",
    flops=_flops(3),
)
def _mse_loss(xp, x, t, *, reduction):
    d = x - t
    return reduced(xp, d * d, reduction)


@_mse_loss.gradient
def mse_loss_gradient(xp, gy, x, t, *, reduction):
    gx = 2 * spread(gy, x.shape, reduction) * (x - t)
    return gx, -gx


@operation(
    name="l1_loss",
    formula="y = mean(|x - t|)",
    gradient_formula="gx = gy sign(x - t) / N, gt = -gx",
    source=f"{_HASTIE}, absolute error",
    samples=_samples,
    dtypes="promote",
    flops=_flops(3),
)
def _l1_loss(xp, x, t, *, reduction):
    return reduced(xp, xp.abs(x - t), reduction)


@_l1_loss.gradient
def l1_loss_gradient(xp, gy, x, t, *, reduction):
    gx = spread(gy, x.shape, reduction) * xp.sign(x - t)
    return gx, -gx


@operation(
    name="huber_loss",
    formula="y = mean(d^2 / 2 where |d| < delta, delta (|d| - delta / 2) elsewhere), d = x - t",
    gradient_formula="gx = gy clip(d, -delta, delta) / N, gt = -gx",
    source="Huber 1964, section 4",
    samples=lambda draw: _samples(draw, delta=1.0) + _samples(draw, delta=0.8),
    dtypes="promote",
    flops=_flops(5),
)
def _huber_loss(xp, x, t, *, reduction, delta):
    d = xp.abs(x - t)
    return reduced(xp, xp.where(d < delta, 0.5 * d * d, delta * (d - 0.5 * delta)), reduction)


@_huber_loss.gradient
def huber_loss_gradient(xp, gy, x, t, *, reduction, delta):
    gx = spread(gy, x.shape, reduction) * xp.clip(x - t, -delta, delta)
    return gx, -gx


@operation(
    name="smooth_l1_loss",
    formula="y = mean(d^2 / (2 beta) where |d| < beta, |d| - beta / 2 elsewhere), d = x - t",
    gradient_formula="gx = gy clip(d / beta, -1, 1) / N, gt = -gx",
    source="Girshick 2015, equation 3",
    samples=lambda draw: _samples(draw, beta=1.0) + _samples(draw, beta=0.8),
    dtypes="promote",
    flops=_flops(5),
)
def _smooth_l1_loss(xp, x, t, *, reduction, beta):
    d = xp.abs(x - t)
    return reduced(xp, xp.where(d < beta, 0.5 * d * d / beta, d - 0.5 * beta), reduction)


@_smooth_l1_loss.gradient
def smooth_l1_loss_gradient(xp, gy, x, t, *, reduction, beta):
    gx = spread(gy, x.shape, reduction) * xp.clip((x - t) / beta, -1, 1)
    return gx, -gx


def mse_loss(x: Any, target: Any, *, reduction: str = "mean", weight: Any = None) -> Any:
    """Squared error: loss = (x - target)^2, per element.

    Parameters
        x: predictions, floating-point, any shape.
        target: numbers of the same shape; broadcasting is refused.
        reduction: "none", "sum" or "mean" (of nothing: NaN).
        weight: None, or of the shape of x: losses are multiplied by it, and the mean is sum(weight loss) / sum(weight).

    Returns the losses, of the shape of x, or one number. Gradient: gx = 2 (x - target) g, gtarget = -gx.

    >>> import minigrad as mg
    >>> mg.nn.functional.mse_loss(mg.tensor([1.0, 2.0]), mg.tensor([0.0, 4.0]))
    tensor(2.5)
    """
    check_reduction("mse_loss", reduction)
    check_pair("mse_loss", x, target)
    if weight is None:
        return _mse_loss(x, target, reduction=reduction)
    losses = _weighted("mse_loss", _mse_loss(x, target, reduction="none"), weight)
    return ops.sum(losses) / ops.sum(weight) if reduction == "mean" else reduced(ops, losses, reduction)


def l1_loss(x: Any, target: Any, *, reduction: str = "mean", weight: Any = None) -> Any:
    """Absolute error: loss = |x - target|, per element. Parameters and result as for `mse_loss`.

    Gradient: gx = sign(x - target) g, 0 where they are equal; gtarget = -gx.
    """
    check_reduction("l1_loss", reduction)
    check_pair("l1_loss", x, target)
    if weight is None:
        return _l1_loss(x, target, reduction=reduction)
    losses = _weighted("l1_loss", _l1_loss(x, target, reduction="none"), weight)
    return ops.sum(losses) / ops.sum(weight) if reduction == "mean" else reduced(ops, losses, reduction)


def huber_loss(
    x: Any, target: Any, reduction: str = "mean", delta: float = 1.0, *, weight: Any = None
) -> Any:
    """Huber's loss: squared near 0, absolute far from it, so that outliers pull no harder than delta.

        loss = d^2 / 2 where |d| < delta, delta (|d| - delta / 2) elsewhere;  d = x - target

    Parameters and result as for `mse_loss`; delta > 0; the mean of weighted losses is sum(weight loss) / N.
    Gradient: gx = clip(d, -delta, delta) g, gtarget = -gx.

    Source: Huber 1964, "Robust Estimation of a Location Parameter", section 4.

    >>> import minigrad as mg
    >>> mg.nn.functional.huber_loss(mg.tensor([0.5, 3.0]), mg.zeros(2), reduction="none")
    tensor([0.125, 2.5  ])
    """
    check_reduction("huber_loss", reduction)
    check_pair("huber_loss", x, target)
    if not delta > 0:
        raise ArgumentError(f"huber_loss: delta must be positive, not {delta!r}")
    if weight is None:
        return _huber_loss(x, target, reduction=reduction, delta=delta)
    losses = _weighted("huber_loss", _huber_loss(x, target, reduction="none", delta=delta), weight)
    return reduced(ops, losses, reduction)


def smooth_l1_loss(x: Any, target: Any, *, reduction: str = "mean", beta: float = 1.0) -> Any:
    """Absolute error, rounded off near 0: Huber's loss divided by beta.

        loss = d^2 / (2 beta) where |d| < beta, |d| - beta / 2 elsewhere;  d = x - target

    Parameters and result as for `mse_loss`; beta >= 0, and 0 gives `l1_loss`. Gradient: gx = clip(d / beta, -1, 1) g.

    Source: Girshick 2015, "Fast R-CNN", equation 3.

    >>> import minigrad as mg
    >>> mg.nn.functional.smooth_l1_loss(mg.tensor([0.5, 3.0]), mg.zeros(2), reduction="none")
    tensor([0.125, 2.5  ])
    """
    check_reduction("smooth_l1_loss", reduction)
    check_pair("smooth_l1_loss", x, target)
    if not beta >= 0:
        raise ArgumentError(f"smooth_l1_loss: beta must not be negative, and is {beta!r}")
    if beta == 0:
        return _l1_loss(x, target, reduction=reduction)
    return _smooth_l1_loss(x, target, reduction=reduction, beta=beta)


def gaussian_nll_loss(
    x: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    """Negative log-likelihood of targets under normal distributions with means x and variances var.

        loss = (log v + (x - target)^2 / v) / 2,  v = max(var, eps);  with `full` plus log(2 pi) / 2

    Parameters
        x, target: floating-point numbers of one shape.
        var: a number, or a tensor of the shape of x, of that shape with the last length 1 or left out; not negative.
        reduction: "none", "sum" or "mean".

    Source: Nix & Weigend 1994, equation 3.

    >>> import minigrad as mg
    >>> x, target, var = mg.tensor([1.0, 3.0]), mg.tensor([0.0, 1.0]), mg.tensor([1.0, 4.0])
    >>> mg.nn.functional.gaussian_nll_loss(x, target, var, reduction="none")
    tensor([0.5      , 1.1931472])
    """
    check_reduction("gaussian_nll_loss", reduction)
    check_pair("gaussian_nll_loss", x, target)
    if isinstance(var, (int, float)):
        v = max(var, eps)
        log_v, smallest = math.log(v), var
    else:
        if var.shape == x.shape[:-1]:
            var = ops.unsqueeze(var, -1)
        if var.shape not in (x.shape, x.shape[:-1] + (1,)):
            raise ShapeError(
                f"gaussian_nll_loss: for x of shape {list(x.shape)} var must have that shape, or {[*x.shape[:-1], 1]}, "
                f"or {list(x.shape[:-1])}, not {list(var.shape)}"
            )
        v = ops.clamp(var, min=eps)
        log_v, smallest = ops.log(v), var.array.min(initial=0)
    if smallest < 0:
        raise ArgumentError(
            f"gaussian_nll_loss: var must not be negative; its smallest element is {float(smallest):g}"
        )
    d = x - target
    losses = (log_v + d * d / v) * 0.5
    return reduced(ops, losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


def poisson_nll_loss(
    x: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    *,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Any:
    """Negative log-likelihood of counts under Poisson distributions with rates exp(x), or x itself.

        loss = exp(x) - target x,  or with log_input=False  x - target log(x + eps)

    Parameters
        x, target: numbers of one shape, x floating-point.
        full: where target > 1, add Stirling's approximation of log(target!):
            target log target - target + log(2 pi target) / 2.
        reduction: "none", "sum" or "mean".

    Source: Cameron & Trivedi 1998, equation 2.6 (the likelihood); Stirling: Abramowitz & Stegun 1964, 6.1.41.

    >>> import minigrad as mg
    >>> mg.nn.functional.poisson_nll_loss(mg.tensor([0.0, 1.0]), mg.tensor([1.0, 2.0]), reduction="none")
    tensor([1.    , 0.7183])
    """
    check_reduction("poisson_nll_loss", reduction)
    check_pair("poisson_nll_loss", x, target)
    losses = ops.exp(x) - target * x if log_input else x - target * ops.log(x + eps)
    if full:
        t = ops.clamp(
            target, min=1
        )  # the logarithms below are not wanted where target <= 1, but must be finite
        stirling = t * ops.log(t) - t + 0.5 * ops.log(2 * math.pi * t)
        losses = losses + ops.where(target > 1, stirling, 0.0)
    return reduced(ops, losses, reduction)


def _weighted(name: str, losses: Any, weight: Any) -> Any:
    if weight.shape != losses.shape:
        raise ShapeError(
            f"{name}: weight has shape {list(weight.shape)}; it must be that of x, {list(losses.shape)}"
        )
    return losses * weight
