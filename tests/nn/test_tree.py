"""Parts of a module by name: registering, finding, counting, freezing them."""

from __future__ import annotations

import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, StateError


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Sequential(nn.Linear(3, 4, bias=False)))


def learnt(module) -> list[str]:
    return [name for name, p in module.named_parameters() if p.requires_grad]


def test_parts_may_be_registered_by_name():
    module = nn.Module()
    weight = nn.Parameter(mg.ones(2))
    module.register_parameter("weight", weight)
    module.register_parameter("bias", None)
    module.add_module("child", nn.Linear(1, 1))
    module.register_module("other", None)
    assert module.weight is weight
    assert (module.bias, module.other) == (None, None)
    assert list(module.state_dict()) == ["weight", "child.weight", "child.bias"]
    module.register_parameter("bias", nn.Parameter(mg.zeros(1)))  # None, or a parameter, gives way
    module.register_parameter("bias", nn.Parameter(mg.zeros(2)))
    module.add_module("child", nn.ReLU())
    assert [name for name, _ in module.named_parameters()] == ["weight", "bias"]


@pytest.mark.parametrize(
    ("register", "message"),
    [
        (lambda m: m.register_parameter("w", mg.ones(1)), "'w' is to be a parameter or None, not Tensor"),
        (lambda m: m.add_module("w", mg.ones(1)), "'w' is to be a module or None, not Tensor"),
        (lambda m: m.register_parameter("a.b", None), r"a parameter of Sequential cannot be called 'a\.b'"),
        (lambda m: m.add_module("", nn.ReLU()), "a module of Sequential cannot be called ''"),
        (lambda m: m.add_module("forward", nn.ReLU()), "cannot be called 'forward'"),
        (lambda m: m.register_parameter("0", nn.Parameter(mg.ones(1))), "cannot be called '0'"),
    ],
)
def test_wrong_registrations(register, message):
    with pytest.raises(ArgumentError, match=message):
        register(net())


def test_parts_are_found_by_name():
    model = net()
    assert model.get_parameter("2.0.weight") is model[2][0].weight
    assert model.get_buffer("1.running_var") is model[1].running_var
    with pytest.raises(
        StateError, match=r"no parameter '0\.scale': Linear has no parameter 'scale'; it has weight, bias$"
    ):
        model.get_parameter("0.scale")
    with pytest.raises(
        StateError, match=r"no buffer '0\.weight': Linear has no buffer 'weight'; it has none$"
    ):
        model.get_buffer("0.weight")
    with pytest.raises(StateError, match=r"no module '3': Sequential has no child '3'; it has 0, 1, 2$"):
        model.get_parameter("3.weight")


def test_own_parts_only():
    layer = nn.BatchNorm1d(3)
    layer.child = nn.BatchNorm1d(2)
    assert [name for name, _ in layer.named_parameters(recurse=False)] == ["weight", "bias"]
    assert next(name for name, _ in layer.named_buffers("p", recurse=False)) == "p.running_mean"
    assert len(list(layer.parameters(recurse=False))) == 2
    assert len(list(layer.buffers(recurse=False))) == 3


def test_counting():
    model = net()
    assert model.count_parameters() == (6 + 3) + (3 + 3) + 12
    model[2].append(model[0])  # shared: counted once
    assert model.count_parameters() == 27
    model.freeze("1.*")
    assert model.count_parameters(only_trainable=True) == 21


def test_freezing_by_name():
    model = net()
    assert model.freeze("0.*", "*.bias") is model
    assert learnt(model) == ["1.weight", "2.0.weight"]
    model(mg.randn(4, 2)).sum().backward()
    assert model[0].weight.grad is None
    assert model.unfreeze("?.weight") is model
    assert learnt(model) == ["0.weight", "1.weight", "2.0.weight"]
    model.freeze()
    assert learnt(model) == []
    model.unfreeze()
    assert len(learnt(model)) == 5
    for change in (model.freeze, model.unfreeze):
        with pytest.raises(
            ArgumentError, match=r"no parameter matches the pattern '3\.\*'; there are 0\.weight, "
        ):
            change("0.*", "3.*")
    assert len(learnt(model)) == 5  # nothing, where one pattern is wrong
    with pytest.raises(ArgumentError, match=r"there are none$"):
        nn.ReLU().freeze("*")


def test_conversions():
    model = net()
    assert str(model.half()[0].weight.dtype) == "float16"
    assert str(model.bfloat16()[1].running_mean.dtype) == "bfloat16"
    assert model.float().cpu() is model
    assert str(model[0].weight.dtype) == "float32"
    assert model[0].weight.device == "cpu"
