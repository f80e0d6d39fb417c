"""Composites: operations that are several others in a row, so that one kernel may stand in for the whole row.

A composite's forward *is* the plain composition it equals, written as calls of `xp.<operation>`. On arrays that runs
the parts one after the other. With the traced namespace the same text becomes the parts as operations of their own,
recorded and observed one by one: `expand` does that, to show what happens inside. Its gradient calls the gradients of
the parts, on results that the composite puts out for them, so that training computes nothing twice.

Half precision: a composite is one operation, widened once and rounded once, where its parts on their own round after
each of them, so it is closer to the float32 result. What it keeps on the way (z) is kept rounded, as by the parts.
Otherwise types meet as they do there: beside half-precision data, the norm's vectors may be float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minigrad import backward, engine
from minigrad.errors import ArgumentError, ShapeError
from minigrad.op import Operation, get_operation, operation
from minigrad.ops.activation_linear import relu_gradient
from minigrad.ops.batch_normalization import batch_norm_gradient, batch_norm_inference_gradient
from minigrad.ops.conv import conv2d_gradient, convolution_settings
from minigrad.ops.linalg import linear_gradient
from minigrad.ops.transcendental import sigmoid_gradient
from minigrad.ops.trigonometric import tanh_gradient

__all__: list[str] = []  # reached by layers: `minigrad.nn.functional.conv_bn_act` and others
METHODS: list[str] = []

COMPOSITES: set[str] = set()
"""Names of the operations that declare themselves to be the plain composition that their forward is."""

ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "none": lambda xp, gy, y: gy,
    "relu": relu_gradient,
    "tanh": tanh_gradient,
    "sigmoid": sigmoid_gradient,
}
"""What may end a composite, with its gradient: activations whose derivative is a function of their result."""

_NORM_SOURCE = "Ioffe & Szegedy 2015, section 3.2"


def composite(**description: Any) -> Callable[[Callable[..., Any]], Operation]:
    """`operation`, for a forward that is written as calls of other operations of `xp` and equals them in a row."""

    def register(forward: Callable[..., Any]) -> Operation:
        op = operation(**description)(forward)
        COMPOSITES.add(op.name)
        return op

    return register


def expand(op: Operation | str, inputs: Sequence[Any], params: dict[str, Any]) -> Any:
    """A composite's outputs, computed by its parts: each is an operation that is recorded and observed by itself.

    op:     the composite, or its name.
    inputs: its tensors, as it is called with; optional ones may be None or left out.
    params: its options.

    Returns what calling the composite returns, in a graph of its own. Values and derivatives are equal up to rounding.
    Raises ArgumentError for an operation that is no composite, and where no input is a tensor.

    >>> import minigrad as mg
    >>> x, w = mg.tensor([[1.0, -2.0]]), mg.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> with mg.profile() as p:
    ...     expand("linear_act", (x, w, None), {"activation": "relu"})
    tensor([[1., 0.]])
    >>> [name for name, phase in p.rows]
    ['linear', 'relu']
    """
    op = get_operation(op) if isinstance(op, str) else op
    if op.name not in COMPOSITES:
        raise ArgumentError(f"{op.name} is not a composite; composites are {', '.join(sorted(COMPOSITES))}")
    devices = [x.backend for x in inputs if isinstance(x, engine.Tensor)]
    if not devices:
        raise ArgumentError(f"{op.name} is to be expanded on tensors; none was given")
    xp = backward.TracedNamespace(devices[0])
    return op.forward(xp, *op.complete(tuple(inputs)), **{**op.defaults, **params})


# ---------------------------------------------------------------- how composites end


def _end(xp: Any, y: Any, residual: Any, activation: str) -> Any:
    """activation(y + residual)."""
    if residual is not None:
        if tuple(residual.shape) != tuple(y.shape):
            raise ShapeError(
                f"the residual has shape {list(residual.shape)}, what it is added to {list(y.shape)}; they must agree"
            )
        y = xp.add(y, residual)
    if activation not in ACTIVATIONS:
        raise ArgumentError(f"activation must be one of {', '.join(ACTIVATIONS)}, not {activation!r}")
    return y if activation == "none" else getattr(xp, activation)(y)


def _end_flops(shape: tuple[int, ...], residual: tuple[int, ...], activation: str) -> float:
    flops = get_operation("add").flops([shape, residual], [shape], {}) if residual else 0
    return flops + (0 if activation == "none" else get_operation(activation).flops([shape], [shape], {}))


def _norm_flops(norm: str) -> Callable[[list, list, dict], float]:
    """Of a norm and an end."""

    def flops(inputs: list, outputs: list, params: dict) -> float:
        shape = outputs[0]
        end = _end_flops(shape, inputs[-1], params["activation"])
        return get_operation(norm).flops([shape], [shape], params) + end

    return flops


def _conv_flops(norm: str) -> Callable[[list, list, dict], float]:
    """Of a convolution, a norm and an end."""

    def flops(inputs: list, outputs: list, params: dict) -> float:
        return get_operation("conv2d").flops(inputs, outputs, params) + _norm_flops(norm)(
            inputs, outputs, params
        )

    return flops


# ---------------------------------------------------------------- batch norm, sum, activation


@composite(
    name="batch_norm_act",
    formula="y = act(batch_norm(x) + residual)",
    gradient_formula="g = gradient of act by y; gresidual = g; gx, gw, gb = gradient of batch_norm by g",
    source=_NORM_SOURCE,
    samples=lambda draw: [
        draw.call(draw.normal(4, 3), draw.normal(3), draw.normal(3), None, eps=1e-3, activation="relu"),
        draw.call(
            draw.normal(3, 2, 2, 3),
            draw.normal(2),
            draw.normal(2),
            draw.normal(3, 2, 2, 3),
            eps=1e-2,
            activation="relu",
        ),
        draw.call(draw.normal(3, 2, 4), None, None, draw.normal(3, 2, 4), eps=0.1, activation="none"),
    ],
    promoted=("x", "residual"),  # beside half-precision data, weight and bias may be float32
    outputs=("y", "mean", "var"),
    flops=_norm_flops("batch_norm"),
)
def _batch_norm_act(xp, x, w=None, b=None, residual=None, *, eps, activation):
    """Batch normalisation, a sum and an activation; see `minigrad.nn.functional.batch_norm_act`."""
    y, mean, var = xp.batch_norm(x, w, b, eps=eps)
    return _end(xp, y, residual, activation), mean, var


@_batch_norm_act.gradient
def batch_norm_act_gradient(xp, gys, x, w, y, mean, var, needs, *, eps, activation):
    gy, gmean, gvar = gys
    g = ACTIVATIONS[activation](xp, gy, y)
    gx, gw, gb = batch_norm_gradient(xp, (g, gmean, gvar), x, w, mean, var, needs[:3], eps=eps)
    return gx, gw, gb, g


# ---------------------------------------------------------------- convolution, batch norm, sum, activation


def _conv_samples(draw: Any, statistics: bool) -> list:
    """As in residual networks: with and without a shortcut, strided 1 x 1 without an activation; and in groups."""
    normal, how = draw.normal, convolution_settings

    def call(x: Any, w: Any, affine: bool, residual: Any, activation: str, how: dict) -> Any:
        C = w.shape[0]
        given = [normal(C), draw.uniform(0.5, 2, C)] if statistics else []
        vectors = [draw.uniform(0.5, 2, C), normal(C)] if affine else [None, None]
        return draw.call(x, w, *given, *vectors, residual, **how, eps=1e-2, activation=activation)

    return [
        call(normal(2, 2, 4, 3), normal(3, 2, 3, 3), True, normal(2, 3, 4, 3), "relu", how(padding=(1, 1))),
        call(normal(3, 2, 5, 4), normal(2, 2, 1, 1), True, None, "none", how(stride=(2, 2))),
        call(normal(2, 4, 5, 5), normal(4, 2, 2, 3), True, None, "relu", how((2, 1), (1, 0), (1, 2), 2)),
        call(normal(3, 2, 3, 3), normal(2, 2, 2, 2), False, normal(3, 2, 2, 2), "none", how()),
    ]


@composite(
    name="conv_bn_act",
    formula="z = conv2d(x, w), y = act(batch_norm(z) + residual)",
    gradient_formula="g = gradient of act by y; gresidual = g; gz, ggamma, gbeta = gradient of batch_norm by g; "
    "gx, gw = gradient of conv2d by gz",
    source=_NORM_SOURCE,
    samples=lambda draw: _conv_samples(draw, statistics=False),
    promoted=("x", "w", "residual"),  # beside half-precision data, gamma and beta may be float32
    outputs=("y", "z", "mean", "var"),
    intermediates=("z",),
    kept_for={"x": "w", "w": "x"},
    flops=_conv_flops("batch_norm"),
)
def _conv_bn_act(
    xp, x, w, gamma=None, beta=None, residual=None, *, stride, padding, dilation, groups, eps, activation
):
    """Convolution, batch normalisation, a sum and an activation; see `minigrad.nn.functional.conv_bn_act`."""
    z = xp.conv2d(x, w, None, stride=stride, padding=padding, dilation=dilation, groups=groups)
    y, mean, var = xp.batch_norm(z, gamma, beta, eps=eps)
    return _end(xp, y, residual, activation), z, mean, var


@_conv_bn_act.gradient
def conv_bn_act_gradient(
    xp, gys, x, w, gamma, y, z, mean, var, x_shape, w_shape, needs,
    *, stride, padding, dilation, groups, eps, activation,
):  # fmt: skip
    how = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    gy, gz_direct, gmean, gvar = gys
    needs_z = needs[0] or needs[1]
    g = ACTIVATIONS[activation](xp, gy, y)
    gz, ggamma, gbeta = batch_norm_gradient(
        xp, (g, gmean, gvar), z, gamma, mean, var, (needs_z, *needs[2:4]), eps=eps
    )
    if needs_z and gz_direct is not None:  # z is an output too: second derivatives come back through it
        gz = gz + gz_direct
    gx, gw, _ = conv2d_gradient(xp, gz, x, w, x_shape, w_shape, (*needs[:2], False), **how)
    return gx, gw, ggamma, gbeta, g


@composite(
    name="conv_bn_act_inference",
    formula="y = act(gamma (conv2d(x, w) - mean) / sqrt(var + eps) + beta + residual), mean and var given",
    gradient_formula="g = gradient of act by y; gresidual = g; gz, gmean, gvar, ggamma, gbeta = gradient of "
    "batch_norm_inference by g; gx, gw = gradient of conv2d by gz",
    source=_NORM_SOURCE,
    samples=lambda draw: _conv_samples(draw, statistics=True),
    promoted=("x", "w", "residual"),
    flops=_conv_flops("batch_norm_inference"),
)
def _conv_bn_act_inference(
    xp, x, w, mean, var, gamma=None, beta=None, residual=None,
    *, stride, padding, dilation, groups, eps, activation,
):  # fmt: skip
    """`conv_bn_act` by given statistics, as in evaluation.

    z = conv2d(x, w) is no output, so a kernel need not write it. Only the gradients of the four vectors ask for its
    values: they compute it again.
    """
    z = xp.conv2d(x, w, None, stride=stride, padding=padding, dilation=dilation, groups=groups)
    y = xp.batch_norm_inference(z, mean, var, gamma, beta, eps=eps)
    return _end(xp, y, residual, activation)


@_conv_bn_act_inference.gradient
def conv_bn_act_inference_gradient(
    xp, gy, x, w, mean, var, gamma, y, needs,
    *, stride, padding, dilation, groups, eps, activation,
):  # fmt: skip
    how = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    g = ACTIVATIONS[activation](xp, gy, y)
    # Where no vector's gradient is wanted, only shape and dtype of z matter, and those of g are the same
    z = xp.conv2d(x, w, None, **how) if any(needs[2:6]) else g
    gz, *gvectors = batch_norm_inference_gradient(
        xp, g, z, mean, var, gamma, (needs[0] or needs[1], *needs[2:6]), eps=eps
    )
    gx, gw, _ = conv2d_gradient(xp, gz, x, w, x.shape, w.shape, (*needs[:2], False), **how)
    return gx, gw, *gvectors, g


# ---------------------------------------------------------------- linear layer, activation


@composite(
    name="linear_act",
    formula="y = act(x w^T + b)",
    gradient_formula="g = gradient of act by y; gx = g w, gw = g^T x, gb = sum of g over all rows",
    source="Rumelhart, Hinton & Williams 1986, equations 1 and 2",
    samples=lambda draw: [
        draw.call(draw.normal(4, 3), draw.normal(2, 3), draw.normal(2), activation="relu"),
        draw.call(draw.normal(2, 2, 3), draw.normal(4, 3), None, activation="tanh"),
        draw.call(draw.normal(3), draw.normal(2, 3), draw.normal(2), activation="sigmoid"),
    ],
    kept_for={"x": "w", "w": "x"},
    flops=lambda inputs, outputs, params: (
        get_operation("linear").flops(inputs, outputs, params)
        + _end_flops(outputs[0], (), params["activation"])
    ),
)
def _linear_act(xp, x, w, b=None, *, activation):
    """A fully connected layer and an activation; see `minigrad.nn.functional.linear_act`."""
    return _end(xp, xp.linear(x, w, b), None, activation)


@_linear_act.gradient
def linear_act_gradient(xp, gy, x, w, y, x_shape, w_shape, needs, *, activation):
    return linear_gradient(xp, ACTIVATIONS[activation](xp, gy, y), x, w, x_shape, w_shape, needs)
