"""Which way a convolution goes: the kernels of conv2d, its transpose, its gradient by the weight, and the composites.

    3 x 3, stride 1, channels in whole vectors    Winograd; stage by stage where there are many channels
    depthwise                                     conv_depthwise.py
    dilated, in groups, or few results to a row   declined: the plain definition, im2col and a matrix product
    all other                                     register tiles over the image itself

Arrays come as NCHW views of NHWC memory. One that lies otherwise (a batch of images as they come from a file) is
copied, here and nowhere else.
"""

from __future__ import annotations

from functools import lru_cache
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from minigrad.backend.memory import empty
from minigrad.backend.native import (
    batch_norm,
    conv_bn_backward,
    conv_depthwise,
    conv_direct,
    conv_winograd,
    conv_winograd_wide,
)
from minigrad.backend.native.channel_statistics import combine
from minigrad.backend.native.conv_finish import NOTHING, Finish
from minigrad.backend.native.layout import FLOAT, channels_first, channels_last, flat_like

_MANY_CHANNELS = 128 * 128  # of input times of output, from which the filters at the points leave the cache


def _suits(*arrays: Any) -> bool:
    return all(map(_is_taken, arrays))


def _is_taken(a: Any) -> bool:
    return a is None or (type(a) is np.ndarray and a.dtype == FLOAT and a.size > 0)


def _nhwc(x: np.ndarray) -> np.ndarray:
    """(N, H, W, C), C-contiguous: a view, or a copy where x lies otherwise in memory."""
    seen = channels_last(x)
    if seen.flags.c_contiguous:
        return seen
    copy = empty(seen.shape, FLOAT)
    copy[...] = seen
    return copy


def _winograd(C: int, O: int, counts: Any, kernel_size: Any, stride: Any) -> ModuleType | None:
    """The module of Winograd's convolution that suits, if one does."""
    if tuple(kernel_size) != (3, 3) or tuple(stride) != (1, 1) or not conv_winograd.suits(C, O, *counts):
        return None
    return conv_winograd_wide if C * O >= _MANY_CHANNELS else conv_winograd


def _depthwise(groups: int, C: int, O: int) -> bool:
    return groups > 1 and groups == C == O


def _counts(size: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any) -> tuple[int, ...]:
    return tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(size, kernel_size, stride, padding, dilation)
    )


class _Plan(NamedTuple):
    """How a convolution of arrays of certain shapes is done.

    y_shape:  (N, Ho, Wo, O).
    winograd: the module of the way it goes; None for conv_direct.
    parts:    how many pixels each part of y has of which statistics are gathered, float64.
    """

    y_shape: tuple[int, ...]
    winograd: ModuleType | None
    parts: np.ndarray


@lru_cache(maxsize=1024)
def _plan(x_shape: Any, w_shape: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> _Plan | None:
    """The plan for x (N, C, H, W) and w (O, C, Kh, Kw); None if no kernel suits."""
    if groups > 1 or dilation != (1, 1):
        return None
    (N, C, *size), (O, _, *kernel_size) = x_shape, w_shape
    counts = _counts(size, kernel_size, stride, padding, dilation)
    winograd = _winograd(C, O, counts, kernel_size, stride)
    if winograd is None:
        parts = conv_direct.parts_of(N, counts, tuple(size), C, O, kernel_size, stride)
    else:
        parts = np.full(N, float(counts[0] * counts[1]))
    return _Plan((N, *counts, O), winograd, parts)


# ---------------------------------------------------------------- the three operations


def _convolve(
    x: np.ndarray, w: np.ndarray, padding: Any, stride: Any, plan: _Plan, finishing: Finish
) -> np.ndarray:
    """y (N, Ho, Wo, O) of x (N, C, H, W)."""
    x, w, y = _nhwc(x), np.ascontiguousarray(w), empty(plan.y_shape, FLOAT)
    top, left = padding
    if plan.winograd is None:
        conv_direct.convolve(x, w, y, stride, top, left, finishing)
    else:
        plan.winograd.convolve(x, w, y, top, left, finishing=finishing)
    return y


def conv2d_forward(xp: Any, x: Any, w: Any, b: Any, **how: Any) -> Any:
    """Kernel of `conv2d`."""
    if not _suits(x, w, b):
        return None
    if _depthwise(how["groups"], x.shape[1], len(w)):
        return _depthwise_forward(x, w, b, **how)
    plan = _plan(x.shape, w.shape, **how)
    if plan is None:
        return None
    finishing = NOTHING if b is None else Finish(bias=np.ascontiguousarray(b))
    return channels_first(_convolve(x, w, how["padding"], how["stride"], plan, finishing))


def _depthwise_forward(
    x: Any, w: Any, b: Any, *, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    counts = _counts(x.shape[2:], w.shape[2:], stride, padding, dilation)
    y = empty((len(x), *counts, len(w)), FLOAT)
    conv_depthwise.convolve(_nhwc(x), np.ascontiguousarray(w), y, stride, padding, dilation)
    if b is not None:
        y += b
    return channels_first(y)


def conv_transpose2d_forward(
    xp: Any, x: Any, w: Any, b: Any, *, size: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """Kernel of `conv_transpose2d`, which is the gradient of conv2d by its input."""
    if not _suits(x, w, b):
        return None
    (N, O), C = x.shape[:2], w.shape[1] * groups
    depthwise = _depthwise(groups, C, O)
    if not depthwise and (groups > 1 or dilation != (1, 1)):
        return None
    y, g, w = empty((N, *size, C), FLOAT), _nhwc(x), np.ascontiguousarray(w)
    winograd = _winograd(O, C, size, w.shape[2:], stride)
    if depthwise:
        conv_depthwise.input_gradient(g, w, y, stride, padding, dilation)
    elif winograd is not None:
        winograd.convolve(g, w, y, 2 - padding[0], 2 - padding[1], by_input=True)
    else:
        conv_direct.input_gradient(g, w, y, stride, padding)
    if b is not None:
        y += b
    return channels_first(y)


def conv2d_weight_gradient_forward(
    xp: Any, x: Any, g: Any, *, kernel_size: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """Kernel of `conv2d_weight_gradient`."""
    if not _suits(x, g):
        return None
    C, O = x.shape[1], g.shape[1]
    depthwise = _depthwise(groups, C, O)
    if not depthwise and (groups > 1 or dilation != (1, 1)):
        return None
    gw: np.ndarray = np.empty((O, C // groups, *kernel_size), FLOAT)
    x, g = _nhwc(x), _nhwc(g)
    winograd = _winograd(C, O, g.shape[1:3], kernel_size, stride)
    if depthwise:
        conv_depthwise.weight_gradient(x, g, gw, stride, padding, dilation)
    elif winograd is not None:
        winograd.weight_gradient(x, g, gw, *padding)
    elif conv_direct.suits_weight_gradient(C, O, g.shape[1:3], kernel_size):
        conv_direct.weight_gradient(x, g, gw, stride, padding)
    else:
        return None
    return gw


# ---------------------------------------------------------------- with batch norm, a sum and an activation


def conv_bn_act_forward(
    xp: Any, x: Any, w: Any, gamma: Any = None, beta: Any = None, residual: Any = None,
    *, eps: float, activation: str, **how: Any,
) -> Any:  # fmt: skip
    """Kernel of `conv_bn_act`: the statistics are gathered from each image as it is written."""
    if not _suits(x, w, residual) or activation not in batch_norm.ACTIVATIONS:
        return None
    plan = _plan(x.shape, w.shape, **how)
    if plan is None or not _is_added(residual, plan):
        return None
    sums = np.empty((plan.parts.size, 2, len(w)))
    z = _convolve(x, w, how["padding"], how["stride"], plan, Finish(sums=sums.reshape(-1)))
    mean, var = combine(sums, plan.parts)
    added = None if residual is None else flat_like(residual)
    y = empty(z.shape, FLOAT)
    vectors = batch_norm.scale_and_shift(mean, var, gamma, beta, eps)
    batch_norm.apply(z.reshape(-1), y.reshape(-1), vectors, added, batch_norm.ACTIVATIONS[activation])
    column = (1, len(w), 1, 1)
    return channels_first(y), channels_first(z), mean.reshape(column), var.reshape(column)


def _is_added(residual: Any, plan: _Plan) -> bool:
    """Whether a residual, if there is one, has the shape of the result."""
    N, Ho, Wo, O = plan.y_shape
    return residual is None or residual.shape == (N, O, Ho, Wo)


def conv_bn_act_gradient(
    xp: Any, gys: Any, x: Any, w: Any, gamma: Any, y: Any, z: Any, mean: Any, var: Any,
    x_shape: Any, w_shape: Any, needs: Any, *, eps: float, activation: str, **how: Any,
) -> Any:  # fmt: skip
    """Kernel of the gradient of `conv_bn_act`."""
    gy, gz_direct, gmean, gvar = gys
    if not _suits(gy, z, x, w) or gz_direct is not None:
        return None
    sums = batch_norm.first_pass((gy, gmean, gvar), z, gamma, y, mean, var, needs[4], eps, activation)
    if sums is None:
        return None
    gx = gw = None
    if needs[0] and needs[1] and _in_one_go(x.shape, w.shape, **how):
        shape = channels_last(z).shape
        masked = None if sums.y is None else sums.y.reshape(shape)
        weight = np.ascontiguousarray(w)
        gx, gw = conv_bn_backward.backward(
            _nhwc(x), weight, _nhwc(z), sums.gy.reshape(shape), masked, sums.vectors
        )
        gx = channels_first(gx)
    elif needs[0] or needs[1]:
        gz = batch_norm.second_pass(z, sums)
        gx = xp.conv_transpose2d(gz, w, None, size=x_shape[2:], **how) if needs[0] else None
        gw = xp.conv2d_weight_gradient(x, gz, kernel_size=w_shape[2:], **how) if needs[1] else None
    return gx, gw, sums.gw if needs[2] else None, sums.gb if needs[3] else None, sums.residual


@lru_cache(maxsize=1024)
def _in_one_go(x_shape: Any, w_shape: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> bool:
    """Whether both gradients of the convolution can be taken as its output's gradient is made."""
    if groups > 1 or dilation != (1, 1):
        return False
    C, O = x_shape[1], w_shape[0]
    way = _winograd(C, O, x_shape[2:], w_shape[2:], stride)
    return way is conv_winograd and conv_bn_backward.suits(C, O, padding)


def conv_bn_act_inference_forward(
    xp: Any, x: Any, w: Any, mean: Any, var: Any, gamma: Any = None, beta: Any = None, residual: Any = None,
    *, eps: float, activation: str, **how: Any,
) -> Any:  # fmt: skip
    """Kernel of `conv_bn_act_inference`: the scale goes into the weights, the rest into the end of the convolution."""
    if not _suits(x, w, residual) or activation not in batch_norm.ACTIVATIONS:
        return None
    plan = _plan(x.shape, w.shape, **how)
    if plan is None or not _is_added(residual, plan):
        return None
    scale = (var.astype(np.float64) + eps) ** -0.5
    scale = scale if gamma is None else scale * gamma
    shift = -mean * scale if beta is None else beta - mean * scale
    added = {} if residual is None else {"residual": flat_like(residual)}
    finishing = Finish(shift.astype(FLOAT), relu=batch_norm.ACTIVATIONS[activation], **added)
    scaled = (w * scale[:, None, None, None]).astype(FLOAT)
    return channels_first(_convolve(x, scaled, how["padding"], how["stride"], plan, finishing))
