"""Convolutions and transposed ones against PyTorch's."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError
from tests.nn.torch_twin import compare_layers

LAYERS = {
    "Conv1d": (lambda lib: lib.Conv1d(3, 4, 3), (2, 3, 7)),
    "Conv1d of one sequence": (lambda lib: lib.Conv1d(3, 4, 2, 2, 1), (3, 7)),
    "Conv1d with all options": (lambda lib: lib.Conv1d(4, 6, 3, 2, 2, 2, 2, False), (2, 4, 9)),
    "Conv1d reflect": (lambda lib: lib.Conv1d(2, 3, 3, padding=2, padding_mode="reflect"), (2, 2, 6)),
    "Conv2d circular": (
        lambda lib: lib.Conv2d(2, 3, (3, 5), (2, 1), (1, 2), padding_mode="circular"),
        (2, 2, 5, 6),
    ),
    "Conv2d replicate": (lambda lib: lib.Conv2d(2, 3, 3, padding=1, padding_mode="replicate"), (2, 5, 6)),
    "Conv2d same reflect": (
        lambda lib: lib.Conv2d(2, 4, (4, 3), padding="same", padding_mode="reflect"),
        (2, 2, 5, 6),
    ),
    "Conv2d valid circular": (
        lambda lib: lib.Conv2d(2, 4, 3, padding="valid", padding_mode="circular"),
        (2, 2, 5, 6),
    ),
    "ConvTranspose1d": (lambda lib: lib.ConvTranspose1d(3, 4, 3), (2, 3, 5)),
    "ConvTranspose1d with all options": (
        lambda lib: lib.ConvTranspose1d(4, 6, 3, 3, 1, 2, 2, False, 2),
        (2, 4, 5),
    ),
    "ConvTranspose2d": (lambda lib: lib.ConvTranspose2d(3, 4, (2, 3)), (2, 3, 4, 5)),
    "ConvTranspose2d of one image": (lambda lib: lib.ConvTranspose2d(3, 4, 3, 2, 1, 1), (3, 4, 5)),
    "ConvTranspose2d with all options": (
        lambda lib: lib.ConvTranspose2d(4, 6, (3, 2), (2, 3), (1, 0), (1, 2), 2, False, (2, 1)),
        (2, 4, 4, 3),
    ),
}


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # PyTorch on its own speed
@pytest.mark.parametrize("name", LAYERS)
def test_layer(torch, rng, name):
    make, shape = LAYERS[name]
    compare_layers(torch, make, [rng.standard_normal(shape)])


@pytest.mark.parametrize("size", [[6, 10], (7, 9), (2, 4, 7, 10)])
def test_the_size_of_a_transposed_convolution_may_be_chosen(torch, rng, size):
    compare_layers(
        torch,
        lambda lib: lib.ConvTranspose2d(3, 4, (2, 3), 2, (0, 1)),
        [rng.standard_normal((2, 3, 3, 5))],
        call=lambda layer, x: layer(x, output_size=size),
    )


@pytest.mark.parametrize("size", [(7, 11), (5, 9), (6,)])
def test_other_sizes_are_refused(size):
    layer = nn.ConvTranspose2d(3, 4, (2, 3), 2, (0, 1))
    with pytest.raises(
        ArgumentError, match=rf"between \[6, 9\] and \[7, 10\] .* not be {re.escape(str(list(size)))}"
    ):
        layer(mg.ones(2, 3, 3, 5), output_size=size)


def test_weights_begin_in_bounds_of_their_fan_in():
    layers = [
        (nn.Conv1d(8, 400, 5, groups=4), 10),
        (nn.ConvTranspose1d(400, 8, 5), 40),
        (nn.ConvTranspose2d(400, 8, (3, 5), groups=4), 30),
    ]
    for layer, fan_in in layers:
        bound = 1 / math.sqrt(fan_in)
        values = np.abs(layer.weight.detach().numpy())
        assert values.max() <= bound
        assert values.max() > 0.98 * bound
        assert abs(values.mean() - bound / 2) < 0.1 * bound
        assert np.abs(layer.bias.detach().numpy()).max() <= bound


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv1d(3, 4, (3, 3)), r"Conv1d: kernel_size must be an int, 1 or more; got \(3, 3\)"),
        (
            lambda: nn.Conv2d(3, 4, 3, padding_mode="zero"),
            "padding_mode must be 'zeros' or 'reflect' .* not 'zero'",
        ),
        (
            lambda: nn.ConvTranspose1d(3, 4, 3, groups=2),
            "ConvTranspose1d: 3 input and 4 output channels cannot",
        ),
        (lambda: nn.ConvTranspose2d(3, 4, 3, padding="same"), "padding must be ints, not 'same'"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, padding_mode="reflect"), "must be 'zeros', not 'reflect'"),
        (lambda: nn.ConvTranspose2d(3, 4, 3, output_padding=-1), "output_padding must .* got -1"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
