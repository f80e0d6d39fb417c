"""Residual networks of all depths: sizes, names, blocks."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
import models
from minigrad.errors import ArgumentError
from tests.models.torchvision_twin import bottleneck_resnet

RESNET50 = (3, 4, 6, 3)


@pytest.mark.parametrize(
    ("depth", "parameters"),
    [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032), (101, 44_549_160), (152, 60_192_808)],
)
def test_sizes_are_torchvisions(depth, parameters):
    assert models.build(f"resnet{depth}", num_classes=1000).count_parameters() == parameters


@pytest.mark.parametrize("depth", [32, 44, 56, 110])
def test_small_networks_have_their_depth(depth):
    """Counted as in the paper: convolutions of the stem and the branches, and the classifier."""
    model = getattr(models, f"resnet{depth}")(shortcut="pad")
    convolutions = [m for m in model.modules() if isinstance(m, mg.nn.Conv2d)]
    assert len(convolutions) + 1 == depth
    n = (depth - 2) // 6
    per_stage = {w: 2 * n * 9 * w * w for w in (16, 32, 64)}
    weights = (
        432 + sum(per_stage.values()) - 9 * 32 * 16 - 9 * 64 * 32
    )  # the first of a stage takes half the channels
    norms = 2 * 16 + 2 * 2 * n * (16 + 32 + 64)
    assert model.count_parameters() == weights + norms + 650


def test_resnet110_has_the_papers_size():
    """1.7 million: He et al. 2016, table 6."""
    assert round(models.resnet110(shortcut="pad").count_parameters(), -5) == 1_700_000


@pytest.mark.oracle
def test_names_and_shapes_are_torchvisions(torch):
    ours = models.resnet50().state_dict()
    theirs = bottleneck_resnet(torch, RESNET50).state_dict()
    assert {n: tuple(v.shape) for n, v in ours.items()} == {n: tuple(v.shape) for n, v in theirs.items()}
    assert list(ours) == list(theirs)
    assert len(ours) == 320
    assert ours["layer4.2.conv3.weight"].shape == (2048, 512, 1, 1)
    assert ours["layer2.0.downsample.1.running_var"].shape == (512,)


def test_the_stride_stands_in_the_3x3_convolution():
    block = models.resnet50().layer3[0]
    assert [c.stride for c in (block.conv1, block.conv2, block.conv3)] == [(1, 1), (2, 2), (1, 1)]
    assert block.downsample[0].stride == (2, 2)


@pytest.mark.parametrize(
    ("name", "options", "shape"),
    [
        ("resnet34", {"in_channels": 1}, (1, 1, 40, 33)),
        ("resnet50", {"stem": "small", "shortcut": "pad"}, (2, 3, 8, 8)),
        ("resnet50", {"residual": False}, (1, 3, 32, 32)),
        ("resnet101", {}, (1, 3, 32, 32)),
        ("resnet110", {}, (1, 3, 12, 12)),
    ],
)
def test_any_image_gives_logits(name, options, shape):
    with mg.no_grad():
        y = models.build(name, num_classes=7, **options).eval()(mg.randn(shape))
    assert y.shape == (shape[0], 7)
    assert np.isfinite(y.numpy()).all()


@pytest.mark.parametrize("make", [models.resnet18, models.resnet50])
def test_blocks_that_begin_as_their_shortcut(make):
    model = make(num_classes=10, stem="small", zero_init_residual=True)
    last = "bn3" if make is models.resnet50 else "bn2"
    for name, p in model.named_parameters():
        if "bn" in name and name.endswith("weight"):
            assert set(p.tolist()) == {0.0 if last in name else 1.0}, name
    x = mg.randn(2, model.layer1[1].conv1.in_channels, 4, 4).abs()
    assert model.layer1[1](x).tolist() == x.tolist()
    with pytest.raises(ArgumentError, match="zero_init_residual needs the shortcuts"):
        make(residual=False, zero_init_residual=True)
