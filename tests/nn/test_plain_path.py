"""Layers that cannot be fused run in a row: borders, hooks, forwards of their own; and errors are the layers'."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, DtypeError, PlainPathWarning, ShapeError
from minigrad.nn import functional as F
from minigrad.nn.fusing import without_composites
from tests.nn.fused_and_row import Layers, Row, compare, conv, image, norm, plainly, shortcut

# ---------------------------------------------------------------- what it cannot: the layers in a row


class Doubled(nn.Conv2d):
    def forward(self, x: mg.Tensor) -> mg.Tensor:
        """Twice the convolution."""
        return super().forward(x) * 2


PLAIN = {
    "a bias": lambda: (conv(bias=True), norm()),
    "a circular border": lambda: (conv(padding_mode="circular"), norm()),
    "an uneven border": lambda: (conv(padding="same", kernel_size=2), norm()),
    "a group norm": lambda: (conv(), nn.GroupNorm(2, 6)),
    "no norm": lambda: (conv(), nn.Identity()),
    "a transposed convolution": lambda: (nn.ConvTranspose2d(4, 6, 3, padding=1), norm()),
}


@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize("name", PLAIN)
def test_what_the_composite_cannot_say(name, mode):
    compare(Layers(*PLAIN[name]()).double().train(mode), image(), fused=None)


@pytest.mark.parametrize("activation", [nn.GELU(), nn.LeakyReLU(0.2), nn.Tanh()])
def test_other_activations(activation):
    compare(Layers(conv(), norm(), activation).double(), image(), shortcut(), fused=None)


def test_shortcuts_that_are_broadcast_or_promoted():
    layers = Layers(conv(), norm()).float()
    x = image(dtype="float32")
    compare(layers, x, mg.tensor(np.ones((6, 1, 1)), dtype="float32", requires_grad=True), fused=None)
    compare(layers, x, mg.tensor(np.ones((3, 6, 5, 6), np.int64)), fused=None)
    row = copy.deepcopy(layers)
    row.__class__ = Row
    wide = shortcut("float64")
    assert layers(x, wide).dtype == row(x, wide).dtype == mg.float64


def test_switched_off(monkeypatch):
    layers, x = Layers(conv(), norm()).double(), image()
    monkeypatch.setenv("MINIGRAD_COMPOSITES", "off")
    compare(layers, x, fused=None)
    monkeypatch.setenv("MINIGRAD_COMPOSITES", "on")
    compare(layers, x)
    monkeypatch.setenv("MINIGRAD_COMPOSITES", "no")
    with pytest.raises(ArgumentError, match="MINIGRAD_COMPOSITES must be on or off, not 'no'"):
        layers(x, None)
    monkeypatch.delenv("MINIGRAD_COMPOSITES")
    with without_composites(), without_composites():
        compare(layers, x, fused=None)
    compare(layers, x)


# ---------------------------------------------------------------- hooks, and forwards of one's own


HOOKS = {
    "forward": lambda module, seen: module.register_forward_hook(lambda m, args, y: seen.append(y)),
    "forward pre": lambda module, seen: module.register_forward_pre_hook(lambda m, args: seen.append(args)),
    "backward": lambda module, seen: module.register_full_backward_hook(lambda m, gx, gy: seen.append(gx)),
    "backward pre": lambda module, seen: module.register_full_backward_pre_hook(
        lambda m, gy: seen.append(gy)
    ),
}


@pytest.mark.parametrize("which", ["conv", "bn", "activation"])
@pytest.mark.parametrize("kind", HOOKS)
def test_a_hook_is_called_and_said_once(kind, which):
    layers = Layers(conv(), norm(), nn.ReLU()).double()
    seen: list[Any] = []
    handle = HOOKS[kind](getattr(layers, which), seen)
    with pytest.warns(
        PlainPathWarning, match=r"conv_bn_act: \w+\(.*\) has a hook, so the layers run one by one"
    ) as told:
        layers(image(), None).sum().backward()
    assert len(told) == len(seen) == 1
    layers(image(), None).sum().backward()  # a warning would be an error here
    assert len(seen) == 2
    handle.remove()
    compare(layers, image(), shortcut())
    assert len(seen) == 2


def test_what_a_hook_returns_counts():
    layers = Layers(conv(), norm()).double()
    layers.conv.register_forward_hook(lambda m, args, y: y * 0)
    with pytest.warns(PlainPathWarning):
        y = layers(image(), None)
    np.testing.assert_array_equal(
        y[:, :, 0, 0].numpy(), np.tile(np.maximum(layers.bn.bias.numpy(), 0), (3, 1))
    )


def test_each_module_is_told_of(recwarn):
    first, second = (Layers(conv(), norm()).double() for _ in range(2))
    handles = [m.register_forward_hook(lambda *_: None) for m in (first.conv, first.bn, second.bn)]
    with pytest.warns(PlainPathWarning) as told:
        first(image(), None)
    assert [str(w.message).split("(")[0] for w in told] == ["conv_bn_act: Conv2d", "conv_bn_act: BatchNorm2d"]
    with pytest.warns(PlainPathWarning):
        second(image(), None)
    assert len(handles) == 3


def test_a_forward_of_its_own_runs(monkeypatch):
    doubled = Doubled(4, 6, 3, padding=1, bias=False)
    replaced, patched = conv(), conv()
    replaced.forward = lambda x: nn.Conv2d.forward(replaced, x) * 2
    for layer in (doubled, replaced):
        layers = Layers(layer, norm(affine=False), "none").double()
        with pytest.warns(PlainPathWarning, match="has a forward of its own"):
            y = layers(image(), None)
        np.testing.assert_allclose(y.numpy(), layers.bn(layer(image())).numpy(), rtol=1e-12)
    original = nn.Conv2d.forward
    monkeypatch.setattr(nn.Conv2d, "forward", lambda self, x: original(self, x) * 0)
    with pytest.warns(PlainPathWarning):
        y = F.conv_bn_act(image(), patched.double(), norm(affine=False).double(), "none")
    assert not y.numpy().any()


def test_a_subclass_that_changes_no_forward_is_fused():
    class Named(nn.Conv2d):
        def extra_repr(self) -> str:
            """Its name."""
            return "mine"

    compare(Layers(Named(4, 6, 3, padding=1, bias=False), norm()).double(), image())


# ---------------------------------------------------------------- errors are those of the layers


ERRORS = {
    "channels of x": (lambda: (conv(), norm()), (2, 3, 5, 5), ShapeError),
    "channels of the norm": (lambda: (conv(), nn.BatchNorm2d(5)), (2, 4, 5, 5), ShapeError),
    "no batch": (lambda: (conv(), norm()), (4, 5, 5), ShapeError),
    "a kernel too large": (lambda: (conv(kernel_size=9), norm()), (2, 4, 5, 5), ShapeError),
    "one value per channel": (lambda: (conv(padding=0), norm()), (1, 4, 3, 3), ShapeError),
    "types": (lambda: (conv(dtype="float32"), norm()), (2, 4, 5, 5), DtypeError),
    "types of the norm": (lambda: (conv(dtype="float64"), norm(dtype="float32")), (2, 4, 5, 5), DtypeError),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_those_of_the_layers(name):
    make, shape, kind = ERRORS[name]
    layers = Layers(*make())
    if "types" not in name:
        layers.double()
    texts = []
    for way in (lambda fn: fn(), plainly):
        with pytest.raises(kind) as error:
            way(lambda: copy.deepcopy(layers)(image(*shape), None))
        texts.append(str(error.value))
    assert texts[0] == texts[1]


def test_a_stride_that_was_set_wrong():
    layers = Layers(conv(), norm()).double()
    layers.conv.stride = 2  # an int is as good as a pair
    compare(layers, image())
    layers.conv.stride = (0, 1)
    with pytest.raises(ArgumentError, match="conv2d: stride must be"):
        layers(image(), None)


@pytest.mark.parametrize("activation", ["gelu", "tanh", "", None, 3])
def test_unknown_activations(activation):
    with pytest.raises(ArgumentError, match="activation must be 'relu', 'none' or a layer, not"):
        F.conv_bn_act(image(), conv(), norm(), activation)
    if activation != "tanh":
        with pytest.raises(ArgumentError, match="linear_act: activation must be"):
            F.linear_act(mg.ones(1, 2), nn.Linear(2, 1), activation)
