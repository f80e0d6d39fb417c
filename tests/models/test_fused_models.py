"""Models run their layers fused, and do what they do where every layer runs by itself."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import minigrad as mg
import models
from minigrad import nn
from minigrad.errors import PlainPathWarning
from minigrad.nn.fusing import without_composites
from minigrad.nn.summary import summary
from models.mlp import MLP

SMALL = (3, 3, 12, 12)
MODELS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "resnet8": (lambda: models.resnet8(), SMALL),
    "resnet8 with padded shortcuts": (lambda: models.resnet8(shortcut="pad"), SMALL),
    "resnet8 without shortcuts": (lambda: models.resnet8(residual=False), SMALL),
    "bottlenecks": (
        lambda: models.ResNet((1, 1), (4, 8), 5, 3, stem="imagenet", bottleneck=True),
        (2, 3, 20, 20),
    ),
    "simple_cnn": (lambda: models.simple_cnn(image_size=12), (3, 1, 12, 12)),
    "lenet5": (lambda: models.lenet5(), (3, 1, 28, 28)),
    "lenet5, relu": (lambda: models.lenet5(classic=False), (3, 1, 28, 28)),
    "mlp": (lambda: models.mlp(image_size=4), (3, 1, 4, 4)),
    "mlp with norms": (lambda: MLP(16, 10, batch_norm=True, activation="relu"), (3, 16)),
    "mlp, tanh": (lambda: MLP(16, 10, activation="tanh", dropout=0.5), (3, 16)),
    "mlp, gelu": (lambda: MLP(16, 10, activation="gelu", batch_norm=True), (3, 16)),
}


def build(name: str) -> tuple[nn.Module, mg.Tensor]:
    mg.manual_seed(0)
    make, shape = MODELS[name]
    return make().double(), mg.tensor(np.random.default_rng(0).standard_normal(shape))


def step(model: nn.Module, x: mg.Tensor) -> tuple[dict[str, np.ndarray], set[str], float]:
    """One training step: what is to be compared, the operations run forward, and their floating-point operations."""
    mg.manual_seed(1)  # of dropout
    with mg.profile() as p:
        y = model(x)
    y.backward(mg.tensor(np.cos(np.arange(y.numel())).reshape(y.shape)))
    found = {"y": y.detach().numpy()} | {f"gradient {n}": q.grad.numpy() for n, q in model.named_parameters()}
    found |= {n: t.numpy() for n, t in model.state_dict().items()}
    return found, {op for op, _ in p.rows}, sum(row[2] for row in p.rows.values())


def assert_equal(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    assert list(ours) == list(theirs)
    for name, a in ours.items():
        scale = max(1e-3, np.abs(theirs[name]).max())
        np.testing.assert_allclose(a, theirs[name], rtol=0, atol=1e-9 * scale, err_msg=name)


@pytest.mark.parametrize("name", MODELS)
def test_fused_and_plain_agree(name):
    model, x = build(name)
    other = copy.deepcopy(model)
    ours, fused, flops = step(model, x)
    with without_composites():
        theirs, plain, plain_flops = step(other, x)
    assert_equal(ours, theirs)
    assert flops == plain_flops > 0
    composites = {"conv_bn_act", "batch_norm_act", "linear_act"}
    assert not plain & composites
    assert bool(fused & composites) == (name != "mlp, gelu")
    model.eval(), other.eval()
    with mg.no_grad():
        y = model(x)
        with without_composites():
            expected = other(x)
    np.testing.assert_allclose(y.numpy(), expected.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in MODELS if "resnet" in name or name == "bottlenecks"])
def test_residual_networks_run_nothing_but_composites(name):
    model, x = build(name)
    _, ran, _ = step(model, x)
    assert "conv_bn_act" in ran
    assert not ran & {"conv2d", "batch_norm", "relu"}
    with mg.no_grad(), mg.profile() as p:
        model.eval()(x)
    ran = {op for op, _ in p.rows}
    assert "conv_bn_act_inference" in ran
    assert not ran & {"conv2d", "batch_norm_inference", "relu", "add"}


def test_hooks_within_a_model_are_called():
    model, x = build("resnet8")
    other = copy.deepcopy(model)
    seen: list[str] = []
    layers = ["bn1", "layer1.0", "layer2.0.conv2", "layer2.0.downsample", "layer3.0.downsample.1", "fc"]
    for path in layers:
        model.get_submodule(path).register_forward_hook(lambda m, args, y, path=path: seen.append(path))
    with pytest.warns(PlainPathWarning) as told:
        ours, _, _ = step(model, x)
    assert sorted(seen) == sorted(layers)
    assert len(told) == 3  # of the layers that could have been fused
    assert_equal(ours, step(other, x)[0])


def test_layers_that_were_put_in_later_are_called():
    model, x = build("resnet8")
    other, _ = build("resnet8")
    for net in (model, other):
        net.layer1[0].bn1 = nn.Identity()
        net.layer2[0].downsample[1] = nn.GroupNorm(4, 32).double()
        net.layer3[0].downsample.append(nn.Tanh())
    ours, ran, _ = step(model, x)
    assert {"group_norm", "tanh", "conv2d", "conv_bn_act"} <= ran
    with without_composites():
        assert_equal(ours, step(other, x)[0])


@pytest.mark.parametrize("name", MODELS)
def test_a_summary_sees_every_layer_and_says_nothing(name):
    """It watches layers by hooks; a warning would be an error here."""
    model, x = build(name)
    model.eval()
    s = summary(model, tuple(x.shape[1:]), batch_size=x.shape[0])
    assert [row.name for row in s.rows if not row.calls] == [
        n for n, m in model.named_modules() if isinstance(m, nn.ModuleList)
    ]
    with mg.no_grad(), mg.profile() as p:
        model(x)
    assert s.flops == sum(row[2] for row in p.rows.values())
