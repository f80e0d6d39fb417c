"""Parameter groups by name."""

from __future__ import annotations

import pytest

import minigrad as mg
from minigrad.errors import ArgumentError
from minigrad.optim import SGD, param_groups


@pytest.fixture
def model():
    return mg.nn.Sequential(mg.nn.Linear(2, 3), mg.nn.BatchNorm1d(3), mg.nn.Linear(3, 1))


def _names(model, groups):
    names = {id(p): name for name, p in model.named_parameters()}
    return [[names[id(p)] for p in group["params"]] for group in groups]


def test_the_first_pattern_that_matches_takes(model):
    groups = param_groups(
        model, {"2.*": {"lr": 0.1}, "*.bias": {"weight_decay": 0}, "1.?eight": {}}, weight_decay=0.5, lr=1
    )
    assert _names(model, groups) == [["2.weight", "2.bias"], ["0.bias", "1.bias"], ["1.weight"], ["0.weight"]]
    assert [{k: v for k, v in g.items() if k != "params"} for g in groups] == [
        {"weight_decay": 0.5, "lr": 0.1},
        {"weight_decay": 0, "lr": 1},
        {"weight_decay": 0.5, "lr": 1},
        {"weight_decay": 0.5, "lr": 1},
    ]


def test_nothing_is_left_over_and_nothing_named(model):
    assert _names(model, param_groups(model, {"*": {}})) == [[n for n, _ in model.named_parameters()]]
    assert _names(model, param_groups(model, {})) == [[n for n, _ in model.named_parameters()]]


def test_an_optimizer_takes_them(model):
    optimizer = SGD(param_groups(model, {"*.bias": {"weight_decay": 0}}, weight_decay=1.0), lr=0.5)
    for p in model.parameters():
        p.grad = mg.zeros_like(p)
        p.detach().fill_(1)
    optimizer.step()
    assert {name: p.numpy().ravel()[0] for name, p in model.named_parameters() if name[0] == "0"} == {
        "0.weight": 0.5,
        "0.bias": 1.0,
    }


def test_a_pattern_without_parameters_is_an_error(model):
    with pytest.raises(
        ArgumentError, match=r"matches the pattern '\*\.biases'; there are 0\.weight, 0\.bias"
    ):
        param_groups(model, {"*.biases": {}})
    with pytest.raises(ArgumentError, match=r"'1\.\*' is left with no parameter: .* 1\.weight, 1\.bias"):
        param_groups(model, {"*": {}, "1.*": {}})
