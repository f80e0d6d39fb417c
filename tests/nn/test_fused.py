"""Fused layers do what the layers in a row do: values, gradients and state."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.errors import DtypeError, PlainPathWarning, ShapeError
from minigrad.nn import functional as F
from tests.nn.fused_and_row import (
    TOLERANCE,
    Layers,
    compare,
    conv,
    image,
    norm,
    operations,
    plainly,
    shortcut,
)

# ---------------------------------------------------------------- everything the composite can say


FUSED = {
    "plain": lambda: (conv(), norm()),
    "strided": lambda: (conv(stride=2, kernel_size=1, padding=0), norm()),
    "dilated, in groups": lambda: (conv(dilation=(1, 2), groups=2, padding=(0, 3)), norm(eps=0.1)),
    "valid": lambda: (conv(padding="valid"), norm()),
    "same": lambda: (conv(padding="same", kernel_size=(3, 5)), norm()),
    "momentum=None": lambda: (conv(), norm(momentum=None)),
    "momentum=1": lambda: (conv(), norm(momentum=1.0)),
    "no averages": lambda: (conv(), norm(track_running_stats=False)),
    "no weights": lambda: (conv(), norm(affine=False)),
    "no bias": lambda: (conv(), norm(bias=False)),
    "frozen weights": lambda: (conv().requires_grad_(False), norm().requires_grad_(False)),
    "frozen convolution": lambda: (conv().requires_grad_(False), norm()),
    "frozen norm": lambda: (conv(), norm().requires_grad_(False)),
}


@pytest.mark.parametrize("activation", ["relu", "none", nn.ReLU()])
@pytest.mark.parametrize("name", FUSED)
def test_training_equals_the_layers_in_a_row(name, activation):
    layers = Layers(*FUSED[name](), activation).double()
    compare(layers, image())
    compare(layers, image(requires_grad=False))


@pytest.mark.parametrize("activation", ["relu", "none"])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_every_type_with_a_shortcut(dtype, activation):
    layers = Layers(conv(), norm(), activation).to(dtype=mg.as_dtype(dtype))
    compare(layers, image(dtype=dtype), shortcut(dtype))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("mode", [True, False])
def test_half_precision_beside_a_float32_norm(dtype, mode):
    layers = Layers(conv().to(dtype=mg.as_dtype(dtype)), norm().requires_grad_(mode)).train(mode)
    name = "conv_bn_act" if mode else "conv_bn_act_inference"
    compare(layers, image(dtype=dtype), shortcut(dtype), fused=name)


@pytest.mark.parametrize("name", FUSED)
def test_evaluation_without_a_graph(name):
    layers = Layers(*FUSED[name]()).double().eval()
    expected = "conv_bn_act" if name == "no averages" else "conv_bn_act_inference"
    with mg.no_grad():
        compare(layers, image(), fused=expected)
    before = {n: t.tolist() for n, t in layers.state_dict().items()}
    assert before == {n: t.tolist() for n, t in layers.state_dict().items()}


def test_training_on_a_norm_in_evaluation():
    """A frozen norm is one composite; one whose weight is learnt needs conv(x), which the composite does not keep."""
    for learnt, fused in ((False, "conv_bn_act_inference"), (True, None)):
        layers = Layers(conv(), norm().requires_grad_(learnt)).double()
        layers.bn.eval()
        compare(layers, image(), fused=fused)
    layers = Layers(conv(), norm(affine=False)).double()
    layers.bn.eval()
    compare(layers, image(), fused="conv_bn_act_inference")


def test_no_grad_still_moves_the_averages():
    with mg.no_grad():
        compare(Layers(conv(), norm()).double(), image())


def test_a_copy_and_its_original_have_a_state_each():
    layers = Layers(conv(), norm()).double()
    layers(image(), None)
    other = copy.deepcopy(layers)
    layers(image(), None)
    assert (int(layers.bn.num_batches_tracked), int(other.bn.num_batches_tracked)) == (2, 1)
    compare(other, image(), shortcut())


def test_second_derivatives(rng):
    layers = Layers(conv(), norm()).double()
    found = []
    for enabled in (True, False):
        x = image()
        y = layers(x, None) if enabled else plainly(lambda x=x: layers(x, None))
        (gx,) = mg.grad([(y * y).sum()], [x], create_graph=True)
        found.append([g.numpy() for g in mg.grad([(gx * gx).sum()], [x, *layers.parameters()])])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-11 * max(1, np.abs(b).max()))


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 2), st.integers(1, 3)),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.sampled_from([1, 2]),
    st.booleans(),
)
def test_any_convolution(kernel_size, stride, padding, dilation, groups, training):
    how = {"kernel_size": kernel_size, "stride": stride, "padding": padding, "dilation": dilation}
    layers = Layers(conv(**how, groups=groups), norm().requires_grad_(training)).double().train(training)
    name = "conv_bn_act" if training else "conv_bn_act_inference"
    compare(layers, image(), fused=name, calls=1)


# ---------------------------------------------------------------- batch_norm_act, linear_act


@pytest.mark.parametrize("activation", ["relu", "none"])
@pytest.mark.parametrize(
    "options", [{}, {"affine": False}, {"momentum": None}, {"track_running_stats": False}]
)
@pytest.mark.parametrize(
    ("kind", "shape"),
    [(nn.BatchNorm1d, (5, 6)), (nn.BatchNorm2d, (2, 6, 3, 4)), (nn.BatchNorm3d, (2, 6, 2, 3, 1))],
)
def test_batch_norm_act(kind, shape, options, activation):
    for training in (True, False):
        found = []
        for fused in (True, False):
            bn = kind(6, **options).double().train(training)
            x, r = (
                mg.tensor(np.random.default_rng(i).standard_normal(shape), requires_grad=True) for i in (0, 1)
            )
            if fused:
                y, ran = operations(lambda x=x, r=r, bn=bn: F.batch_norm_act(x, bn, activation, r))
                uses_batch = training or "track_running_stats" in options
                assert ("batch_norm_act" in ran) == uses_batch
            else:
                y = bn(x) + r
                y = F.relu(y) if activation == "relu" else y
            y.backward(mg.tensor(np.cos(np.arange(y.numel())).reshape(shape)))
            grads = [t.grad for t in (x, r, *bn.parameters())]
            found.append([t.detach().numpy() for t in (y, *grads, *bn.state_dict().values())])
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_batch_norm_act_takes_other_norms_and_sees_hooks():
    x = image(2, 6, 3, 3)
    group = nn.GroupNorm(2, 6).double()
    assert F.batch_norm_act(x, group).tolist() == F.relu(group(x)).tolist()
    bn, seen = norm().double(), []
    bn.register_forward_hook(lambda m, args, y: seen.append(1))
    with pytest.warns(PlainPathWarning, match="batch_norm_act: BatchNorm2d"):
        F.batch_norm_act(x, bn)
    assert seen == [1]
    with pytest.raises(ShapeError, match="takes 4-dimensional inputs"):
        F.batch_norm_act(image(2, 6), norm().double())


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("activation", "function"),
    [("relu", F.relu), ("tanh", F.tanh), ("sigmoid", F.sigmoid), (nn.Tanh(), F.tanh), (nn.GELU(), F.gelu)],
)
def test_linear_act(activation, function, bias, dtype):
    layer = nn.Linear(4, 3, bias).to(dtype=mg.as_dtype(dtype))
    for shape in ((5, 4), (4,), (2, 3, 4)):
        found = []
        for fused in (True, False):
            x = image(*shape, dtype=dtype)
            layer.zero_grad()
            if fused:
                y, ran = operations(lambda x=x: F.linear_act(x, layer, activation))
                assert ("linear_act" in ran) == (function is not F.gelu)
            else:
                y = function(layer(x))
            y.sum().backward()
            found.append(
                [t.detach().float().numpy() for t in (y, x.grad, *(p.grad for p in layer.parameters()))]
            )
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE[dtype] * max(1, np.abs(b).max()))


def test_linear_act_takes_the_plain_path():
    layer, x, seen = nn.Linear(4, 3).double(), image(5, 4), []
    handle = layer.register_forward_hook(lambda m, args, y: seen.append(1))
    with pytest.warns(PlainPathWarning, match=r"linear_act: Linear\(in_features=4.*has a hook"):
        F.linear_act(x, layer)
    assert seen == [1]
    handle.remove()
    activation = nn.Sigmoid()
    activation.register_forward_hook(lambda m, args, y: y * 0)
    with pytest.warns(PlainPathWarning, match="Sigmoid"):
        assert not F.linear_act(x, layer, activation).numpy().any()
    identity = nn.Identity()
    assert F.linear_act(x, identity, "tanh").tolist() == F.tanh(x).tolist()
    with pytest.raises(ShapeError, match="linear: x"):
        F.linear_act(image(5, 3), layer)
    with pytest.raises(DtypeError, match="one dtype"):
        F.linear_act(image(5, 4, dtype="float32"), layer)
