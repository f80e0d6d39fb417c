"""Calling a module: hooks, keyword arguments, and going through the tree."""

from __future__ import annotations

import pytest

import minigrad as mg
from minigrad import nn


def test_hooks_see_and_replace():
    layer, seen = nn.Linear(2, 2), []
    layer.weight.data.copy_(mg.eye(2))
    layer.bias.data.fill_(0)
    x = mg.tensor([[1.0, 2.0]])
    watch = layer.register_forward_hook(lambda m, args, y: seen.append((m, args[0].tolist(), y.tolist())))
    assert layer(x).tolist() == [[1, 2]]
    assert seen == [(layer, [[1, 2]], [[1, 2]])]
    watch.remove()
    handles = [
        layer.register_forward_pre_hook(lambda m, args: args[0] * 10),
        layer.register_forward_pre_hook(lambda m, args: (args[0] + 1,)),
        layer.register_forward_pre_hook(lambda m, args: None),
        layer.register_forward_hook(lambda m, args, y: -y),
        layer.register_forward_hook(lambda m, args, y: y - 0.5),
    ]
    assert layer(x).tolist() == [[-11.5, -21.5]]  # in the order of registration
    for handle in handles:
        handle.remove()
        handle.remove()
    assert layer(x).tolist() == [[1, 2]]
    assert len(seen) == 1


def test_a_hook_may_remove_itself():
    layer, calls = nn.ReLU(), []
    handle = layer.register_forward_hook(lambda *_: (calls.append(1), handle.remove())[1])
    layer(mg.ones(1))
    layer(mg.ones(1))
    assert calls == [1]


def test_keyword_arguments_reach_forward():
    class Power(nn.Module):
        def forward(self, x, *, exponent=1):
            return x**exponent

    assert Power()(mg.tensor(3.0), exponent=2).item() == 9


def test_apply_goes_children_first():
    net = nn.Sequential(nn.Sequential(nn.ReLU(), nn.Identity()), nn.ModuleList([nn.Identity()]))
    order: list[str] = []
    paths = {id(module): name for name, module in net.named_modules()}
    net.apply(lambda module: order.append(paths[id(module)]))
    assert order == ["0.0", "0.1", "0", "1.0", "1", ""]


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match="ModuleList does not define forward"):
        nn.ModuleList()(mg.ones(1))
