"""Normalisation of each sample by itself: layer, group and root-mean-square norm, and vectors to length 1."""

from __future__ import annotations

from typing import Any

import ml_dtypes

from minigrad import ops
from minigrad.errors import ArgumentError, ShapeError
from minigrad.op import operation
from minigrad.ops.arguments import count
from minigrad.ops.moments import (
    check_data,
    check_vectors,
    dot_over,
    standardise,
    standardise_gradient,
    sum_over,
)

__all__ = ["group_norm", "layer_norm", "normalize", "rms_norm"]
METHODS: list[str] = []


def _split_axes(x: Any, normalized_shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes before the normalised ones, and the normalised ones, which are last."""
    first = x.ndim - len(normalized_shape)
    return tuple(range(first)), tuple(range(first, x.ndim))


@operation(
    name="layer_norm",
    formula="y = w (x - mean) / sqrt(var + eps) + b, mean and var over the last axes",
    gradient_formula="gx = r (g - mean(g) - x' mean(g x')), gw = sum(gy x'), gb = sum(gy), x' = (x - mean) r, g = w gy",
    source="Ba, Kiros & Hinton 2016, equation 4",
    samples=lambda draw: [
        draw.call(draw.normal(2, 3, 4), draw.normal(4), draw.normal(4), normalized_shape=(4,), eps=1e-5),
        draw.call(draw.normal(3, 2, 4), draw.normal(2, 4), None, normalized_shape=(2, 4), eps=1e-3),
        draw.call(draw.normal(5), draw.normal(5), draw.normal(5), normalized_shape=(5,), eps=1e-5),
    ],
    promoted=("x",),  # beside half-precision data, weight and bias may be float32
    flops=lambda inputs, outputs, params: 7 * count(inputs[0]),
)
def _layer_norm(xp, x, w, b, *, normalized_shape, eps):
    y, _ = standardise(xp, x, _split_axes(x, normalized_shape)[1], eps)
    if w is not None:
        y *= w  # y is ours alone, so write on it
    if b is not None:
        y += b
    return y


@_layer_norm.gradient
def layer_norm_gradient(xp, gy, x, w, needs, *, normalized_shape, eps):
    lead, axes = _split_axes(x, normalized_shape)
    gx = gw = gb = None
    if needs[0] or needs[1]:
        normalised, r = standardise(xp, x, axes, eps)
    if needs[0]:
        gx = standardise_gradient(xp, gy if w is None else gy * w, normalised, r, axes)
    if needs[1]:
        gw = dot_over(xp, gy, normalised, lead).reshape(normalized_shape)
    if needs[2]:
        gb = sum_over(xp, gy, lead).reshape(normalized_shape)
    return gx, gw, gb


def _column(vector: Any, x: Any) -> Any:
    """A vector over channels (C,), shaped (1, C, 1, ...) to stand beside x."""
    return vector.reshape((1, -1) + (1,) * (x.ndim - 2))


def _grouped(x: Any, num_groups: int) -> tuple[int, ...]:
    """The shape (N, G, C / G, ...)."""
    return (x.shape[0], num_groups, x.shape[1] // num_groups, *x.shape[2:])


@operation(
    name="group_norm",
    formula="y = w (x - mean) / sqrt(var + eps) + b, mean and var over each group of channels of each sample",
    gradient_formula="gx = r (g - mean(g) - x' mean(g x')), gw = sum(gy x'), gb = sum(gy), x' = (x - mean) r, g = w gy",
    source="Wu & He 2018, equations 1, 2 and 7",
    samples=lambda draw: [
        draw.call(draw.normal(2, 4, 3), draw.normal(4), draw.normal(4), num_groups=2, eps=1e-5),
        draw.call(draw.normal(3, 6), None, None, num_groups=2, eps=1e-3),
        draw.call(draw.normal(2, 3, 2, 2), draw.normal(3), None, num_groups=1, eps=1e-5),
    ],
    promoted=("x",),
    flops=lambda inputs, outputs, params: 7 * count(inputs[0]),
)
def _group_norm(xp, x, w, b, *, num_groups, eps):
    grouped = x.reshape(_grouped(x, num_groups))  # (N, G, C/G, ...)
    y = standardise(xp, grouped, tuple(range(2, grouped.ndim)), eps)[0].reshape(x.shape)
    if w is not None:
        y *= _column(w, x)
    if b is not None:
        y += _column(b, x)
    return y


@_group_norm.gradient
def group_norm_gradient(xp, gy, x, w, needs, *, num_groups, eps):
    shape, but_channels = _grouped(x, num_groups), (0, *range(2, x.ndim))
    axes = tuple(range(2, len(shape)))
    gx = gw = gb = None
    if needs[0] or needs[1]:
        normalised, r = standardise(xp, x.reshape(shape), axes, eps)  # (N, G, C/G, ...), (N, G, 1, ...)
    if needs[0]:
        g = (gy if w is None else gy * _column(w, x)).reshape(shape)
        gx = standardise_gradient(xp, g, normalised, r, axes).reshape(x.shape)
    if needs[1]:
        gw = dot_over(xp, gy, normalised.reshape(x.shape), but_channels).reshape(-1)
    if needs[2]:
        gb = sum_over(xp, gy, but_channels).reshape(-1)
    return gx, gw, gb


def _inverse_rms(xp: Any, x: Any, axes: tuple[int, ...], eps: float) -> Any:
    return (dot_over(xp, x, x, axes) / count(x.shape, axes) + eps) ** -0.5


@operation(
    name="rms_norm",
    formula="y = w x / sqrt(mean(x^2) + eps), the mean over the last axes",
    gradient_formula="gx = r (g - x' mean(g x')), gw = sum(gy x'), x' = x r, g = w gy",
    source="Zhang & Sennrich 2019, equation 4",
    samples=lambda draw: [
        draw.call(draw.normal(2, 3, 4), draw.normal(4), normalized_shape=(4,), eps=1e-5),
        draw.call(draw.normal(3, 2, 4), None, normalized_shape=(2, 4), eps=1e-3),
    ],
    promoted=("x",),
    flops=lambda inputs, outputs, params: 4 * count(inputs[0]),
)
def _rms_norm(xp, x, w, *, normalized_shape, eps):
    y = x * _inverse_rms(xp, x, _split_axes(x, normalized_shape)[1], eps).astype(x.dtype)
    if w is not None:
        y *= w
    return y


@_rms_norm.gradient
def rms_norm_gradient(xp, gy, x, w, needs, *, normalized_shape, eps):
    lead, axes = _split_axes(x, normalized_shape)
    r = _inverse_rms(xp, x, axes, eps).astype(x.dtype)
    normalised, gx = x * r, None
    if needs[0]:
        g = gy if w is None else gy * w
        mean_gx = dot_over(xp, g, normalised, axes) / count(x.shape, axes)
        gx = r * (g - normalised * mean_gx.astype(x.dtype))
    gw = dot_over(xp, gy, normalised, lead).reshape(normalized_shape) if needs[1] else None
    return gx, gw


def layer_norm(x: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Normalise each sample to mean 0 and variance 1 over its last dimensions, then scale and shift its elements.

        y = weight (x - mean) / sqrt(var + eps) + bias

    Parameters
        x: floating-point, (..., *normalized_shape).
        normalized_shape: the lengths of the last dimensions, over which mean and (biased) variance are taken; an int
            for one.
        weight, bias: of normalized_shape, or None for 1 and 0. Beside half-precision x they may be float32.
        eps: added to the variance.

    Returns y, of the shape and dtype of x.

    Gradient, with x' = (x - mean) r, r = 1 / sqrt(var + eps), g = weight gy and means over a sample:
        gx = r (g - mean(g) - x' mean(g x')),   gweight = sum(gy x') and gbias = sum(gy) over the samples
    Backward keeps x.

    Raises ShapeError if x does not end in normalized_shape, or weight or bias has another shape.

    Source: Ba, Kiros & Hinton 2016, "Layer Normalization", equation 4.

    >>> import minigrad as mg
    >>> mg.nn.functional.layer_norm(mg.tensor([[1.0, 3.0], [-5.0, 5.0]]), 2, eps=0.0)
    tensor([[-1.,  1.],
            [-1.,  1.]])
    """
    shape = _checked_last_dims("layer_norm", x, normalized_shape)
    check_vectors("layer_norm", x, shape, weight=weight, bias=bias)
    return _layer_norm(x, weight, bias, normalized_shape=shape, eps=eps)


def rms_norm(x: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    """Divide each sample by the root of its mean square over its last dimensions, then scale its elements.

        y = weight x / sqrt(mean(x^2) + eps)

    Parameters are those of `layer_norm`; eps defaults to the spacing of x's numbers at 1 (1.2e-7 for float32).

    Gradient, with x' = x / sqrt(mean(x^2) + eps) and g = weight gy:
        gx = (g - x' mean(g x')) / sqrt(mean(x^2) + eps),   gweight = sum(gy x')

    Source: Zhang & Sennrich 2019, "Root Mean Square Layer Normalization", equation 4.

    >>> import minigrad as mg
    >>> mg.nn.functional.rms_norm(mg.tensor([1.0, -7.0]), 2)
    tensor([ 0.2, -1.4])
    """
    shape = _checked_last_dims("rms_norm", x, normalized_shape)
    check_vectors("rms_norm", x, shape, weight=weight)
    eps = float(ml_dtypes.finfo(x.dtype).eps) if eps is None else eps
    return _rms_norm(x, weight, normalized_shape=shape, eps=eps)


def group_norm(x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Normalise each group of channels of each sample to mean 0 and variance 1, then scale and shift its channels.

        y = weight (x - mean) / sqrt(var + eps) + bias

    Parameters
        x: floating-point, (N, C, ...).
        num_groups: into how many groups of neighbours the C channels are divided; C must be a multiple of it. 1 takes
            all channels together, C each by itself.
        weight, bias: (C,), or None for 1 and 0. Beside half-precision x they may be float32.
        eps: added to the (biased) variance.

    Returns y, of the shape and dtype of x. The gradient of x is that of `layer_norm`, with means over a group.

    Source: Wu & He 2018, "Group Normalization", equations 1, 2 and 7.

    >>> import minigrad as mg
    >>> mg.nn.functional.group_norm(mg.tensor([[1.0, 3.0, -5.0, 5.0]]), 2, eps=0.0)
    tensor([[-1.,  1., -1.,  1.]])
    """
    check_data("group_norm", x, 2)
    if num_groups < 1 or x.shape[1] % num_groups:
        raise ArgumentError(
            f"group_norm: the channels of x, {x.shape[1]} in shape {list(x.shape)}, cannot be divided into "
            f"{num_groups!r} equal groups"
        )
    check_vectors("group_norm", x, x.shape[1:2], weight=weight, bias=bias)
    return _group_norm(x, weight, bias, num_groups=num_groups, eps=eps)


def normalize(x: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Any:
    """Divide the vectors along `dim` by their p-norm: y = x / max(||x||_p, eps).

    Parameters
        x: floating-point, any shape that has `dim`.
        p: exponent of the norm; 2 is Euclid's, float("inf") the largest magnitude.
        dim: the dimension, or several, along which the vectors lie.
        eps: the smallest divisor, so that a vector of zeros stays one.

    >>> import minigrad as mg
    >>> mg.nn.functional.normalize(mg.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6, 0.8],
            [0. , 0. ]])
    """
    check_data("normalize", x, 0)
    return x / ops.clamp(ops.norm(x, p, dim, keepdim=True), min=eps)


def _checked_last_dims(name: str, x: Any, normalized_shape: Any) -> tuple[int, ...]:
    """normalized_shape as a tuple, which must be the last lengths of x."""
    check_data(name, x)
    shape = (normalized_shape,) if hasattr(normalized_shape, "__index__") else tuple(normalized_shape)
    if not shape or x.shape[-len(shape) :] != shape:
        raise ShapeError(
            f"{name}: normalized_shape is {list(shape)}; x of shape {list(x.shape)} must end in it"
        )
    return tuple(int(n) for n in shape)
