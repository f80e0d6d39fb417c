"""Transposed convolution: the gradient of a convolution by its input, as an operation of its own."""

from __future__ import annotations

from typing import Any

from minigrad.errors import ArgumentError, ShapeError
from minigrad.op import operation
from minigrad.ops.arguments import count
from minigrad.ops.conv import as_image, as_pair, check_operands, convolution_settings, split_groups
from minigrad.ops.linalg import require_one_dtype
from minigrad.ops.window import batched, ints, pieces

__all__ = ["conv_transpose1d", "conv_transpose2d"]
METHODS: list[str] = []

_SOURCE = "Dumoulin, Visin 2016, A guide to convolution arithmetic for deep learning, section 4"


def _transposed_samples(draw: Any) -> list:
    """The first two take the way of a convolution with turned kernels, the others that of col2im."""
    call, normal, how = draw.call, draw.normal, convolution_settings
    both = how(padding=(1, 0), dilation=(2, 2), groups=2)
    return [
        call(normal(2, 2, 2, 4), normal(2, 3, 3, 2), normal(3), size=(4, 5), **how()),
        call(normal(1, 4, 3, 2), normal(4, 1, 2, 2), None, size=(3, 4), **both),
        call(normal(2, 3, 3, 2), normal(3, 2, 3, 2), normal(2), size=(6, 4), **how((2, 2), (1, 0))),
        call(normal(2, 2, 2, 3), normal(2, 2, 1, 2), None, size=(4, 6), **how((3, 2), groups=2)),
        call(normal(1, 2, 2, 3), normal(2, 1, 2, 2), None, size=(5, 4), **how(dilation=(2, 1))),
    ]


def _transposed_flops(inputs: list, outputs: list, params: dict) -> float:
    N, _, H, W = inputs[0]
    return 2 * N * H * W * count(inputs[1])


@operation(
    name="conv_transpose2d",
    formula="y[n, o, h s + i d - p, w s + j d - p] += sum_c w[c, o, i, j] x[n, c, h, w], then + b[o]",
    gradient_formula="gx = conv2d(gy, w), gw = conv2d_weight_gradient(gy, x), gb = sum of gy over n, h, w",
    source=_SOURCE,
    samples=_transposed_samples,
    kept_for={"x": "w", "w": "x"},
    flops=_transposed_flops,
)
def _conv_transpose2d(xp, x, w, b, *, size, stride, padding, dilation, groups):
    require_one_dtype("conv_transpose2d", x, w, b)
    (N, C, H, W), (_, Og, Kh, Kw) = x.shape, w.shape
    (ph, pw), around = padding, (dilation[0] * (Kh - 1) - padding[0], dilation[1] * (Kw - 1) - padding[1])
    if stride == (1, 1) and min(around) >= 0 and size == (H + around[0] - ph, W + around[1] - pw):
        # Without gaps between the windows, an element of y is a sum over a window of x: it is quicker to gather than to
        # scatter. This is a convolution with the kernels turned by 180 degrees.
        turned = w.reshape(groups, C // groups, Og, Kh, Kw)[..., ::-1, ::-1]
        turned = xp.swapaxes(turned, 1, 2).reshape(groups * Og, C // groups, Kh, Kw)
        return xp.conv2d(x, turned, b, stride=stride, padding=around, dilation=dilation, groups=groups)
    matrix = xp.transpose(w, (0, 2, 3, 1)).reshape(groups, C // groups, -1)  # (G, C/G, Kh Kw O/G)
    y = xp.empty((N, *size, groups * Og), dtype=x.dtype)
    for n in pieces(N, H * W * Kh * Kw * groups * Og * x.itemsize):
        rows = split_groups(xp, xp.transpose(x[n], (0, 2, 3, 1)), groups)  # (G, n H W, C/G)
        cols = xp.matmul(rows, matrix).reshape(groups, -1, H, W, Kh, Kw, Og)
        cols = xp.transpose(cols, (1, 2, 3, 4, 5, 0, 6)).reshape(-1, H, W, Kh, Kw, groups * Og)
        image = xp.col2im(cols, size=size, stride=stride, padding=padding, dilation=dilation)
        y[n] = xp.transpose(image, (0, 2, 3, 1))
        if b is not None:
            y[n] += b
    return xp.transpose(y, (0, 3, 1, 2))


@_conv_transpose2d.gradient
def conv_transpose2d_gradient(xp, gy, x, w, x_shape, w_shape, needs, *, stride, padding, dilation, groups):
    how = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    gx = xp.conv2d(gy, w, None, **how)[:, :, : x_shape[2], : x_shape[3]] if needs[0] else None
    gw = xp.conv2d_weight_gradient(gy, x, kernel_size=w_shape[2:], **how) if needs[1] else None
    gb = xp.sum(gy, axis=(0, 2, 3)) if needs[2] else None
    return gx, gw, gb


# ---------------------------------------------------------------- what users call


def conv_transpose1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Transposed convolution over sequences: `conv_transpose2d` with one spatial axis.

    x:      (N, C, L), or (C, L)
    weight: (C, O / groups, K)
    bias, stride, padding, output_padding, groups, dilation: as for `conv_transpose2d`, with one int each

    Returns (N, O, Lo), or (O, Lo), where Lo = (L - 1) stride - 2 padding + dilation (K - 1) + output_padding + 1.
    Gradient, memory, errors and source: those of `conv_transpose2d`.

    >>> import minigrad as mg
    >>> mg.nn.functional.conv_transpose1d(mg.tensor([[[1.0, 2.0]]]), mg.tensor([[[1.0, 10.0]]]), stride=2)
    tensor([[[ 1., 10.,  2., 20.]]])
    """
    return _convolve_transposed(
        "conv_transpose1d", 1, x, weight, bias, stride, padding, output_padding, groups, dilation
    )


def conv_transpose2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Transposed convolution over images: the gradient of `conv2d` by its input, as a layer that enlarges images.

        y[n, o, a, b] = bias[o] + sum of weight[c, o, i, j] x[n, c, h, w]  over c and all h, i with
                        a = h stride + i dilation - padding, and w, j likewise with b

    x:              (N, C, H, W), or (C, H, W)
    weight:         (C, O / groups, Kh, Kw), of the dtype of x: that of the convolution it transposes
    bias:           (O,), or None
    stride, padding, dilation, groups: those of the convolution it transposes
    output_padding: rows and columns more at the end of y, for strides where several sizes of y would give this size
                    of x; less than stride or dilation

    Returns (N, O, Ho, Wo), or (O, Ho, Wo), where
    Ho = (H - 1) stride - 2 padding + dilation (Kh - 1) + output_padding + 1.
    Gradient: by x the convolution of gy with weight; by weight the columns of gy times x; by bias the sum of gy.
    Memory: x is kept for the gradient by weight, weight for that by x.
    Errors: ShapeError for channels that do not fit weight and groups, a bias of another shape, an empty result;
    ArgumentError for a bad stride, padding, output_padding, dilation or groups; DtypeError for differing dtypes.
    Source: Dumoulin & Visin 2016, section 4.

    >>> import minigrad as mg
    >>> x = mg.tensor([[[[1.0, 2.0]]]])
    >>> mg.nn.functional.conv_transpose2d(x, mg.ones(1, 1, 2, 2), stride=2)
    tensor([[[[1., 1., 2., 2.],
              [1., 1., 2., 2.]]]])
    """
    return _convolve_transposed(
        "conv_transpose2d", 2, x, weight, bias, stride, padding, output_padding, groups, dilation
    )


def _convolve_transposed(
    op: str,
    n: int,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Any:
    """conv_transpose1d (n = 1) and conv_transpose2d (n = 2)."""
    stride, dilation = ints(op, "stride", stride, n, 1), ints(op, "dilation", dilation, n, 1)
    padding = ints(op, "padding", padding, n, 0)
    output_padding = ints(op, "output_padding", output_padding, n, 0)
    x, restore = batched(op, x, n)
    check_operands(op, n, x, weight, bias, groups, transposed=True)
    if any(more >= max(s, d) for more, s, d in zip(output_padding, stride, dilation, strict=True)):
        raise ArgumentError(
            f"{op}: output_padding {output_padding} must be less than stride {stride} or dilation {dilation}"
        )
    size = tuple(
        (length - 1) * s - 2 * p + d * (k - 1) + more + 1
        for length, k, s, p, d, more in zip(
            x.shape[2:], weight.shape[2:], stride, padding, dilation, output_padding, strict=True
        )
    )
    if min(size) < 1:
        raise ShapeError(
            f"{op}: x {list(x.shape)} with weight {list(weight.shape)}, stride {stride} and padding {padding} "
            f"would give a result of size {size}; take less padding"
        )
    y = _conv_transpose2d(
        as_image(x),
        as_image(weight),
        bias,
        size=as_pair(size, 1),
        stride=as_pair(stride, 1),
        padding=as_pair(padding, 0),
        dilation=as_pair(dilation, 1),
        groups=groups,
    )
    return restore(y if n == 2 else y.reshape((*y.shape[:2], y.shape[3])))
