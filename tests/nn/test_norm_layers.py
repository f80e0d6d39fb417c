"""Normalisation layers against PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, ShapeError
from tests.nn.torch_twin import compare_layers

LAYERS = {
    "BatchNorm3d": (lambda lib: lib.BatchNorm3d(3), (2, 3, 2, 2, 3)),
    "BatchNorm2d without bias": (lambda lib: lib.BatchNorm2d(3, bias=False), (2, 3, 2, 3)),
    "LayerNorm": (lambda lib: lib.LayerNorm(5), (3, 5)),
    "LayerNorm over two dimensions": (lambda lib: lib.LayerNorm((4, 5), eps=1e-3), (2, 3, 4, 5)),
    "LayerNorm without bias": (lambda lib: lib.LayerNorm([5], bias=False), (2, 3, 5)),
    "LayerNorm without weights": (lambda lib: lib.LayerNorm(5, elementwise_affine=False), (2, 5)),
    "RMSNorm": (lambda lib: lib.RMSNorm(5), (2, 3, 5)),
    "RMSNorm with options": (lambda lib: lib.RMSNorm((3, 5), 1e-2, elementwise_affine=False), (2, 3, 5)),
    "GroupNorm": (lambda lib: lib.GroupNorm(2, 6), (2, 6, 3, 4)),
    "GroupNorm of vectors": (lambda lib: lib.GroupNorm(3, 6, eps=1e-2), (4, 6)),
    "GroupNorm without weights": (lambda lib: lib.GroupNorm(1, 4, affine=False), (2, 4, 5)),
    "GroupNorm without bias": (lambda lib: lib.GroupNorm(2, 4, bias=False), (2, 4, 5)),
    "InstanceNorm2d without bias": (lambda lib: lib.InstanceNorm2d(3, affine=True, bias=False), (2, 3, 2, 3)),
    "InstanceNorm1d": (lambda lib: lib.InstanceNorm1d(3), (2, 3, 5)),
    "InstanceNorm1d of one": (lambda lib: lib.InstanceNorm1d(3, affine=True), (3, 5)),
    "InstanceNorm2d": (lambda lib: lib.InstanceNorm2d(3, eps=1e-3), (2, 3, 4, 5)),
    "InstanceNorm2d with memory": (
        lambda lib: lib.InstanceNorm2d(3, momentum=0.3, affine=True, track_running_stats=True),
        (2, 3, 4, 5),
    ),
    "InstanceNorm2d of one with memory": (
        lambda lib: lib.InstanceNorm2d(3, track_running_stats=True),
        (3, 4, 5),
    ),
    "InstanceNorm3d": (lambda lib: lib.InstanceNorm3d(2, affine=True), (2, 2, 3, 2, 2)),
    "LocalResponseNorm": (lambda lib: lib.LocalResponseNorm(3), (2, 5, 4)),
    "LocalResponseNorm with options": (
        lambda lib: lib.LocalResponseNorm(2, alpha=0.5, beta=0.6, k=2.0),
        (2, 5, 3, 2),
    ),
}


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("name", LAYERS)
def test_layer(torch, rng, name, mode):
    make, shape = LAYERS[name]
    same_repr = not name.startswith(("Batch", "Instance"))  # ours mention the bias only where it is missing
    compare_layers(torch, make, [2 * rng.standard_normal(shape) + 1], mode=mode, same_repr=same_repr)


def test_parameters_begin_as_if_they_were_not_there():
    x = mg.randn(2, 4, 3)
    for layer in (nn.LayerNorm(3), nn.RMSNorm(3), nn.GroupNorm(2, 4), nn.InstanceNorm1d(4, affine=True)):
        assert {float(v) for v in layer.weight.tolist()} == {1.0}
        y = layer(x)
        layer.weight = None
        assert layer(x).tolist() == y.tolist()


def test_a_missing_bias_is_shown():
    assert repr(nn.BatchNorm1d(2, bias=False)).endswith("track_running_stats=True, bias=False)")
    assert repr(nn.InstanceNorm1d(2)).endswith("affine=False, track_running_stats=False)")


def test_frozen_batch_norm_still_counts():
    """What `freeze` says of batch norm: parameters stand still, running averages move unless in evaluation mode."""
    layer = nn.BatchNorm1d(2).freeze()
    layer(mg.randn(4, 2))
    assert layer.num_batches_tracked.item() == 1
    assert np.abs(layer.running_mean.numpy()).max() > 0
    layer.eval()(mg.randn(4, 2))
    assert layer.num_batches_tracked.item() == 1


def test_a_files_batch_norm_may_lack_the_counter():
    layer, other = nn.Sequential(nn.BatchNorm2d(2)), nn.Sequential(nn.BatchNorm2d(2))
    layer(mg.randn(3, 2, 4, 4))
    state = layer.state_dict()
    del state["0.num_batches_tracked"]
    other(mg.randn(3, 2, 4, 4))
    other(mg.randn(3, 2, 4, 4))
    assert other.load_state_dict(state) == ([], [])
    assert other[0].num_batches_tracked.item() == 2
    assert other[0].running_var.tolist() == layer[0].running_var.tolist()
    del state["0.running_var"]
    with pytest.raises(mg.errors.StateError, match=r": 0\.running_var is missing$"):
        other.load_state_dict(state)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.LayerNorm(0), "LayerNorm: normalized_shape must be an int or ints, 1 or more, not 0"),
        (lambda: nn.LayerNorm(()), r"normalized_shape must .* not \(\)"),
        (lambda: nn.LayerNorm(3, eps=-1.0), "LayerNorm: eps must be >= 0, not -1.0"),
        (lambda: nn.RMSNorm(2.5), "RMSNorm: normalized_shape must .* not 2.5"),
        (lambda: nn.GroupNorm(3, 4), "GroupNorm: 4 channels cannot be divided into 3 equal groups"),
        (lambda: nn.GroupNorm(0, 4), "into 0 equal groups"),
        (lambda: nn.GroupNorm(1, 4, eps=-1), "GroupNorm: eps must be >= 0, not -1"),
        (lambda: nn.InstanceNorm2d(0), "InstanceNorm2d needs at least one channel, not 0"),
        (lambda: nn.LocalResponseNorm(0), "LocalResponseNorm: size must be 1 or more, not 0"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.LayerNorm(3)(mg.ones(2, 4)), r"normalized_shape is \[3\]; x of shape \[2, 4\]"),
        (
            lambda: nn.InstanceNorm2d(3)(mg.ones(4, 5, 6)),
            r"takes 3-dimensional or 4-dimensional .* 3 channels",
        ),
        (lambda: nn.InstanceNorm1d(3)(mg.ones(3, 1)), "two values per channel"),
        (lambda: nn.BatchNorm3d(3)(mg.ones(2, 3, 4, 4)), r"takes 5-dimensional .* not shape \[2, 3, 4, 4\]"),
    ],
)
def test_wrong_shapes(call, message):
    with pytest.raises(ShapeError, match=message):
        call()
