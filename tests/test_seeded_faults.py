"""The gradient checks find faults: each of these is planted in the text of a real gradient, and must be seen.

A fault replaces a piece of the text of a gradient, of a helper it calls, or of an operation it is built on.
Those of the first order must be found by `gradcheck`. Those of the second, where a gradient treats an
intermediate as a constant, are right at first order, and must be found by `gradgradcheck`.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

import minigrad as mg
from minigrad.backend import default_backend
from minigrad.op import REGISTRY
from minigrad.testing import PROPERTIES, OperationError


class Fault(NamedTuple):
    """`right` becomes `wrong` in the gradient of `op`, or in the forward of `forward_of`, on which that
    gradient is built."""

    op: str
    right: str
    wrong: str
    forward_of: str = ""
    samples: Callable | None = None  # instead of the operation's own

    def __str__(self) -> str:
        return f"{self.op}: {self.right} -> {self.wrong or 'nothing'}"


def square(draw: Any) -> list:
    return [draw.call(draw.normal(3, 3), draw.normal(3, 3))]


def square_kernel(draw: Any) -> list:
    how = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
    return [draw.call(draw.normal(1, 2, 4, 4), draw.normal(2, 2, 3, 3), None, **how)]


FIRST_ORDER = [
    # arithmetic and powers
    Fault("sub", "-alpha * gy", "alpha * gy"),
    Fault("mul", "gy * a if needs[1]", "gy * b if needs[1]"),
    Fault("div", "-ga * (a / b)", "-ga * a"),
    Fault("remainder", "-gy * xp.floor_divide(a, b)", "gy * xp.floor_divide(a, b)"),
    Fault("reciprocal", "-gy * y * y", "-gy * y"),
    Fault("lerp", "gy * (b - a)", "gy * (a - b)"),
    Fault("pow", "exponent * x ** (exponent - 1)", "x ** (exponent - 1)"),
    Fault("power", "gy * a ** b * xp.log", "gy * xp.log"),
    Fault("sqrt", "gy / (2 * y)", "gy / y"),
    Fault("where", "xp.where(condition, 0, gy)", "xp.where(condition, gy, 0)"),
    Fault("maximum", "b < a", "a < b"),
    Fault("clamp", "(x < low)", "(x > low)"),
    # exponentials, logarithms, trigonometry
    Fault("exp2", " * math.log(2)", ""),
    Fault("log10", "math.log(10)", "math.log(2)"),
    Fault("sigmoid", "(1 - y)", "(1 + y)"),
    Fault("erf", "xp.exp(-x * x)", "xp.exp(-x)"),
    Fault("cos", "-gy", "gy"),
    Fault("tanh", "y * y", "y"),
    Fault("atan2", ", -scaled * a", ", scaled * a"),
    # activations
    Fault("elu", "alpha * xp.exp(low)", "xp.exp(low)"),
    Fault("gelu", " + x * density", ""),
    Fault("silu", "(1 - s)", "s"),
    Fault("hardswish", " + 0.5", ""),
    Fault("prelu", "gy * x", "gy"),
    Fault("leaky_relu", "negative_slope * gy", "gy"),
    Fault("softmax", "y * (gy - xp.sum(gy * y, axis=dim, keepdims=True))", "y * gy"),
    Fault("log_softmax", "xp.exp(y) * ", ""),
    Fault("softmax", "axis=dim", "axis=-1", samples=lambda draw: [draw.call(draw.normal(3, 3), dim=0)]),
    Fault("dropout", " * survivors_scale(p)", ""),
    # reductions and scans
    Fault("mean", "count(x_shape, dim)", "count(x_shape, None)"),
    Fault("cumsum", "xp.flip(gy, dim)", "gy"),
    Fault("cumprod", "delayed(xp, y, dim, 1)", "delayed(xp, y, dim, 0)"),
    Fault("prod", "gy * before * after", "gy * before"),
    Fault("logsumexp", "xp.exp(x - y.reshape(kept))", "xp.exp(x)"),
    Fault("var", " * 2 /", " /"),
    Fault("std", "/ xp.where(flat, 1, y)", "* xp.where(flat, 1, y)"),
    Fault("norm", "** (p - 1)", "** p"),
    Fault("max", "places == indices.reshape(kept)", "places == (indices.reshape(kept) + 1) % shape[dim]"),
    Fault("sort", "xp.argsort(indices, axis=dim)", "indices"),
    # rearranging and indexing
    Fault(
        "permute",
        "dims.index(i)",
        "dims[i]",
        samples=lambda draw: [draw.call(draw.normal(2, 2, 2), dims=(2, 0, 1))],
    ),
    Fault("roll", "-s for s", "s for s"),
    Fault("flip", "axis=dims", "axis=dims[:1]"),
    Fault("cat", "start = stop", "start = 0 * stop"),
    Fault("stack", "(k,)", "(0,)"),
    Fault("pad", "mode=mode", "mode='constant'"),
    Fault("tril", "(gy, diagonal)", "(gy, diagonal - 1)"),
    Fault("gather", "xp.scatter_add(", "xp.scatter("),
    Fault("embedding", "accumulate=True", "accumulate=False"),
    # products and convolutions
    Fault("matmul", "xp.swapaxes(b.reshape(right), -1, -2)", "b.reshape(right)", samples=square),
    Fault("linear", "xp.sum(gy, axis=0)", "xp.sum(gy, axis=0) / rows"),
    Fault(
        "einsum",
        ".join(kept)",
        ".join(kept[::-1])",
        samples=lambda draw: [draw.call(draw.normal(3, 3), draw.normal(3, 3), equation="ij,jk->ik")],
    ),
    Fault("scaled_dot_product_attention", " * scale if needs[0]", " if needs[0]"),
    Fault("conv2d", "gb = xp.sum(", "gb = xp.mean("),
    Fault(
        "conv2d", "(0, 3, 1, 2)", "(0, 3, 2, 1)", forward_of="conv2d_weight_gradient", samples=square_kernel
    ),
    Fault("conv2d", "::-1, ::-1]", "::-1]", forward_of="conv_transpose2d"),
    Fault(
        "im2col", "x[seen] += cols[:, :, :, i, j]", "x[seen] += cols[:, :, :, i, j - 1]", forward_of="col2im"
    ),
    Fault("im2col", "x[seen] += ", "x[seen] = ", forward_of="col2im"),
    # pooling and resampling
    Fault("max_pool2d", "gy[0], winner", "gy[0], 0 * winner"),
    Fault("avg_pool2d", "y[seen] += x", "y[seen] = x", forward_of="avg_pool2d_transposed"),
    Fault("avg_pool2d", "'divisor': divisor", "'divisor': 1"),
    Fault("adaptive_max_pool2d", "indices.reshape(flat)", "(indices - indices).reshape(flat)"),
    Fault("interpolate", "align_corners=align_corners", "align_corners=not align_corners"),
    # normalisation
    Fault("batch_norm", "- wr * sum_gy", ""),
    Fault("batch_norm", " - 0.5 * wr * r * r * sum_gyx", ""),
    Fault("layer_norm", " - normalised * mean_gx", ""),
    Fault("group_norm", "g - mean_g ", "g "),
    Fault("rms_norm", "g - normalised * mean_gx.astype(x.dtype)", "g"),
    Fault("local_response_norm", "2 * alpha", "alpha"),
    # losses
    Fault("cross_entropy", " - wq)", " - q)"),
    Fault("nll_loss", "gy / xp.sum(weighted(one_hot, w))", "gy / xp.sum(one_hot)"),
    Fault("binary_cross_entropy_with_logits", "- p * t *", "- t *"),
    Fault("kl_div", "(t - x + 1)", "(t - x)"),
    Fault("mse_loss", "2 * spread", "spread"),
    Fault("huber_loss", "-delta, delta", "-1, 1"),
]

SECOND_ORDER = [
    Fault("mul", "gy * b", "gy * detached(b)"),
    Fault("div", "gy / b", "gy / detached(b)"),
    Fault("sqrt", "(2 * y)", "(2 * detached(y))"),
    Fault("exp", "gy * y", "gy * detached(y)"),
    Fault("sigmoid", "(1 - y)", "(1 - detached(y))"),
    Fault("tanh", "y * y", "detached(y) * y"),
    Fault("gelu", "x * density", "x * detached(density)"),
    Fault("softmax", "gy * y, axis", "gy * detached(y), axis"),
    Fault("log_softmax", "xp.exp(y)", "xp.exp(detached(y))"),
    Fault("logsumexp", "xp.exp(x - y.reshape(kept))", "detached(xp.exp(x - y.reshape(kept)))"),
    Fault("var", "_deviations(xp, x, dim)", "detached(_deviations(xp, x, dim))"),
    Fault("cumprod", "delayed(xp, y, dim, 1)", "detached(delayed(xp, y, dim, 1))"),
    Fault("gather", "index, gy, dim", "index, detached(gy), dim"),
    Fault("matmul", "b.reshape(right)", "detached(b).reshape(right)"),
    Fault("linear", "xp.matmul(gy, w)", "xp.matmul(gy, detached(w))"),
    Fault("einsum", "*operands[i + 1:], optimize", "*map(detached, operands[i + 1:]), optimize"),
    Fault("scaled_dot_product_attention", "xp.matmul(gs, key)", "xp.matmul(gs, detached(key))"),
    Fault("conv2d", "(gy, w, None", "(gy, detached(w), None"),
    Fault("max_pool2d", "gy[0], winner", "detached(gy[0]), winner"),
    Fault("batch_norm", "0.5 * wr * r * r *", "0.5 * detached(wr * r * r) *"),
    Fault("layer_norm", "- normalised * mean_gx", "- detached(normalised) * mean_gx"),
    Fault("cross_entropy", "xp.softmax(x, dim=axis)", "detached(xp.softmax(x, dim=axis))"),
    Fault("mse_loss", "(x - t)", "detached(x - t)"),
]


def detached(x: Any) -> Any:
    """The same value without its derivative, as an intermediate saved as a raw array has it."""
    return x.detach() if isinstance(x, mg.Tensor) else x


def rewritten(function: Callable, right: str, wrong: str) -> Callable:
    """The function with its text, or that of a helper it calls, changed."""
    called = [function.__globals__.get(name) for name in function.__code__.co_names]
    texts = {f: text_of(f) for f in [function, *filter(inspect.isfunction, called)]}
    holders = [f for f, text in texts.items() if right in text]
    names = [f.__name__ for f in texts]
    assert len(holders) == 1, f"{right!r} must stand in one of {names}, not in {len(holders)}; plant it anew"
    (holder,) = holders
    assert texts[holder].count(right) == 1, f"{right!r} stands twice in {holder.__name__}; plant it anew"
    changed = compiled(holder, texts[holder].replace(right, wrong), {})
    return changed if holder is function else compiled(function, texts[function], {holder.__name__: changed})


def text_of(function: Callable) -> str:
    """Its text without decorators, in the one form that Python itself writes, so that line breaks do not matter."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    tree.body[0].decorator_list = []
    return ast.unparse(tree)


def compiled(function: Callable, text: str, names: dict) -> Callable:
    namespace = {**function.__globals__, "detached": detached, **names}
    exec("from __future__ import annotations\n" + text, namespace)
    return namespace[function.__name__]


@contextmanager
def planted(fault: Fault) -> Iterator[None]:
    """The fault is in the operation within the block; no kernel stands in for the text that has it."""
    op, changed = REGISTRY[fault.op], REGISTRY[fault.forward_of or fault.op]
    kernels = default_backend().kernels
    before = dict(vars(op)), dict(vars(changed)), dict(kernels)
    try:
        if fault.forward_of:
            changed.forward = rewritten(changed.forward, fault.right, fault.wrong)
        else:
            op.gradient(rewritten(op.gradient_fn, fault.right, fault.wrong))
        op.samples = fault.samples or op.samples
        kernels.pop(changed.name, None)
        yield
    finally:
        for operation, attributes in ((op, before[0]), (changed, before[1])):
            vars(operation).clear()
            vars(operation).update(attributes)
        kernels.clear()
        kernels.update(before[2])


@pytest.mark.parametrize("fault", FIRST_ORDER, ids=str)
def test_a_wrong_gradient_is_found(fault):
    with planted(fault), pytest.raises(OperationError, match=r"the gradient with respect to .* is wrong"):
        PROPERTIES["first_derivative"](REGISTRY[fault.op])


@pytest.mark.parametrize("fault", SECOND_ORDER, ids=str)
def test_an_intermediate_treated_as_constant_is_found(fault):
    with planted(fault):
        PROPERTIES["first_derivative"](REGISTRY[fault.op])
        with pytest.raises(
            OperationError, match=r"the second derivative: the gradient of the gradient .* is wrong"
        ):
            PROPERTIES["second_derivative"](REGISTRY[fault.op])


@pytest.mark.parametrize("name", sorted({fault.op for fault in FIRST_ORDER + SECOND_ORDER}))
def test_without_a_fault_the_same_checks_pass(name):
    PROPERTIES["first_derivative"](REGISTRY[name])
    PROPERTIES["second_derivative"](REGISTRY[name])


def test_a_fault_leaves_no_trace():
    op = REGISTRY["mul"]
    before = dict(vars(op))
    with planted(SECOND_ORDER[0]):
        assert op.gradient_fn is not before["gradient_fn"]
    assert vars(op) == before
    with pytest.raises(AssertionError, match="plant it anew"), planted(Fault("mul", "no such text", "")):
        pass
    assert vars(op) == before
