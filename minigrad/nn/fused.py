"""Layers in a row, run as one operation: convolution, batch norm, shortcut and activation.

The functions here take the layers themselves, which keep their names, parameters and running averages. Where possible
they run one composite operation (`minigrad/ops/composites.py`), for which a device may have one kernel; else the layers
run one after the other: the plain path. Both give the same values, gradients and state, up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from minigrad import dtypes, engine, observe, ops, scopes
from minigrad.errors import ArgumentError
from minigrad.nn.activation import ReLU
from minigrad.nn.activation_smooth import Sigmoid, Tanh
from minigrad.nn.batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from minigrad.nn.conv import Conv2d
from minigrad.nn.fusing import may_fuse
from minigrad.nn.linear import Linear
from minigrad.nn.module import Module
from minigrad.op import Operation, get_operation
from minigrad.ops.batch_normalization import update_running_statistics, values_per_channel
from minigrad.ops.window import ints, window_counts
from minigrad.tensor import Tensor

__all__ = ["batch_norm_act", "conv_bn_act", "linear_act"]

Activation = str | Callable[[Tensor], Tensor]

_BATCH_NORM_ACT = get_operation("batch_norm_act")
_CONV_BN_ACT = get_operation("conv_bn_act")
_CONV_BN_ACT_INFERENCE = get_operation("conv_bn_act_inference")
_LINEAR_ACT = get_operation("linear_act")

_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda y: y,
    "relu": ops.relu,
    "tanh": ops.tanh,
    "sigmoid": ops.sigmoid,
}
_NAMES: dict[type, str] = {ReLU: "relu", Tanh: "tanh", Sigmoid: "sigmoid"}


def conv_bn_act(
    x: Tensor, conv: Module, bn: Module, activation: Activation = "relu", residual: Tensor | None = None
) -> Tensor:
    """Convolution, batch normalisation, a shortcut and an activation: y = act(bn(conv(x)) + residual).

    x:          (N, C, H, W), in any memory layout.
    conv, bn:   the layers, a Conv2d and a BatchNorm2d. In training bn's running averages move, as if it were called.
    activation: "relu" or "none"; or a layer (or function), which is called if it is no ReLU.
    residual:   what is added before the activation, (N, O, Ho, Wo), or None.

    Returns y (N, O, Ho, Wo). The gradient is that of the layers in a row.

    One composite operation where it can say the same; else, with equal results, the layers run by themselves. That is
    so for a convolution with a bias or a border that is not of zeros, a residual that would be broadcast or promoted,
    a bn in evaluation whose weight and bias are learnt, and for layers of other kinds. It is so too, and said once per
    layer by a PlainPathWarning, where a layer has hooks or a forward of its own, which must run. The environment
    variable MINIGRAD_COMPOSITES=off has all layers run by themselves. In half precision the composite rounds once, the
    layers after each of them.
    Errors: those of the layers, and ArgumentError for an unknown activation.
    Source: He et al. 2016, figure 2; Ioffe & Szegedy 2015, section 3.2.

    >>> import minigrad as mg
    >>> conv, bn = mg.nn.Conv2d(3, 8, 3, padding=1, bias=False), mg.nn.BatchNorm2d(8)
    >>> x = mg.randn(2, 3, 5, 5)
    >>> mg.nn.functional.conv_bn_act(x, conv, bn, residual=mg.ones(2, 8, 5, 5)).shape
    (2, 8, 5, 5)
    >>> bn.num_batches_tracked
    tensor(1)
    """
    name = _name_of("conv_bn_act", activation, ("relu", "none"))
    norm: Any = bn  # a checker of types knows no attributes of modules
    if name and isinstance(conv, Conv2d) and isinstance(bn, BatchNorm2d):
        shape, options = _conv_options(x, conv)
        fits = shape and _norm_fits(bn, x, shape) and _adds(residual, x, shape)
        if fits and may_fuse("conv_bn_act", (conv, Conv2d), (bn, BatchNorm2d), *_as_layer(activation)):
            options = {**options, "eps": norm.eps, "activation": name}
            return _fused_conv(x, conv, bn, residual, shape, options)
    return _ended(bn(conv(x)), activation, residual)


def batch_norm_act(
    x: Tensor, bn: Module, activation: Activation = "relu", residual: Tensor | None = None
) -> Tensor:
    """Batch normalisation, a shortcut and an activation: y = act(bn(x) + residual).

    x:  (N, C, ...), as bn takes it: a BatchNorm1d, BatchNorm2d or BatchNorm3d.

    Returns y, of the shape of x. In training one composite operation, in evaluation the parts. Everything else is as in
    `conv_bn_act`.

    >>> import minigrad as mg
    >>> mg.nn.functional.batch_norm_act(mg.tensor([[1.0], [3.0]]), mg.nn.BatchNorm1d(1, eps=0)).tolist()
    [[0.0], [1.0]]
    """
    name = _name_of("batch_norm_act", activation, ("relu", "none"))
    norm: Any = bn
    kind = next((k for k in (BatchNorm2d, BatchNorm1d, BatchNorm3d) if isinstance(bn, k)), None)
    if name and kind and isinstance(x, Tensor) and x.ndim in norm.dims and x.dtype in dtypes.FLOATING:
        fits = norm._uses_batch() and _norm_fits(norm, x, x.shape) and _adds(residual, x, x.shape)
        if fits and may_fuse("batch_norm_act", (bn, kind), *_as_layer(activation)):
            momentum = norm._count_batch()
            given = (x, norm.weight, norm.bias, residual)
            y, mean, var = _run(_BATCH_NORM_ACT, (bn,), given, {"eps": norm.eps, "activation": name})
            _update_running("batch_norm_act", norm, mean, var, x.shape, momentum)
            return y
    return _ended(bn(x), activation, residual)


def linear_act(x: Tensor, linear: Module, activation: Activation = "relu") -> Tensor:
    """A fully connected layer and an activation: y = act(x W^T + b).

    x:          (..., in_features).
    linear:     the layer, a Linear.
    activation: "relu", "tanh" or "sigmoid"; or a layer (or function), which is called if it is none of these.

    Returns y (..., out_features). One composite operation where it can say the same, as for `conv_bn_act`.

    >>> import minigrad as mg
    >>> layer = mg.nn.Linear(2, 1, bias=False)
    >>> _ = mg.nn.init.ones_(layer.weight)
    >>> mg.nn.functional.linear_act(mg.tensor([[1.0, 2.0], [1.0, -2.0]]), layer).tolist()
    [[3.0], [0.0]]
    """
    name = _name_of("linear_act", activation, ("relu", "tanh", "sigmoid"))
    layer: Any = linear
    fits = name is not None and isinstance(linear, Linear) and _linear_fits(x, linear)
    if fits and may_fuse("linear_act", (linear, Linear), *_as_layer(activation)):
        return _run(_LINEAR_ACT, (linear,), (x, layer.weight, layer.bias), {"activation": name})
    return _ended(linear(x), activation, None)


# ---------------------------------------------------------------- activations, shortcuts


def _name_of(function: str, activation: Activation, known: tuple[str, ...]) -> str | None:
    """The composite's name for an activation; None for one that it does not have."""
    name = activation if isinstance(activation, str) else _NAMES.get(type(activation))
    unknown = name not in known if isinstance(activation, str) else not callable(activation)
    if unknown:
        raise ArgumentError(
            f"{function}: activation must be {', '.join(map(repr, known))} or a layer, not {activation!r}"
        )
    return name if name in known else None


def _as_layer(activation: Activation) -> tuple[tuple[Module, type[Module]], ...]:
    """An activation that is a layer may have hooks."""
    return ((activation, type(activation)),) if isinstance(activation, Module) else ()


def _ended(y: Tensor, activation: Activation, residual: Any) -> Tensor:
    """The plain path's end."""
    y = y if residual is None else y + residual
    return _FUNCTIONS[activation](y) if isinstance(activation, str) else activation(y)


def _adds(residual: Any, x: Tensor, shape: tuple[int, ...]) -> bool:
    """Whether a residual is added without being broadcast or promoted."""
    return residual is None or (
        isinstance(residual, Tensor) and residual.dtype == x.dtype and residual.shape == shape
    )


# ---------------------------------------------------------------- what composites can say
#
# A call with an error in it fits no composite: the layers then raise their own error.


def _conv_options(x: Any, conv: Any) -> tuple[tuple[int, ...], dict[str, Any]]:
    """Shape of a convolution's result, and the composite's options for it; both empty if it cannot express it."""
    w = conv.weight
    if not (isinstance(x, Tensor) and x.ndim == w.ndim == 4 and x.dtype == w.dtype):
        return (), {}
    if conv.bias is not None or conv.padding_mode != "zeros" or x.dtype not in dtypes.FLOATING:
        return (), {}
    stride, padding, dilation = map(_fixed, (conv.stride, conv.padding, conv.dilation))
    return _options_of(x.shape, w.shape, stride, padding, dilation, conv.groups)


def _fixed(setting: Any) -> Any:
    return tuple(setting) if isinstance(setting, list) else setting


@lru_cache(maxsize=1024)
def _options_of(
    x_shape: Any, w_shape: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> tuple[tuple[int, ...], dict[str, Any]]:
    """`_conv_options` by shapes and settings: found once, not once a step. The dict is not to be changed."""
    (N, C, *size), (O, of_C, *kernel) = x_shape, w_shape
    stride, dilation = ints("conv2d", "stride", stride, 2, 1), ints("conv2d", "dilation", dilation, 2, 1)
    padding = 0 if padding == "valid" else padding
    if padding == "same":
        zeros = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        if any(z % 2 for z in zeros):  # one more at the end than in front
            return (), {}
        padding = tuple(z // 2 for z in zeros)
    padding = ints("conv2d", "padding", padding, 2, 0)
    counts = window_counts(size, kernel, stride, padding, dilation)
    if min(*counts, *kernel) < 1 or of_C * groups != C or O % groups:
        return (), {}
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return (N, O, *counts), options


def _norm_fits(bn: Any, x: Tensor, shape: tuple[int, ...]) -> bool:
    """Whether a norm takes data of that shape: its vectors have length C and the dtype of x, or float32 beside half."""
    channels, dtype = (shape[1],), x.dtype
    if bn.num_features != channels[0] or (bn._uses_batch() and values_per_channel(shape) < 2):
        return False
    for vector in (bn.weight, bn.bias, bn.running_mean, bn.running_var):
        if vector is not None and (
            vector.shape != channels
            or not (vector.dtype == dtype or (dtype in dtypes.HALF and vector.dtype == dtypes.float32))
        ):
            return False
    if bn._uses_batch():
        return True
    learnt = engine.is_grad_enabled() and any(v is not None and v.requires_grad for v in (bn.weight, bn.bias))
    # The composite by given statistics does not keep conv(x), which the gradients of weight and bias ask for
    return bn.running_var is not None and not learnt


def _linear_fits(x: Any, linear: Linear) -> bool:
    w, b = linear.weight, linear.bias
    return (
        isinstance(x, Tensor)
        and w.ndim == 2
        and x.ndim > 0
        and x.shape[-1] == w.shape[1]
        and x.dtype == w.dtype
        and x.dtype in dtypes.FLOATING
        and (b is None or (b.shape == w.shape[:1] and b.dtype == x.dtype))
    )


def _fused_conv(
    x: Tensor, conv: Any, bn: Any, residual: Any, shape: tuple[int, ...], options: dict
) -> Tensor:
    if not bn._uses_batch():
        statistics = (bn.running_mean, bn.running_var)
        inputs = (x, conv.weight, *statistics, bn.weight, bn.bias, residual)
        return _run(_CONV_BN_ACT_INFERENCE, (conv, bn), inputs, options)
    momentum = bn._count_batch()
    given = (x, conv.weight, bn.weight, bn.bias, residual)
    y, _, mean, var = _run(_CONV_BN_ACT, (conv, bn), given, options)
    _update_running("conv_bn_act", bn, mean, var, shape, momentum)
    return y


def _run(composite: Operation, layers: tuple[Module, ...], inputs: tuple, options: dict[str, Any]) -> Any:
    """Run a composite for these layers: observers learn which."""
    if observe.observers or observe.interceptors:
        with scopes.running(*layers):
            return engine.apply(composite, inputs, options)
    return engine.apply(composite, inputs, options)


def _update_running(
    name: str, bn: Any, mean: Tensor, var: Tensor, shape: tuple[int, ...], momentum: float
) -> None:
    m = values_per_channel(shape)
    update_running_statistics(name, bn.running_mean, bn.running_var, mean, var, m, momentum)
