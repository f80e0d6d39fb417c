"""Composites: against PyTorch's layers in a row, against their own parts, and in half precision."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad import ops, testing
from minigrad.backend import Kernel, get_backend
from minigrad.errors import ArgumentError, ShapeError
from minigrad.op import REGISTRY, Operation
from minigrad.ops.composites import COMPOSITES, expand
from minigrad.testing.samples import all_samples
from tests.oracle import compare_with_torch

PROMISE = "a_composite_equals_its_parts"
HOW = {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 1), "groups": 1}
NORM = {"eps": 1e-3, "activation": "relu"}


def with_torch(torch, x, w, gamma, beta, residual, activation, how, mean=None, var=None, eps=1e-3):
    """Layer after layer."""
    F = torch.nn.functional
    z = x if w is None else F.conv2d(x, w, None, **how)
    y = F.batch_norm(z, mean, var, gamma, beta, training=mean is None, eps=eps)
    y = y if residual is None else y + residual
    return torch.relu(y) if activation == "relu" else y


def images(rng, *, affine=True, residual=True, channels=4, groups=1):
    """x, w, gamma, beta and residual for convolutions with HOW."""
    given = [rng.standard_normal((3, channels, 6, 5)), rng.standard_normal((4, channels // groups, 3, 2))]
    given += [rng.uniform(0.5, 2, 4), rng.standard_normal(4)] if affine else [None, None]
    return [*given, rng.standard_normal((3, 4, 3, 4)) if residual else None]


def test_all_composites_are_declared():
    assert {"batch_norm_act", "conv_bn_act", "conv_bn_act_inference", "linear_act"} <= COMPOSITES
    assert set(REGISTRY) >= COMPOSITES


# ---------------------------------------------------------------- against PyTorch, up to second derivatives


@pytest.mark.parametrize("activation", ["relu", "none"])
@pytest.mark.parametrize("shape", [(5, 3), (3, 2, 4), (2, 3, 4, 3)])
def test_batch_norm_act_equals_pytorch(torch, rng, shape, activation):
    c, op = shape[1], REGISTRY["batch_norm_act"]
    inputs = [rng.standard_normal(shape), rng.standard_normal(c), rng.standard_normal(c)]
    for residual in ([rng.standard_normal(shape)], []):
        compare_with_torch(
            lambda x, w, b, r=None: op(x, w, b, r, eps=1e-3, activation=activation)[0],
            lambda x, w, b, r=None: with_torch(torch, x, None, w, b, r, activation, {}),
            [*inputs, *residual],
        )


@pytest.mark.parametrize("activation", ["relu", "none"])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("options", [{}, {"affine": False}, {"residual": False}])
def test_conv_bn_act_equals_pytorch(torch, rng, options, groups, activation):
    op, how = REGISTRY["conv_bn_act"], HOW | {"groups": groups}
    compare_with_torch(
        lambda *xs: op(*xs, **how, eps=1e-3, activation=activation)[0],
        lambda *xs: with_torch(torch, *xs, activation, how),
        images(rng, groups=groups, **options),
    )


@pytest.mark.parametrize("activation", ["relu", "none"])
@pytest.mark.parametrize("options", [{}, {"affine": False}, {"residual": False}])
def test_conv_bn_act_inference_equals_pytorch(torch, rng, options, activation):
    op = REGISTRY["conv_bn_act_inference"]
    x, w, gamma, beta, residual = images(rng, **options)
    mean, var = rng.standard_normal(4), rng.uniform(0.5, 2, 4)

    def theirs(x, w, mean, var, gamma, beta, residual):
        return with_torch(torch, x, w, gamma, beta, residual, activation, HOW, mean, var)

    compare_with_torch(
        lambda *xs: op(*xs, **HOW, eps=1e-3, activation=activation),
        theirs,
        [x, w, mean, var, gamma, beta, residual],
        # PyTorch has no gradients for the statistics
        differentiable=[i for i in (0, 1, 4, 5, 6) if (x, w, 0, 0, gamma, beta, residual)[i] is not None],
    )


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "none"])
def test_linear_act_equals_pytorch(torch, rng, activation):
    op = REGISTRY["linear_act"]
    act = {"none": lambda y: y}.get(activation) or getattr(torch, activation)
    w, b = rng.standard_normal((4, 3)), rng.standard_normal(4)
    for x, bias in ((rng.standard_normal((5, 3)), [b]), (rng.standard_normal((2, 5, 3)), [])):
        compare_with_torch(
            lambda *xs: op(*xs, activation=activation),
            lambda *xs: act(torch.nn.functional.linear(*xs)),
            [x, w, *bias],
        )


# ---------------------------------------------------------------- parts


@pytest.mark.parametrize("name", sorted(COMPOSITES))
def test_expanding_records_every_part(name):
    call = all_samples(REGISTRY[name])[0]
    with mg.profile() as p:
        outputs = expand(name, call.tensors(), call.params)
    parts = {op for op, phase in p.rows}
    assert name not in parts
    assert {
        "linear" if name == "linear_act" else "batch_norm" if "inference" not in name else "conv2d"
    } <= parts
    assert "relu" in parts
    first = outputs[0] if isinstance(outputs, tuple) else outputs
    assert repr(first._node) == "<reluBackward>"


def test_expanding_completes_what_was_left_out(rng):
    x, w = mg.tensor(rng.standard_normal((2, 3))), mg.tensor(rng.standard_normal((4, 3)))
    y = expand(REGISTRY["linear_act"], (x, w), {"activation": "tanh"})
    np.testing.assert_allclose(y.numpy(), np.tanh(x.numpy() @ w.numpy().T), rtol=1e-12)


def test_what_cannot_be_expanded():
    with pytest.raises(ArgumentError, match="relu is not a composite; composites are batch_norm_act"):
        expand("relu", (mg.ones(2),), {})
    with pytest.raises(ArgumentError, match="none was given"):
        expand("linear_act", (None, None), {"activation": "relu"})


def square_and_add(forward, gradient=lambda xp, gy, x: 2 * gy * x + gy):
    op = Operation(
        forward,
        name="square_and_add",
        formula="y = x^2 + x",
        gradient_formula="gx = 2 gy x + gy",
        source="calculus",
        samples=lambda draw: [draw.call(draw.normal(3))],
        flops=2,
    )
    op.gradient(gradient)
    return op


def honest(xp, x):
    return xp.add(xp.multiply(x, x) if not isinstance(x, mg.Tensor) else xp.mul(x, x), x)


BROKEN = {
    "outputs": {"forward": lambda xp, x: honest(xp, x) * (1 if isinstance(x, mg.Tensor) else 1 + 1e-9)},
    "first derivatives": {"forward": honest, "gradient": lambda xp, gy, x: 2 * gy * x + gy * (1 + 1e-9)},
    "second derivatives": {"forward": honest, "gradient": lambda xp, gy, x: 2 * gy * x.detach() + gy},
    "floating-point operations": {"forward": lambda xp, x: honest(xp, xp.abs(xp.abs(x)) * xp.sign(x))},
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_composite_that_differs_from_its_parts_is_seen(what):
    COMPOSITES.add("square_and_add")
    try:
        testing.PROPERTIES[PROMISE](square_and_add(honest))
        with pytest.raises(testing.OperationError, match=f"its {what} differ"):
            testing.PROPERTIES[PROMISE](square_and_add(**BROKEN[what]))
    finally:
        COMPOSITES.remove("square_and_add")


def test_a_kernel_that_differs_from_the_parts_is_seen(monkeypatch):
    def kernel(xp, x, w, b, *, activation):
        return REGISTRY["linear_act"].forward(xp, x, w, b, activation=activation) + 1e-6

    testing.PROPERTIES[PROMISE](REGISTRY["linear_act"])
    monkeypatch.setitem(get_backend("cpu").kernels, "linear_act", Kernel(kernel))
    with pytest.raises(testing.OperationError, match="its outputs differ"):
        testing.PROPERTIES[PROMISE](REGISTRY["linear_act"])


# ---------------------------------------------------------------- gradients


def test_the_gradient_computes_no_forward_again(rng, monkeypatch):
    """z, mean and var are kept: neither the convolution nor the norm runs a second time."""
    x, w, gamma, beta, residual = (mg.tensor(a, requires_grad=True) for a in images(rng))
    y, *_ = REGISTRY["conv_bn_act"](x, w, gamma, beta, residual, **HOW, **NORM)

    def unwanted(*args, **kwargs):
        raise AssertionError("a forward runs in backward")

    for name in ("conv2d", "batch_norm", "relu"):
        monkeypatch.setitem(get_backend("cpu").kernels, name, Kernel(forward=unwanted))
    y.sum().backward()
    assert x.grad is not None


def test_gradients_may_arrive_through_every_output(rng):
    inputs = [mg.tensor(a, requires_grad=True) for a in images(rng)]
    op = REGISTRY["conv_bn_act"]
    for pick in (0, 1, 2, 3, slice(1, 4)):
        assert testing.gradcheck(lambda *xs, pick=pick: op(*xs, **HOW, **NORM)[pick], inputs)


def test_only_what_the_gradient_needs_is_kept(rng):
    x, w, gamma, beta, residual = (mg.tensor(a) for a in images(rng))
    op = REGISTRY["conv_bn_act"]
    y, *_ = op(x.requires_grad_(), w, gamma, beta, residual, **HOW, **NORM)
    kept = {
        name for (kind, i) in y._node.kept for name in [(op.inputs if kind == "input" else op.outputs)[i]]
    }
    assert kept == {"w", "gamma", "y", "z", "mean", "var"}  # x only if w is learnt


# ---------------------------------------------------------------- types


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("vectors", ["half", "float32"])
def test_half_precision_beside_the_parts(rng, dtype, vectors):
    """The composite rounds once, its parts three times; both lie within their rounding of the float32 result."""
    step = {"float16": 2**-11, "bfloat16": 2**-8}[dtype]
    x, w, gamma, beta, residual = (mg.tensor(a, dtype=dtype) for a in images(rng))
    if vectors == "float32":
        gamma, beta = gamma.float(), beta.float()
    op, options = REGISTRY["conv_bn_act"], HOW | NORM
    inputs = (x, w, gamma, beta, residual)
    y, z, mean, var = op(*inputs, **options)
    parts = expand(op, inputs, options)
    exact = op(*(a.float() for a in inputs), **options)
    assert [t.dtype for t in (y, z, mean, var)] == [t.dtype for t in parts]
    assert y.numpy().tobytes() == exact[0].to(dtype=dtype).numpy().tobytes()
    scale = float(exact[0].abs().max())
    assert float((parts[0].float() - exact[0]).abs().max()) < 6 * step * scale
    np.testing.assert_allclose(mean.numpy(), parts[2].numpy(), atol=2 * step * float(exact[1].abs().max()))


def test_vectors_of_another_type_are_refused_where_the_parts_refuse_them(rng):
    x, w, *_ = images(rng)
    for name, call in {
        "conv_bn_act": lambda op: op(mg.tensor(x), mg.tensor(w, dtype="float32"), **HOW, **NORM),
        "linear_act": lambda op: op(mg.ones(2, 3), mg.ones(4, 3, dtype="float64"), activation="relu"),
    }.items():
        with pytest.raises(mg.errors.DtypeError, match="one dtype"):
            call(REGISTRY[name])


def test_errors_of_the_end(rng):
    x, w, gamma, beta, residual = (mg.tensor(a) for a in images(rng))
    with pytest.raises(
        ShapeError, match=r"residual has shape \[3, 4, 1, 4\], what it is added to \[3, 4, 3, 4\]"
    ):
        REGISTRY["conv_bn_act"](x, w, gamma, beta, residual[:, :, :1], **HOW, **NORM)
    with pytest.raises(
        ArgumentError, match="activation must be one of none, relu, tanh, sigmoid, not 'gelu'"
    ):
        REGISTRY["linear_act"](mg.ones(1, 2), mg.ones(1, 2), activation="gelu")


def test_a_residual_of_any_memory_layout(rng):
    x, w, gamma, beta, residual = images(rng)
    tensors = [mg.tensor(a) for a in (x, w, gamma, beta)]
    expected = REGISTRY["conv_bn_act"](*tensors, mg.tensor(residual), **HOW, **NORM)[0].numpy()
    last = np.ascontiguousarray(residual.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for layout in (last, np.asfortranarray(residual), np.repeat(residual, 2, axis=3)[..., ::2]):
        y = REGISTRY["conv_bn_act"](*tensors, mg.from_numpy(layout), **HOW, **NORM)[0]
        np.testing.assert_array_equal(y.numpy(), expected)


def test_composites_are_no_functions_of_the_top():
    assert not hasattr(mg, "conv_bn_act")
    assert not hasattr(ops, "linear_act")
