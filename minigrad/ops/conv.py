"""Convolution as im2col and one matrix product.

Three operations, each linear in either of its inputs, are one another's gradients: the convolution (x, w -> y), the
transposed convolution (y, w -> x) and the gradient by the weight (x, y -> w). So convolution can be differentiated
any number of times.
"""

from __future__ import annotations

from typing import Any

from minigrad.errors import ArgumentError, ShapeError
from minigrad.op import operation
from minigrad.ops.arguments import count
from minigrad.ops.linalg import require_one_dtype
from minigrad.ops.window import batched, check_windows_fit, ints, pieces, window_counts

__all__ = ["conv1d", "conv2d"]
METHODS: list[str] = []

_SOURCE = "Dumoulin, Visin 2016, A guide to convolution arithmetic for deep learning, sections 2 and 4"


def convolution_settings(stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1) -> dict:
    """The parameters of a sample."""
    return {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}


def _samples(draw: Any) -> list:
    """Convolutions plain, strided with padding, dilated in two groups, depthwise, and of 1 x 1."""
    call, normal, how = draw.call, draw.normal, convolution_settings
    return [
        call(normal(2, 3, 4, 5), normal(2, 3, 3, 2), normal(2), **how()),
        call(normal(2, 2, 5, 6), normal(3, 2, 3, 3), None, **how(stride=(2, 1), padding=(1, 2))),
        call(normal(1, 4, 5, 6), normal(4, 2, 2, 3), normal(4), **how(dilation=(2, 1), groups=2)),
        call(normal(2, 3, 3, 4), normal(6, 1, 2, 2), None, **how(padding=(1, 0), groups=3)),
        call(normal(2, 3, 2, 3), normal(4, 3, 1, 1), normal(4), **how()),
    ]


def _weight_samples(draw: Any) -> list:
    call, normal, how = draw.call, draw.normal, convolution_settings
    return [
        call(normal(2, 3, 4, 5), normal(2, 2, 2, 4), kernel_size=(3, 2), **how()),
        call(normal(2, 2, 5, 6), normal(2, 3, 3, 8), kernel_size=(3, 3), **how((2, 1), (1, 2))),
        call(normal(1, 4, 5, 6), normal(1, 4, 3, 4), kernel_size=(2, 3), **how(dilation=(2, 1), groups=2)),
    ]


def _flops(inputs: list, outputs: list, params: dict) -> float:
    """A multiply-add for each output element and each of the Kh Kw C/groups numbers that it sees."""
    N, _, Ho, Wo = outputs[0]
    return 2 * N * Ho * Wo * count(inputs[1])


def _weight_flops(inputs: list, outputs: list, params: dict) -> float:
    N, _, Ho, Wo = inputs[1]
    return 2 * N * Ho * Wo * count(outputs[0])


# ---------------------------------------------------------------- convolution


@operation(
    name="conv2d",
    formula="y[n, o, h, w] = b[o] + sum_cij w[o, c, i, j] x[n, c, h s + i d - p, w s + j d - p]",
    gradient_formula="gx = conv_transpose2d(gy, w), gw = sum over windows of gy x, gb = sum of gy over n, h, w",
    source=_SOURCE,
    samples=_samples,
    kept_for={"x": "w", "w": "x"},
    flops=_flops,
)
def _conv2d(xp, x, w, b, *, stride, padding, dilation, groups):
    require_one_dtype("conv2d", x, w, b)
    (N, C), (O, _, Kh, Kw) = x.shape[:2], w.shape
    Ho, Wo = window_counts(x.shape[2:], (Kh, Kw), stride, padding, dilation)
    matrix = xp.transpose(w, (0, 2, 3, 1)).reshape(groups, O // groups, -1)  # (G, O/G, Kh Kw C/G)
    y = xp.empty((N, Ho, Wo, O), dtype=x.dtype)
    for n in pieces(N, Ho * Wo * Kh * Kw * C * x.itemsize):
        cols = xp.im2col(x[n], kernel_size=(Kh, Kw), stride=stride, padding=padding, dilation=dilation)
        cols = split_groups(xp, cols, groups)  # (n, Ho, Wo, Kh, Kw, C) -> (G, n Ho Wo, Kh Kw C/G)
        xp.matmul(cols, xp.swapaxes(matrix, 1, 2), out=split_groups(xp, y[n], groups))  # (G, n Ho Wo, O/G)
        if b is not None:
            y[n] += b
    return xp.transpose(y, (0, 3, 1, 2))  # (N, O, Ho, Wo), channels last in memory


@_conv2d.gradient
def conv2d_gradient(xp, gy, x, w, x_shape, w_shape, needs, *, stride, padding, dilation, groups):
    how = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    gx = xp.conv_transpose2d(gy, w, None, size=x_shape[2:], **how) if needs[0] else None
    gw = xp.conv2d_weight_gradient(x, gy, kernel_size=w_shape[2:], **how) if needs[1] else None
    gb = xp.sum(gy, axis=(0, 2, 3)) if needs[2] else None
    return gx, gw, gb


@operation(
    formula="gw[o, c, i, j] = sum_nhw g[n, o, h, w] x[n, c, h s + i d - p, w s + j d - p]",
    gradient_formula="gx = conv_transpose2d(g, ggw), gg = conv2d(x, ggw)",
    source=_SOURCE,
    samples=_weight_samples,
    kept_for={"x": "g", "g": "x"},
    flops=_weight_flops,
)
def conv2d_weight_gradient(xp, x, g, *, kernel_size, stride, padding, dilation, groups):
    """The gradient of conv2d by its weight, where g is that by its output: the columns of x, transposed, times g."""
    C, (N, O, Ho, Wo), (Kh, Kw) = x.shape[1], g.shape, kernel_size
    gw = xp.zeros((groups, O // groups, Kh * Kw * C // groups), dtype=x.dtype)
    for n in pieces(N, Ho * Wo * Kh * Kw * C * x.itemsize):
        cols = xp.im2col(x[n], kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation)
        cols = split_groups(xp, cols[:, :Ho, :Wo], groups)  # (G, n Ho Wo, Kh Kw C/G)
        rows = split_groups(xp, xp.transpose(g[n], (0, 2, 3, 1)), groups)  # (G, n Ho Wo, O/G)
        gw += xp.matmul(xp.swapaxes(rows, 1, 2), cols)
    return xp.ascontiguousarray(xp.transpose(gw.reshape(O, Kh, Kw, C // groups), (0, 3, 1, 2)))


@conv2d_weight_gradient.gradient
def conv2d_weight_gradient_gradient(
    xp, gy, x, g, x_shape, g_shape, needs, *, stride, padding, dilation, groups
):
    how = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    gx = xp.conv_transpose2d(g, gy, None, size=x_shape[2:], **how) if needs[0] else None
    gg = xp.conv2d(x, gy, None, **how)[:, :, : g_shape[2], : g_shape[3]] if needs[1] else None
    return gx, gg


def split_groups(xp, a, groups):
    """(n, h, w, ..., C) -> (G, n h w, ... C/G): one matrix per group of channels; a view if there is one group."""
    n, h, w, *_, C = a.shape
    a = a.reshape(n * h * w, -1, groups, C // groups)
    return xp.transpose(a, (2, 0, 1, 3)).reshape(groups, n * h * w, -1)


# ---------------------------------------------------------------- what users call


def conv1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Convolution over sequences: `conv2d` with one spatial axis.

        y[n, o, l] = bias[o] + sum over c, i of weight[o, c, i] x[n, c, l stride + i dilation - padding],  0 outside

    x:      (N, C, L), or (C, L)
    weight: (O, C / groups, K)
    bias, stride, padding, dilation, groups: as for `conv2d`, with one int each

    Returns (N, O, Lo), or (O, Lo), where Lo = floor((L + 2 padding - dilation (K - 1) - 1) / stride) + 1.
    Gradient, memory, errors and source: those of `conv2d`.

    >>> import minigrad as mg
    >>> x = mg.tensor([[[1.0, 2.0, 4.0, 8.0]]])
    >>> mg.nn.functional.conv1d(x, mg.tensor([[[-1.0, 1.0]]]))  # differences of neighbours
    tensor([[[1., 2., 4.]]])
    """
    return _convolve("conv1d", 1, x, weight, bias, stride, padding, dilation, groups)


def conv2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Convolution over images (in fact cross-correlation, as everywhere in this field: the kernel is not turned).

        y[n, o, h, w] = bias[o] + sum over c, i, j of
                        weight[o, c, i, j] x[n, c, h stride + i dilation - padding, w stride + j dilation - padding]

    x:        (N, C, H, W), or (C, H, W); any memory layout, fastest where channels are innermost
    weight:   (O, C / groups, Kh, Kw), of the dtype of x
    bias:     (O,), or None
    stride:   step of the window, an int or one for each of H and W
    padding:  zeros around the image, an int or one for each of H and W; "valid" is 0; "same" gives y the size of x
              (for stride 1 only; of an odd number of zeros the one left over stands at the end)
    dilation: distance between elements of the window, an int or one for each of H and W
    groups:   the channels of x and of y are split into so many groups, each convolved by itself

    Returns (N, O, Ho, Wo), or (O, Ho, Wo), where Ho = floor((H + 2 padding - dilation (Kh - 1) - 1) / stride) + 1.
    In memory channels are innermost.
    Gradient: by x the transposed convolution of gy with weight; by weight the columns of x times gy; by bias the sum
    of gy.
    Memory: x is kept for the gradient by weight, weight for that by x. The columns are made for a few images at a time
    and not kept.
    Errors: ShapeError for channels that do not fit weight and groups, a bias of another shape, a kernel larger than
    the padded image; ArgumentError for a bad stride, padding, dilation or groups; DtypeError for differing dtypes.
    Source: Dumoulin & Visin 2016, sections 2 and 4; as a matrix product: Chellapilla, Puri, Simard 2006, section 2.

    >>> import minigrad as mg
    >>> x = mg.arange(16.0).reshape(1, 1, 4, 4)
    >>> mg.nn.functional.conv2d(x, mg.ones(1, 1, 3, 3))
    tensor([[[[45., 54.],
              [81., 90.]]]])
    """
    return _convolve("conv2d", 2, x, weight, bias, stride, padding, dilation, groups)


def _convolve(
    op: str, n: int, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """conv1d (n = 1) and conv2d (n = 2): settle the arguments, then run the one operation on images."""
    stride, dilation = ints(op, "stride", stride, n, 1), ints(op, "dilation", dilation, n, 1)
    x, restore = batched(op, x, n)
    check_operands(op, n, x, weight, bias, groups, transposed=False)
    kernel_size = weight.shape[2:]
    surplus = (0,) * n
    if padding == "same":
        if stride != (1,) * n:
            raise ArgumentError(
                f"{op}: padding='same' needs stride 1, got stride {stride}; give the padding as a number"
            )
        zeros = tuple(d * (k - 1) for d, k in zip(dilation, kernel_size, strict=True))
        # Odd: one more on both sides, and what that in front adds is dropped
        surplus = tuple(z % 2 for z in zeros)
        padding = tuple((z + 1) // 2 for z in zeros)
    elif isinstance(padding, str) and padding != "valid":
        raise ArgumentError(f"{op}: padding must be numbers, 'same' or 'valid'; got {padding!r}")
    padding = ints(op, "padding", 0 if isinstance(padding, str) else padding, n, 0)
    check_windows_fit(op, x.shape[2:], kernel_size, stride, padding, dilation)
    y = _conv2d(
        as_image(x),
        as_image(weight),
        bias,
        stride=as_pair(stride, 1),
        padding=as_pair(padding, 0),
        dilation=as_pair(dilation, 1),
        groups=groups,
    )
    if any(surplus):
        top, left = as_pair(surplus, 0)
        y = y[:, :, top:, left:]
    return restore(y if n == 2 else y.reshape((*y.shape[:2], y.shape[3])))


def check_operands(op: str, n: int, x: Any, weight: Any, bias: Any, groups: Any, transposed: bool) -> None:
    """Errors for a weight, a bias or groups that do not fit x."""
    if not isinstance(groups, int) or groups < 1:
        raise ArgumentError(f"{op}: groups must be an int, 1 or more; got {groups!r}")
    expected = f"({'C, O' if transposed else 'O, C'} / groups, {'Kh, Kw' if n == 2 else 'K'})"
    if weight.ndim != n + 2 or min(weight.shape) < 1:
        raise ShapeError(f"{op}: weight must be {expected}, all 1 or more; got shape {list(weight.shape)}")
    C, O = weight.shape[:2] if transposed else weight.shape[1::-1]
    C, O = (C, O * groups) if transposed else (C * groups, O)
    if x.shape[1] != C:
        raise ShapeError(
            f"{op}: x {list(x.shape)} has {x.shape[1]} channels, but weight {list(weight.shape)}, "
            f"read as {expected} with groups={groups}, is for {C}"
        )
    if C % groups or O % groups:
        raise ShapeError(
            f"{op}: groups={groups} must divide the {C} channels of x and the {O} of the result "
            f"(weight {list(weight.shape)})"
        )
    if bias is not None and tuple(bias.shape) != (O,):
        raise ShapeError(
            f"{op}: bias must have shape [{O}], one number for each channel of the result; got {list(bias.shape)}"
        )


def as_image(x: Any) -> Any:
    """(N, C, L) -> (N, C, 1, L)."""
    return x if x.ndim == 4 else x.reshape((*x.shape[:2], 1, x.shape[2]))


def as_pair(numbers: tuple, first: int) -> tuple:
    """One number per spatial axis, of one or two: `first` for the axis that sequences lack."""
    return numbers if len(numbers) == 2 else (first, *numbers)
