"""Layers fused, and the same layers written out in a row: both ways are run from the same state and compared."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

import minigrad as mg
from minigrad import nn
from minigrad.nn import functional as F
from minigrad.nn.fusing import without_composites

COMPOSITES = {"conv_bn_act", "conv_bn_act_inference", "batch_norm_act", "linear_act"}
TOLERANCE = {"float64": 1e-12, "float32": 2e-5, "float16": 8e-3, "bfloat16": 6e-2}


def conv(**options: Any) -> nn.Conv2d:
    """A convolution of 4 channels to 6."""
    return nn.Conv2d(4, 6, **({"kernel_size": 3, "padding": 1, "bias": False} | options))


def norm(**options: Any) -> nn.BatchNorm2d:
    """A batch norm of 6 channels whose numbers are not those it begins with."""
    bn = nn.BatchNorm2d(6, **options)
    rng = np.random.default_rng(1)
    for tensor in (bn.weight, bn.bias, bn.running_mean, bn.running_var):
        if tensor is not None:
            tensor.data.copy_(rng.uniform(0.5, 2, 6))
    return bn


class Layers(nn.Module):
    """conv, bn and how they are called, as one module."""

    def __init__(self, conv_: nn.Module, bn: nn.Module, activation: Any = "relu") -> None:
        self.conv, self.bn, self.activation = conv_, bn, activation

    def forward(self, x: mg.Tensor, residual: mg.Tensor | None) -> mg.Tensor:
        """Fused, where that is possible."""
        return F.conv_bn_act(x, self.conv, self.bn, self.activation, residual)


class Row(Layers):
    """The same, written out."""

    def forward(self, x: mg.Tensor, residual: mg.Tensor | None) -> mg.Tensor:
        """Layer after layer."""
        y = self.bn(self.conv(x))
        y = y if residual is None else y + residual
        if isinstance(self.activation, nn.Module):
            return self.activation(y)
        return F.relu(y) if self.activation == "relu" else y


def operations(fn: Any) -> tuple[Any, set[str]]:
    """What a function returns, and the names of the operations that it ran."""
    with mg.profile() as p:
        result = fn()
    return result, {name for name, _ in p.rows}


def compare(
    layers: Layers,
    x: mg.Tensor,
    residual: mg.Tensor | None = None,
    *,
    fused: str | None = "conv_bn_act",
    calls: int = 2,
) -> None:
    """Both ways, from the same state: outputs, gradients and the state afterwards agree; `fused` is what must run."""
    row = copy.deepcopy(layers)
    row.__class__ = Row
    rtol = TOLERANCE[str(x.dtype)]
    for _ in range(calls):
        found = []
        for module in (layers, row):
            inputs = [t if t is None else t.detach().requires_grad_(t.requires_grad) for t in (x, residual)]
            y, ran = operations(lambda module=module, inputs=inputs: module(*inputs))
            if module is layers:
                assert ran & COMPOSITES == ({fused} if fused else set())
            module.zero_grad()
            if y.requires_grad:
                y.backward(mg.tensor(np.cos(np.arange(y.numel())).reshape(y.shape), dtype=y.dtype))
            gradients = {n: p.grad for n, p in module.named_parameters()}
            gradients |= {f"input {i}": t.grad for i, t in enumerate(inputs) if t is not None}
            found.append({"y": y} | gradients | {f"state {n}": t for n, t in module.state_dict().items()})
        ours, theirs = found
        assert list(ours) == list(theirs)
        for name in ours:
            if theirs[name] is None or ours[name] is None:
                assert ours[name] is theirs[name], name
                continue
            assert ours[name].dtype == theirs[name].dtype, name
            assert ours[name].requires_grad == theirs[name].requires_grad, name
            a, b = (t.detach().numpy().astype(np.float64) for t in (ours[name], theirs[name]))
            np.testing.assert_allclose(
                a, b, rtol=0, atol=rtol * max(1, np.abs(b).max(initial=0)), err_msg=name
            )


def image(*shape: int, dtype: str = "float64", requires_grad: bool = True) -> mg.Tensor:
    return mg.tensor(
        np.random.default_rng(0).standard_normal(shape or (3, 4, 5, 6)), dtype=dtype
    ).requires_grad_(requires_grad)


def shortcut(dtype: str = "float64") -> mg.Tensor:
    return mg.tensor(np.random.default_rng(2).standard_normal((3, 6, 5, 6)), dtype=dtype, requires_grad=True)


def plainly(fn: Any) -> Any:
    """What it returns where layers run one by one."""
    with without_composites():
        return fn()
