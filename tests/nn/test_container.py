"""Sequential and ModuleList: modules in order."""

from __future__ import annotations

from collections import OrderedDict

import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError


def names(pairs) -> list[str]:
    return [name for name, _ in pairs]


def test_sequential_with_names():
    net = nn.Sequential(OrderedDict(first=nn.Linear(2, 3), act=nn.ReLU()))
    assert names(net.named_parameters()) == ["first.weight", "first.bias"]
    assert net[0] is net.first
    assert net(mg.ones(1, 2)).shape == (1, 3)
    net.append(nn.Identity())
    assert names(net.named_children()) == ["first", "act", "2"]


def test_sequential_as_a_list():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert [type(m).__name__ for m in net] == ["Linear", "ReLU", "Linear"]
    assert net[-1] is net[2]
    part = net[1:]
    assert isinstance(part, nn.Sequential)
    assert names(part.named_children()) == ["1", "2"]  # they keep their names
    assert part[1] is net[2]
    part.append(nn.ReLU()).append(nn.ReLU())
    assert (len(part), len(net)) == (4, 3)
    net[-2] = nn.Identity()
    assert repr(net[1]) == "Identity()"
    with pytest.raises(IndexError, match="holds 3 modules; there is no number 3"):
        net[3]
    with pytest.raises(IndexError, match="no number -4"):
        net[-4]
    x = mg.ones(1, 2)
    assert nn.Sequential()(x) is x


def test_module_list():
    layers = nn.ModuleList(nn.Linear(1, n) for n in (1, 2))
    layers.append(nn.Linear(1, 3)).extend([nn.Linear(1, 4)])
    assert [layer.out_features for layer in layers] == [1, 2, 3, 4]
    assert names(layers.named_parameters())[-1] == "3.bias"
    tail = layers[2:]
    assert isinstance(tail, nn.ModuleList)
    assert names(tail.named_children()) == ["0", "1"]
    assert tail[0] is layers[2]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Sequential(nn.ReLU(), mg.nn.functional.relu), "Sequential holds modules, not"),
        (lambda: nn.Sequential([nn.ReLU()]), "Sequential holds modules, not list"),
        (lambda: nn.Sequential(OrderedDict(a=None)), "holds modules, not NoneType"),
        (lambda: nn.Sequential(OrderedDict({"a.b": nn.ReLU()})), r"cannot be called 'a\.b'"),
        (lambda: nn.Sequential(OrderedDict({"": nn.ReLU()})), "cannot be called ''"),
        (lambda: nn.Sequential(OrderedDict(forward=nn.ReLU())), "cannot be called 'forward'"),
        (lambda: nn.ModuleList([nn.ReLU]), "ModuleList holds modules, not type"),
    ],
)
def test_containers_refuse_what_is_no_module(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
