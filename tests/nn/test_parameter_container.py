"""ModuleDict, ParameterList and ParameterDict."""

from __future__ import annotations

import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError


def names(module) -> list[str]:
    return [name for name, _ in module.named_parameters()]


def test_module_dict():
    linear = nn.Linear(2, 3)
    heads = nn.ModuleDict({"first": linear, "second": nn.ReLU()})
    heads["third"] = nn.Linear(3, 1, bias=False)
    heads.update([("second", nn.Tanh())])
    assert list(heads) == list(heads.keys()) == ["first", "second", "third"]
    assert [type(m).__name__ for m in heads.values()] == ["Linear", "Tanh", "Linear"]
    assert dict(heads.items())["first"] is heads["first"] is heads.first is linear
    assert names(heads) == ["first.weight", "first.bias", "third.weight"]
    assert ("first" in heads, "fourth" in heads, len(heads)) == (True, False, 3)
    assert heads.pop("first") is linear
    del heads["third"]
    assert (list(heads), names(heads)) == (["second"], [])
    heads.clear()
    assert len(heads) == 0
    with pytest.raises(KeyError, match="fourth"):
        heads["fourth"]
    with pytest.raises(NotImplementedError, match="ModuleDict does not define forward"):
        heads(mg.ones(1))


@pytest.mark.oracle
def test_module_dict_is_shown_as_by_pytorch(torch):
    ours, theirs = (
        repr(lib.ModuleDict({"a": lib.Linear(1, 2), "b": lib.ModuleDict()})) for lib in (nn, torch.nn)
    )
    assert ours == theirs


def test_parameter_list():
    shared = nn.Parameter(mg.ones(3))
    scales = nn.ParameterList([shared, mg.zeros(2)])
    assert scales.append(mg.ones(1)).extend([mg.ones(4)]) is scales
    assert scales[0] is shared
    assert [type(p) for p in scales] == [nn.Parameter] * 4
    assert names(scales) == list(scales.state_dict()) == ["0", "1", "2", "3"]
    scales[-1] = mg.ones(5)
    assert [p.shape for p in scales] == [(3,), (2,), (1,), (5,)]
    part = scales[1:3]
    assert isinstance(part, nn.ParameterList)
    assert part[0] is scales[1]
    assert repr(part) == "ParameterList(\n  (0): Parameter float32[2]\n  (1): Parameter float32[1]\n)"
    assert repr(nn.ParameterList()) == "ParameterList()"
    for index in (4, -5):
        with pytest.raises(IndexError, match=f"holds 4 parameters; there is no number {index}"):
            scales[index]


def test_parameter_dict():
    offsets = nn.ParameterDict({"left": mg.zeros(2)})
    offsets["right"] = nn.Parameter(mg.ones(3), requires_grad=False)
    offsets.update({"left": mg.ones(2, 2)})
    assert list(offsets) == list(offsets.keys()) == names(offsets) == ["left", "right"]
    assert [p.shape for p in offsets.values()] == [(2, 2), (3,)]
    assert [p.requires_grad for _, p in offsets.items()] == [True, False]
    assert ("left" in offsets, "up" in offsets, len(offsets)) == (True, False, 2)
    assert (
        repr(offsets)
        == "ParameterDict(\n  (left): Parameter float32[2, 2]\n  (right): Parameter float32[3]\n)"
    )
    assert offsets.pop("left").shape == (2, 2)
    del offsets["right"]
    assert not list(offsets.parameters())
    with pytest.raises(KeyError, match="up"):
        offsets["up"]


@pytest.mark.oracle
def test_names_in_a_model_are_pytorchs(torch):
    def make(lib, zeros):
        class Model(lib.Module):
            def __init__(self):
                super().__init__()
                self.list = lib.ParameterList([lib.Parameter(zeros(1)), lib.Parameter(zeros(2))])
                self.dict = lib.ParameterDict({"a": lib.Parameter(zeros(1)), "b": lib.Parameter(zeros(2))})
                self.parts = lib.ModuleDict({"y": lib.Linear(1, 1), "x": lib.Linear(1, 1)})

        return Model()

    assert names(make(nn, mg.zeros)) == names(make(torch.nn, torch.zeros))


def test_parameters_in_containers_are_learnt():
    scales = nn.ParameterList([mg.ones(2), mg.ones(2)])
    (scales[0] * scales[1] * 3).sum().backward()
    assert [p.grad.tolist() for p in scales] == [[3, 3], [3, 3]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.ModuleDict({"a": mg.ones(1)}), "ModuleDict holds modules, not Tensor"),
        (lambda: nn.ModuleDict({"a.b": nn.ReLU()}), r"a module in ModuleDict cannot be called 'a\.b'"),
        (lambda: nn.ModuleDict({"items": nn.ReLU()}), "cannot be called 'items'"),
        (lambda: nn.ModuleDict({1: nn.ReLU()}), "cannot be called 1"),
        (lambda: nn.ParameterList([[1.0]]), "ParameterList holds parameters or tensors, not list"),
        (lambda: nn.ParameterDict({"a": 1.0}), "ParameterDict holds parameters or tensors, not float"),
        (lambda: nn.ParameterDict({"training": mg.ones(1)}), "in ParameterDict cannot be called 'training'"),
        (lambda: nn.ParameterDict({"": mg.ones(1)}), "cannot be called ''"),
    ],
)
def test_containers_refuse_other_things(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
