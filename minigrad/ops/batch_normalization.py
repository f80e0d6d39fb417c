"""Batch normalisation, and instance normalisation, which is the same with the statistics of each image by itself."""

from __future__ import annotations

import math
from typing import Any

from minigrad.dtypes import float64
from minigrad.errors import ArgumentError, ShapeError
from minigrad.op import operation
from minigrad.ops.arguments import count
from minigrad.ops.moments import check_data, check_vectors, dot_over, sum_over

__all__ = ["batch_norm", "instance_norm"]
METHODS: list[str] = []

_PAPER = "Ioffe & Szegedy 2015"


def _column(vector: Any, x: Any) -> Any:
    """A vector over channels (C,), shaped (1, C, 1, ...) to stand beside x."""
    return vector.reshape((1, -1) + (1,) * (x.ndim - 2))


def _beside(xp: Any, column: Any, x: Any) -> Any:
    """A column in the dtype of x, and repeated over one image, in the order in which x lies in memory.

    NumPy's inner loop then runs over the whole image and not, channels being innermost, over the few channels.
    """
    column = column.astype(x.dtype)
    return xp.zeros_like(x[:1]) + column if column.shape[0] < x.shape[0] else column


def _normalise(xp: Any, x: Any, w: Any, b: Any, axes: tuple[int, ...], eps: float) -> tuple[Any, Any, Any]:
    """Algorithm 1, with the statistics taken along `axes`; `mean` and `var` keep these axes at length 1."""
    m = count(x.shape, axes)
    mean = sum_over(xp, x, axes) / m
    y = x - _beside(xp, mean, x)  # centred first: then the variance loses no digits to a large mean
    var = dot_over(xp, y, y, axes) / m
    scale = (var + eps) ** -0.5 if w is None else _column(w, x) * (var + eps) ** -0.5
    y *= _beside(xp, scale, x)  # y is ours alone, so write on it
    if b is not None:
        y += _beside(xp, _column(b, x), x)
    return y, mean, var


def _normalise_gradient(
    xp: Any,
    gys: Any,
    x: Any,
    w: Any,
    mean: Any,
    var: Any,
    needs: tuple[bool, ...],
    axes: tuple[int, ...],
    eps: float,
) -> tuple[Any, Any, Any]:
    """The gradient equations of section 3, for x and for the scale and shift that all images share.

    `mean` and `var` are outputs, so gradients may also arrive through them. Sums of gy (x - mean) are taken as
    sum(gy x) - mean sum(gy), and x - mean in gx is multiplied out, which saves writing x - mean to memory once more.
    """
    gy, gmean, gvar = gys
    m = count(x.shape, axes)
    r = (var + eps) ** -0.5
    wr = r if w is None else _column(w, x) * r
    sum_gy = sum_over(xp, gy, axes)
    if needs[0] or needs[1]:
        sum_gyx = dot_over(xp, gy, x, axes) - mean * sum_gy

    gx = gw = gb = None
    if needs[0]:
        gvar = gvar - 0.5 * wr * r * r * sum_gyx
        gmean = gmean - wr * sum_gy  # and nothing by way of the variance, since x - mean sums to 0
        of_x, constant = 2 / m * gvar, (gmean - 2 * gvar * mean) / m
        gx = gy * _beside(xp, wr, x) + x * _beside(xp, of_x, x) + _beside(xp, constant, x)
    if needs[1]:
        gw = xp.sum(sum_gyx * r, axis=0).reshape(-1)
    if needs[2]:
        gb = xp.sum(sum_gy, axis=0).reshape(-1)
    return gx, gw, gb


@operation(
    name="batch_norm",
    formula="y = w (x - mean) / sqrt(var + eps) + b, mean and var of each channel over the batch",
    gradient_formula="gx = w r (gy - mean(gy) - x' mean(gy x')), gw = sum(gy x'), gb = sum(gy), x' = (x - mean) r, "
    "r = 1 / sqrt(var + eps)",
    source=f"{_PAPER}, algorithm 1; gradients: section 3",
    samples=lambda draw: [
        draw.call(draw.normal(4, 3), draw.normal(3), draw.normal(3), eps=1e-5),
        draw.call(draw.normal(2, 3, 2, 4), draw.normal(3), draw.normal(3), eps=1e-3),
        draw.call(draw.normal(3, 2, 4), None, None, eps=1e-5),
        draw.call(draw.normal(2, 2, 2, 2, 3), None, draw.normal(2), eps=0.1),
    ],
    promoted=("x",),  # beside half-precision data, weight and bias may be float32
    outputs=("y", "mean", "var"),
    flops=lambda inputs, outputs, params: 7 * count(inputs[0]),
)
def _batch_norm(xp, x, w, b, *, eps):
    return _normalise(xp, x, w, b, _all_but_channels(x), eps)


@_batch_norm.gradient
def batch_norm_gradient(xp, gys, x, w, mean, var, needs, *, eps):
    return _normalise_gradient(xp, gys, x, w, mean, var, needs, _all_but_channels(x), eps)


def _all_but_channels(x: Any) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def values_per_channel(shape: tuple[int, ...]) -> int:
    """How many numbers of a batch (N, C, ...) a channel's statistics are taken over."""
    return shape[0] * math.prod(shape[2:])


@operation(
    name="instance_norm",
    formula="y = w (x - mean) / sqrt(var + eps) + b, mean and var of each channel of each image",
    gradient_formula="that of batch_norm, with its sums within each image; gw and gb also summed over images",
    source="Ulyanov, Vedaldi & Lempitsky 2016, equation 4",
    samples=lambda draw: [
        draw.call(draw.normal(2, 3, 4), draw.normal(3), draw.normal(3), eps=1e-5),
        draw.call(draw.normal(2, 3, 2, 4), None, None, eps=1e-3),
    ],
    promoted=("x",),
    outputs=("y", "mean", "var"),
    flops=lambda inputs, outputs, params: 7 * count(inputs[0]),
)
def _instance_norm(xp, x, w, b, *, eps):
    return _normalise(xp, x, w, b, tuple(range(2, x.ndim)), eps)


@_instance_norm.gradient
def instance_norm_gradient(xp, gys, x, w, mean, var, needs, *, eps):
    return _normalise_gradient(xp, gys, x, w, mean, var, needs, tuple(range(2, x.ndim)), eps)


@operation(
    name="batch_norm_inference",
    formula="y = w (x - mean) / sqrt(var + eps) + b, mean and var given",
    gradient_formula="gx = gy w r, gw = sum(gy (x - mean) r), gb = sum(gy), gmean = -w r gb, gvar = -w r^2 gw / 2, "
    "r = 1 / sqrt(var + eps)",
    source=f"{_PAPER}, algorithm 2, step 11",
    samples=lambda draw: [
        draw.call(
            draw.normal(2, 3, 2, 2),
            draw.normal(3),
            draw.uniform(0.5, 2, 3),
            draw.normal(3),
            draw.normal(3),
            eps=1e-5,
        ),
        draw.call(draw.normal(4, 2), draw.normal(2), draw.uniform(0.5, 2, 2), None, None, eps=1e-3),
    ],
    promoted=("x",),
    flops=2,
)
def _batch_norm_inference(xp, x, mean, var, w, b, *, eps):
    """Batch normalisation by given statistics, as in evaluation; see `batch_norm`."""
    r = (var.astype(float64) + eps) ** -0.5
    scale = r if w is None else w * r
    shift = -mean * scale if b is None else b - mean * scale
    y = x * _beside(xp, _column(scale, x), x)
    y += _beside(xp, _column(shift, x), x)
    return y


@_batch_norm_inference.gradient
def batch_norm_inference_gradient(xp, gy, x, mean, var, w, needs, *, eps):
    r = (var.astype(float64) + eps) ** -0.5
    wr = r if w is None else w * r
    gx = gy * _beside(xp, _column(wr, x), x) if needs[0] else None
    if not any(needs[1:]):
        return gx, None, None, None, None
    axes = _all_but_channels(x)
    gb = sum_over(xp, gy, axes)
    gw = ((dot_over(xp, gy, x, axes) - _column(mean, x) * gb) * _column(r, x)).reshape(-1)
    gb = gb.reshape(-1)
    return gx, -wr * gb, -0.5 * wr * r * gw, gw, gb


def batch_norm(
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Normalise each channel to mean 0 and variance 1, then scale and shift it.

        y = weight (x - mean) / sqrt(var + eps) + bias

    In training, mean and variance are those of the batch, over N and all positions, and the variance is the biased one
    (divided by the number m of values per channel). In evaluation they are the running ones.

    Parameters
        x: (N, C) or (N, C, ...), floating-point.
        running_mean, running_var: (C,), or None (in training only). Training updates them in place, outside the graph:
            running = (1 - momentum) running + momentum * statistic, with the unbiased variance, m / (m - 1) times var.
        weight, bias: (C,), or None for 1 and 0. Beside half-precision x all vectors may be float32.
        training: whether to use the statistics of the batch.
        momentum: weight of this batch in the running statistics, in [0, 1].
        eps: added to the variance, so that a constant channel becomes 0 and not NaN.

    Returns y, of the shape, dtype and memory layout of x.

    Gradient in training, with x' = (x - mean) r, r = 1 / sqrt(var + eps), means over the m values of a channel:
        gx = weight r (gy - mean(gy) - x' mean(gy x')),   gweight = sum(gy x'),   gbias = sum(gy)
    In evaluation gx = weight r gy. Backward keeps x and, in training, the C means and variances.

    Raises ShapeError for vectors not of length C, and in training for fewer than two values per channel (their variance
    says nothing); DtypeError for data that is not floating-point or vectors of another dtype.

    Source: Ioffe & Szegedy 2015, "Batch Normalization", algorithms 1 and 2; gradients in section 3.

    >>> import minigrad as mg
    >>> x = mg.tensor([[1.0, 10.0], [2.0, 30.0], [3.0, 20.0]])
    >>> mean, var = mg.zeros(2), mg.ones(2)
    >>> mg.nn.functional.batch_norm(x, mean, var, training=True).mean(dim=0)
    tensor([0., 0.])
    >>> mean, var                      # a tenth of the way from 0 and 1 to the batch's mean and unbiased variance
    (tensor([0.2, 2. ]), tensor([ 1. , 10.9]))
    """
    check_data("batch_norm", x, 2)
    check_vectors(
        "batch_norm",
        x,
        x.shape[1:2],
        weight=weight,
        bias=bias,
        running_mean=running_mean,
        running_var=running_var,
    )
    if not training:
        return _with_running_statistics("batch_norm", x, running_mean, running_var, weight, bias, eps)
    m = values_per_channel(x.shape)
    if m < 2:
        raise ShapeError(
            f"batch_norm in training needs at least two values per channel; x of shape {list(x.shape)} has {m}. "
            "Use larger batches (drop_last=True leaves out a last one of one image), or evaluate with training=False"
        )
    y, mean, var = _batch_norm(x, weight, bias, eps=eps)
    update_running_statistics("batch_norm", running_mean, running_var, mean, var, m, momentum)
    return y


def update_running_statistics(
    name: str, running_mean: Any, running_var: Any, mean: Any, var: Any, m: int, momentum: float
) -> None:
    """Move running statistics, where there are any, to those of a batch with m values per channel; see `batch_norm`."""
    _update_running(name, running_mean, mean.array.reshape(-1), momentum)
    _update_running(name, running_var, var.array.reshape(-1), momentum, m / (m - 1))


def instance_norm(
    x: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Normalise each channel of each image by itself to mean 0 and variance 1, then scale and shift it.

        y[n, c] = weight[c] (x[n, c] - mean[n, c]) / sqrt(var[n, c] + eps) + bias[c]

    Parameters
        x: (N, C, ...) with at least one more dimension, floating-point.
        running_mean, running_var: (C,) or None; moved in place, as by `batch_norm`, to the statistics' mean over N.
        weight, bias: (C,), or None for 1 and 0.
        use_input_stats: False normalises by the running statistics, as `batch_norm` does in evaluation.
        momentum, eps: as for `batch_norm`.

    Returns y, of the shape and dtype of x. The gradient is that of `batch_norm` with its sums within each image.

    Raises ShapeError for vectors not of length C, and for fewer than two values per channel of an image.

    Source: Ulyanov, Vedaldi & Lempitsky 2016, "Instance Normalization", equation 4.

    >>> import minigrad as mg
    >>> mg.nn.functional.instance_norm(mg.tensor([[[1.0, 3.0], [-5.0, 5.0]]]), eps=0.0)
    tensor([[[-1.,  1.],
             [-1.,  1.]]])
    """
    check_data("instance_norm", x, 3)
    check_vectors(
        "instance_norm",
        x,
        x.shape[1:2],
        weight=weight,
        bias=bias,
        running_mean=running_mean,
        running_var=running_var,
    )
    if not use_input_stats:
        return _with_running_statistics("instance_norm", x, running_mean, running_var, weight, bias, eps)
    m = count(x.shape, tuple(range(2, x.ndim)))
    if m < 2:
        raise ShapeError(
            f"instance_norm needs at least two values per channel of an image; x of shape {list(x.shape)} has {m}"
        )
    y, mean, var = _instance_norm(x, weight, bias, eps=eps)
    n, c = x.shape[:2]
    if n:
        _update_running("instance_norm", running_mean, mean.array.reshape(n, c).mean(axis=0), momentum)
        _update_running(
            "instance_norm", running_var, var.array.reshape(n, c).mean(axis=0), momentum, m / (m - 1)
        )
    return y


def _with_running_statistics(
    name: str, x: Any, mean: Any, var: Any, weight: Any, bias: Any, eps: float
) -> Any:
    if mean is None or var is None:
        raise ArgumentError(
            f"{name} without the statistics of the batch needs running_mean and running_var; at least one is None"
        )
    return _batch_norm_inference(x, mean, var, weight, bias, eps=eps)


def _update_running(name: str, running: Any, statistic: Any, momentum: float, factor: float = 1) -> None:
    """Move a running statistic in place, towards `factor` times one; counted as a write, recorded in no graph."""
    if not 0 <= momentum <= 1:
        raise ArgumentError(f"{name}: momentum must lie between 0 and 1, not {momentum!r}")
    if running is None:
        return
    # In float64, rounded once; and written without operations, which would cost more than they compute
    running._write(
        lambda a: a.__setitem__(..., (1 - momentum) * a.astype(float64) + momentum * factor * statistic)
    )
