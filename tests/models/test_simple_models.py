"""MLP, LeNet-5, and building any model by name."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
import models
from minigrad.errors import ArgumentError


def torch_lenet(torch, classic):
    nn = torch.nn
    activation, pool = (nn.Tanh, nn.AvgPool2d) if classic else (nn.ReLU, nn.MaxPool2d)
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5, padding=2), activation(), pool(2), nn.Conv2d(6, 16, 5), activation(), pool(2)),
        *(
            nn.Flatten(),
            nn.Linear(400, 120),
            activation(),
            nn.Linear(120, 84),
            activation(),
            nn.Linear(84, 10),
        ),
    )


@pytest.mark.parametrize("classic", [True, False])
def test_lenet5(torch, rng, classic):
    model = models.lenet5(classic=classic).double()
    assert model.count_parameters() == 61_706
    twin = torch_lenet(torch, classic).double()
    names = dict(zip(model.state_dict(), twin.state_dict().values(), strict=True))
    model.load_state_dict({name: value.numpy() for name, value in names.items()})
    x = rng.standard_normal((3, 1, 28, 28))
    expected = twin(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(model(mg.tensor(x)).detach().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("size", [12, 27, 28, 32, 33, 64])
def test_lenet5_takes_other_sizes(size):
    assert models.lenet5(5, 3, size)(mg.randn(2, 3, size, size)).shape == (2, 5)


def test_lenet5_of_32_pixels_is_the_papers():
    assert models.lenet5(image_size=32).count_parameters() == 61_706
    with pytest.raises(ArgumentError, match="at least 12 x 12 pixels, not 11"):
        models.lenet5(image_size=11)


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "gelu", "silu", "elu", "selu"])
def test_mlp(torch, rng, activation):
    model = models.MLP(6, 3, (5, 4), activation, batch_norm=True).double()
    name = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "ReLU", "silu": "SiLU"}.get(
        activation, activation.upper()
    )
    nn = torch.nn
    layers = [nn.Linear(6, 5), nn.Linear(5, 4), nn.Linear(4, 3)]
    norms = [nn.BatchNorm1d(5), nn.BatchNorm1d(4)]
    f = getattr(nn, name)()
    twin = nn.Sequential(layers[0], norms[0], f, layers[1], norms[1], f, layers[2]).double()
    state = {f"layers.{i}.{k}": v for i, m in enumerate(layers) for k, v in m.state_dict().items()}
    state |= {f"norms.{i}.{k}": v for i, m in enumerate(norms) for k, v in m.state_dict().items()}
    model.load_state_dict({k: v.numpy() for k, v in state.items()})
    x = rng.standard_normal((7, 2, 3))
    expected = twin(torch.tensor(x.reshape(7, 6))).detach().numpy()
    np.testing.assert_allclose(model(mg.tensor(x)).detach().numpy(), expected, atol=1e-12)


def test_mlp_sizes():
    assert models.mlp().count_parameters() == 784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10
    linear = models.MLP(4, 3, hidden=())
    assert list(linear.state_dict()) == ["layers.0.weight", "layers.0.bias"]
    assert linear(mg.ones(2, 4)).shape == (2, 3)
    with pytest.raises(ArgumentError, match=r"activation must be one of elu, .* not 'swish'"):
        models.MLP(4, 3, activation="swish")


def test_mlp_drops_hidden_features_only():
    model = models.MLP(4, 3, hidden=(50,), dropout=1.0)
    assert model(mg.ones(1, 4)).tolist() == [model.layers[1].bias.tolist()]
    assert models.MLP(4, 3, hidden=(), dropout=1.0)(mg.ones(1, 4)).abs().sum().item() > 0


# ------------------------------------------------ by name


@pytest.mark.parametrize("name", [n for n in models.NAMES if n not in ("resnet101", "resnet152")])
def test_every_name_builds_a_model(name):
    model = models.build(name, num_classes=4, in_channels=2, image_size=16)
    with mg.no_grad():
        assert model.eval()(mg.randn(1, 2, 16, 16)).shape == (1, 4)


def test_options_are_passed_on():
    plain = models.build("resnet20", residual=False, in_channels=1)
    assert plain.count_parameters() == models.resnet20(in_channels=1, residual=False).count_parameters()
    assert models.build("mlp", in_channels=1, hidden=(3,)).count_parameters() == 784 * 3 + 3 + 30 + 10


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: models.build("resnet21"),
            r"no model is called 'resnet21'; there are mlp, .*; did you mean 'resnet\d+'",
        ),
        (lambda: models.build("x"), "no model is called 'x'; there are mlp, .*resnet152$"),
        (
            lambda: models.build("resnet20", widht=3),
            "resnet20 has no option widht; its options are num_classes, ",
        ),
        (lambda: models.build("lenet5", num_classes=0), "at least one class and one channel, not 0 and 3"),
        (lambda: models.build("lenet5", in_channels=0), "not 10 and 0"),
    ],
)
def test_wrong_names_and_options(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()
