"""Activations, softmax and dropout as layers, against PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, ShapeError
from tests.nn.torch_twin import compare_layers

LAYERS = {
    "ReLU": [{}, {"inplace": True}],
    "ReLU6": [{}],
    "LeakyReLU": [{}, {"negative_slope": 0.2}],
    "PReLU": [{}, {"num_parameters": 4, "init": 0.1}],
    "ELU": [{}, {"alpha": 0.7}],
    "CELU": [{}, {"alpha": 0.5}],
    "SELU": [{}],
    "GELU": [{}, {"approximate": "tanh"}],
    "SiLU": [{}],
    "Mish": [{}],
    "Softplus": [{}, {"beta": 2.0, "threshold": 3.0}],
    "Softsign": [{}],
    "Sigmoid": [{}],
    "Tanh": [{}],
    "LogSigmoid": [{}],
    "Tanhshrink": [{}],
    "Hardtanh": [{}, {"min_val": -0.5, "max_val": 2.0}],
    "Hardsigmoid": [{}],
    "Hardswish": [{}],
    "Hardshrink": [{}, {"lambd": 1.0}],
    "Softshrink": [{}, {"lambd": 1.0}],
    "Threshold": [{"threshold": 0.3, "value": -2.0}],
    "GLU": [{}, {"dim": 1}],
    "Softmax": [{"dim": 1}],
    "LogSoftmax": [{"dim": -1}],
    "Softmin": [{"dim": 0}],
    "Softmax2d": [{}],
    "Dropout": [{"p": 0.0}, {"p": 1.0}],
    "Dropout1d": [{"p": 1.0}],
    "Dropout2d": [{"p": 1.0}],
    "Dropout3d": [{"p": 1.0}],
    "AlphaDropout": [{"p": 0.0}],
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer(torch, rng, name):
    shape = {"Dropout1d": (2, 3, 4), "Dropout3d": (2, 3, 2, 2, 2)}.get(name, (2, 4, 3, 6))
    x = 4 * rng.standard_normal(shape)
    for options in LAYERS[name]:
        compare_layers(
            torch,
            lambda lib, options=options: getattr(lib, name)(**options),
            [x],
            call=lambda layer, x: layer(x * 1),  # PyTorch writes to no leaf in place
            rtol=1e-7 if name == "Hardsigmoid" else 1e-9,  # PyTorch rounds its 1/6 to float32
        )


@pytest.mark.parametrize(
    ("name", "shape", "kept"),
    [
        ("Dropout", (40, 50), ()),
        ("Dropout1d", (40, 50, 3), (2,)),
        ("Dropout2d", (40, 50, 3, 2), (2, 3)),
        ("Dropout3d", (40, 50, 3, 2, 2), (2, 3, 4)),
        ("AlphaDropout", (40, 50), ()),
    ],
)
def test_dropout_drops_in_training_only(name, shape, kept):
    layer, x = getattr(nn, name)(0.25), mg.ones(shape)
    y = layer(x).numpy()
    low, high = np.unique(y)  # two values: dropped and not
    dropped = y == low
    assert abs(dropped.mean() - 0.25) < 0.05
    assert (dropped.any(axis=kept) == dropped.all(axis=kept)).all()  # a channel goes as a whole
    if name != "AlphaDropout":
        assert (low, high) == (0, np.float32(4 / 3))
    assert layer.eval()(x) is x
    mg.manual_seed(5)
    first = layer.train()(x).tolist()
    mg.manual_seed(5)
    assert layer(x).tolist() == first != layer(x).tolist()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.PReLU(0), "PReLU needs at least one slope, not 0"),
        (lambda: nn.Hardtanh(1.0, 1.0), "min_val must be below max_val, not 1.0 and 1.0"),
        (lambda: nn.GELU("erf"), 'approximate must be "none" or "tanh", not \'erf\''),
        (lambda: nn.Softmax(), r"Softmax: say along which dimension .* dim=1 for \(N, C\)"),
        (lambda: nn.AlphaDropout(-0.1), "AlphaDropout: p must be a probability, 0 to 1, not -0.1"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_wrong_shapes():
    with pytest.raises(
        ShapeError, match=r"Softmax2d takes \(N, C, H, W\) or \(C, H, W\), not shape \[2, 3\]"
    ):
        nn.Softmax2d()(mg.ones(2, 3))
