"""Losses as modules, against PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError
from tests.nn.torch_twin import compare_layers

NORMAL, POSITIVE, SIGNS, CLASSES, BINARY = "normal", "positive", "signs", "classes", "binary"
# The loss: what its inputs are, and options beside the reduction; "weight" stands for class weights
LOSSES = {
    "MSELoss": ((NORMAL, NORMAL), [{}]),
    "L1Loss": ((NORMAL, NORMAL), [{}]),
    "HuberLoss": ((NORMAL, NORMAL), [{}, {"delta": 0.3}]),
    "SmoothL1Loss": ((NORMAL, NORMAL), [{}, {"beta": 0.3}]),
    "SoftMarginLoss": ((NORMAL, SIGNS), [{}]),
    "NLLLoss": ((NORMAL, CLASSES), [{}, {"weight": True, "ignore_index": 1}]),
    "CrossEntropyLoss": ((NORMAL, CLASSES), [{"weight": True, "label_smoothing": 0.1}]),
    "BCELoss": ((BINARY, BINARY), [{}, {"weight": True}]),
    "BCEWithLogitsLoss": ((NORMAL, BINARY), [{}, {"weight": True, "pos_weight": True}]),
    "KLDivLoss": ((NORMAL, BINARY), [{}, {"log_target": True}]),
    "PoissonNLLLoss": ((POSITIVE, POSITIVE), [{}, {"log_input": False, "full": True, "eps": 1e-3}]),
    "GaussianNLLLoss": ((NORMAL, NORMAL, POSITIVE), [{}, {"full": True, "eps": 1e-2}]),
    "HingeEmbeddingLoss": ((NORMAL, SIGNS), [{}, {"margin": 0.4}]),
    "MarginRankingLoss": ((NORMAL, NORMAL, SIGNS), [{}, {"margin": 0.4}]),
    "CosineEmbeddingLoss": ((NORMAL, NORMAL, "sign"), [{}, {"margin": 0.2}]),
    "TripletMarginLoss": ((NORMAL, NORMAL, NORMAL), [{}, {"margin": 0.5, "p": 3.0, "swap": True}]),
}


def draw(rng, kind):
    """Five samples of three numbers, or one number or class for each sample."""
    return {
        NORMAL: lambda: rng.standard_normal((5, 3)),
        POSITIVE: lambda: rng.uniform(0.5, 3, (5, 3)),
        BINARY: lambda: rng.uniform(0.1, 0.9, (5, 3)),
        SIGNS: lambda: rng.choice([-1.0, 1.0], (5, 3)),
        "sign": lambda: rng.choice([-1, 1], 5),
        CLASSES: lambda: np.array([0, 1, 2, 1, 0]),
    }[kind]()


@pytest.mark.filterwarnings("ignore:reduction")  # PyTorch on what "mean" means for kl_div
@pytest.mark.parametrize("reduction", ["mean", "sum", "none", "batchmean"])
@pytest.mark.parametrize("name", LOSSES)
def test_loss(torch, rng, name, reduction):
    if reduction == "batchmean" and name != "KLDivLoss":
        with pytest.raises(ArgumentError, match=f"{name}: reduction must be .* not 'batchmean'"):
            getattr(nn, name)(reduction=reduction)
        return
    kinds, cases = LOSSES[name]
    weights = rng.uniform(0.5, 2, 3)
    for case in cases:

        def make(lib, case=case):
            tensor = mg.tensor if lib is nn else torch.tensor
            options = {key: tensor(weights) if "weight" in key else value for key, value in case.items()}
            return getattr(lib, name)(reduction=reduction, **options)

        inputs = [draw(rng, kind) for kind in kinds]
        compare_layers(torch, make, inputs, call=lambda loss, x, *more: loss(x, *(t.detach() for t in more)))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("CosineSimilarity", {"dim": 0, "eps": 1e-3}),
        ("CosineSimilarity", {}),
        ("PairwiseDistance", {}),
        ("PairwiseDistance", {"p": 3.0, "keepdim": True, "eps": 1e-2}),
    ],
)
def test_distance(torch, rng, name, options):
    compare_layers(torch, lambda lib: getattr(lib, name)(**options), [draw(rng, NORMAL), draw(rng, NORMAL)])


def test_weights_move_with_the_module():
    loss = nn.BCEWithLogitsLoss(mg.ones(3), pos_weight=mg.full((3,), 2.0)).double()
    assert {name: str(t.dtype) for name, t in loss.state_dict().items()} == {
        "weight": "float64",
        "pos_weight": "float64",
    }
    assert list(nn.NLLLoss().state_dict()) == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: nn.MSELoss(reduction="avg"),
            "MSELoss: reduction must be 'none' or 'mean' or 'sum', not 'avg'",
        ),
        (lambda: nn.HuberLoss(delta=0), "HuberLoss: delta must be > 0, not 0"),
        (lambda: nn.HuberLoss("avg"), "HuberLoss: reduction must"),
        (lambda: nn.SmoothL1Loss(beta=-1), "SmoothL1Loss: beta must be >= 0, not -1"),
        (lambda: nn.KLDivLoss(reduction="avg"), "or 'batchmean', not 'avg'"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
