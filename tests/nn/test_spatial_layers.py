"""Layers that pool, pad, resize and rearrange, against PyTorch's."""

from __future__ import annotations

import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError
from tests.nn.torch_twin import compare_layers

IMAGE, SEQUENCE = (2, 4, 6, 5), (2, 4, 9)
LAYERS = {
    "MaxPool1d": (lambda lib: lib.MaxPool1d(2), SEQUENCE),
    "MaxPool1d with all options": (lambda lib: lib.MaxPool1d(3, 2, 1, 2, False, True), SEQUENCE),
    "MaxPool1d with indices": (lambda lib: lib.MaxPool1d(3, return_indices=True), SEQUENCE),
    "AvgPool1d": (lambda lib: lib.AvgPool1d(2), SEQUENCE),
    "AvgPool1d with all options": (lambda lib: lib.AvgPool1d(3, 2, 1, True, False), SEQUENCE),
    "AdaptiveAvgPool1d": (lambda lib: lib.AdaptiveAvgPool1d(4), SEQUENCE),
    "AdaptiveMaxPool1d": (lambda lib: lib.AdaptiveMaxPool1d(4), SEQUENCE),
    "AdaptiveMaxPool1d with indices": (lambda lib: lib.AdaptiveMaxPool1d(2, return_indices=True), SEQUENCE),
    "AdaptiveMaxPool2d": (lambda lib: lib.AdaptiveMaxPool2d((4, None)), IMAGE),
    "AdaptiveMaxPool2d of one image": (lambda lib: lib.AdaptiveMaxPool2d(2, True), IMAGE[1:]),
    "ConstantPad1d": (lambda lib: lib.ConstantPad1d((1, 2), 3.5), SEQUENCE),
    "ConstantPad2d": (lambda lib: lib.ConstantPad2d(1, -1.0), IMAGE),
    "ZeroPad1d": (lambda lib: lib.ZeroPad1d(2), SEQUENCE),
    "ZeroPad2d": (lambda lib: lib.ZeroPad2d((1, 2, -1, 3)), IMAGE),
    "ReflectionPad1d": (lambda lib: lib.ReflectionPad1d((3, 1)), SEQUENCE),
    "ReflectionPad2d": (lambda lib: lib.ReflectionPad2d((1, 2, 3, 0)), IMAGE),
    "ReplicationPad1d": (lambda lib: lib.ReplicationPad1d(2), SEQUENCE),
    "ReplicationPad2d": (lambda lib: lib.ReplicationPad2d((1, 2, 3, 0)), IMAGE),
    "CircularPad1d": (lambda lib: lib.CircularPad1d((1, 2)), SEQUENCE),
    "CircularPad2d": (lambda lib: lib.CircularPad2d((1, 2, 3, 0)), IMAGE),
    "Upsample": (lambda lib: lib.Upsample(scale_factor=2.0), IMAGE),
    "Upsample to a size": (lambda lib: lib.Upsample((7, 3), mode="bilinear"), IMAGE),
    "Upsample of a sequence": (lambda lib: lib.Upsample(scale_factor=1.7, mode="linear"), SEQUENCE),
    "Upsample recomputed": (
        lambda lib: lib.Upsample(scale_factor=1.7, mode="bicubic", recompute_scale_factor=True),
        IMAGE,
    ),
    "UpsamplingNearest2d": (lambda lib: lib.UpsamplingNearest2d(scale_factor=3.0), IMAGE),
    "UpsamplingBilinear2d": (lambda lib: lib.UpsamplingBilinear2d(size=(3, 8)), IMAGE),
    "PixelShuffle": (lambda lib: lib.PixelShuffle(2), IMAGE),
    "PixelUnshuffle": (lambda lib: lib.PixelUnshuffle(3), (2, 1, 6, 9)),
    "Flatten": (lambda lib: lib.Flatten(0, -2), IMAGE),
    "Unflatten": (lambda lib: lib.Unflatten(1, (2, -1)), IMAGE),
    "Unflatten at the end": (lambda lib: lib.Unflatten(-1, (3, 3)), SEQUENCE),
    "Unfold": (lambda lib: lib.Unfold((2, 3), padding=1, stride=(2, 1)), IMAGE),
    "Fold": (lambda lib: lib.Fold((4, 5), 2, dilation=2, padding=1), (2, 8, 20)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer(torch, rng, name):
    make, shape = LAYERS[name]
    same_repr = not name.startswith("AvgPool1d")  # PyTorch keeps its numbers as tuples of one
    compare_layers(torch, make, [rng.standard_normal(shape)], same_repr=same_repr)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.MaxPool1d((2, 2)), r"MaxPool1d: kernel_size must be an int, .* got \(2, 2\)"),
        (lambda: nn.AvgPool2d(2, divisor_override=0), "AvgPool2d: divisor_override must not be 0"),
        (lambda: nn.AvgPool1d(2, padding=2), "AvgPool1d: padding 2 must be at most half of kernel_size 2"),
        (lambda: nn.ZeroPad2d((1, 2)), r"ZeroPad2d: padding .* \(left, right, top, bottom\), not \(1, 2\)"),
        (lambda: nn.ReflectionPad1d("1"), r"ReflectionPad1d: padding .* an int or \(left, right\), not '1'"),
        (lambda: nn.Upsample(), "Upsample: give size or scale_factor, one of them; got size=None"),
        (lambda: nn.UpsamplingNearest2d(2, 2), "UpsamplingNearest2d: .* size=2, scale_factor=2"),
        (lambda: nn.PixelShuffle(0), "PixelShuffle: upscale_factor must be an int, 1 or more; got 0"),
        (lambda: nn.PixelUnshuffle(1.5), "downscale_factor must .* got 1.5"),
        (lambda: nn.Unflatten(1, 4), "unflattened_size must be the lengths of the new dimensions, not 4"),
        (lambda: nn.Unfold(2, stride=0), "Unfold: stride must .* got 0"),
        (lambda: nn.Fold((4, 0), 2), r"Fold: output_size must .* got \(4, 0\)"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_padding_refuses_what_is_too_wide():
    with pytest.raises(mg.errors.ShapeError, match="may be at most 3 in mode 'reflect'"):
        nn.ReflectionPad1d(4)(mg.ones(1, 1, 4))
