"""Ablations against units set to zero by hand, rank correlation against SciPy, samples of units."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, GraphError, ShapeError
from minigrad.interpret import ablation, agreement, sample_units
from minigrad.nn import functional as F
from minigrad.nn.fusing import without_composites
from tests.interpret.networks import OUTPUTS, gated, state


@pytest.mark.parametrize("dtype", [mg.float32, mg.float64])
@pytest.mark.parametrize("training", [False, True])
def test_a_unit_set_to_zero_is_a_gate_closed(rng, dtype, training):
    net, x, t = gated(rng, dtype=dtype)
    units = [(layer, unit) for layer, shape in OUTPUTS.items() for unit in range(shape[0])]
    before = state(net)
    increases = ablation(net, x, t, units, training=training)
    assert state(net) == before
    assert net.training
    net.train(training)
    with mg.no_grad():
        base = F.cross_entropy(net(x), t).item()
        for (layer, unit), increase in zip(units, increases, strict=True):
            gate = np.ones(OUTPUTS[layer])
            gate[unit] = 0
            net.gates = {layer: mg.tensor(gate, dtype=dtype)}
            rise = F.cross_entropy(net(x), t).item() - base
            assert increase == pytest.approx(rise, abs=1e-6 if dtype == mg.float32 else 1e-12)
    assert np.abs(increases).max() > 1e-3


def test_all_modules_of_a_composite_name_its_units(rng):
    net, x, t = gated(rng)
    assert ablation(net, x, t, [("bn2", 1)]) == ablation(net, x, t, [("conv2", 1)])
    with without_composites():  # here each layer has an output of its own
        conv, norm = ablation(net, x, t, [("conv2", 1), ("bn2", 1)])
    assert conv != norm


def test_a_layer_is_ablated_wherever_it_is_used(rng):
    class Twice(nn.Module):
        def __init__(self):
            self.layer, self.out = nn.Linear(3, 3), nn.Linear(3, 2)

        def forward(self, x):
            return self.out(mg.tanh(self.layer(mg.tanh(self.layer(x)))))

    net = Twice()
    x, t = mg.tensor(rng.standard_normal((4, 3)), dtype=mg.float32), mg.tensor([0, 1, 1, 0])
    (found,) = ablation(net, x, t, [("layer", 2)])
    with mg.no_grad():
        base = F.cross_entropy(net(x), t).item()
        net.layer.weight.data[2] = 0
        net.layer.bias.data[2] = 0
        assert found == pytest.approx(F.cross_entropy(net(x), t).item() - base, rel=1e-5)


def test_what_is_refused(rng):
    class Branching(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(2, 2)

        def forward(self, x):
            y = self.layer(x)
            return y if y[:, 0].abs().sum().item() else self.layer(x.exp())

    net, x, t = gated(rng)
    with pytest.raises(ArgumentError, match=r"no layer 'conv3' .* 'conv1', 'bn1'"):
        ablation(net, x, t, [("conv3", 0)])
    for unit in (-1, 4):
        with pytest.raises(ArgumentError, match="units 0 to 3"):
            ablation(net, x, t, [("conv1", unit)])
    with pytest.raises(ArgumentError, match="in a Module"):
        ablation(lambda x: x, x, t, [])
    with pytest.raises(ShapeError, match="at least one example"):
        ablation(net, x[:0], t[:0], [])
    x, t = mg.ones(2, 2), mg.tensor([0, 1])
    assert ablation(Branching(), x, t, [("layer", 1)]).shape == (1,)
    with pytest.raises(GraphError, match="control flow depends on values"):
        ablation(Branching(), x, t, [("layer", 0)])

    def longer(y, t):
        value = F.cross_entropy(y, t)
        return value * 2 if y[:, 0].abs().sum().item() else value

    with pytest.raises(GraphError, match="control flow depends on values"):
        ablation(nn.Linear(2, 2), x, t, [("", 0)], loss=longer)


def test_a_view_is_ablated_without_its_base(rng):
    x, t = mg.tensor(rng.standard_normal((4, 3, 1)), dtype=mg.float32), mg.tensor([0, 1, 1, 0])
    before = x.numpy().tobytes()
    assert ablation(nn.Sequential(nn.Flatten(), nn.Linear(3, 2)), x, t, [("0", 1)])[0]
    assert x.numpy().tobytes() == before


numbers = st.integers(-3, 3).map(float) | st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=40))
def test_rank_correlation_is_scipys(pairs):
    from scipy import stats

    a, b = np.array(pairs).T
    found = agreement(a, b)
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert math.isnan(found)
    else:
        assert found == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)


def test_rank_correlation_of_what_cannot_be_ranked():
    assert math.isnan(agreement([1.0, np.nan, 2.0], [1.0, 2.0, 3.0]))
    for a, b in (([1.0], [1.0]), ([1.0, 2.0], [1.0, 2.0, 3.0]), (np.ones((2, 2)), np.ones((2, 2)))):
        with pytest.raises(ShapeError, match="one length from 2"):
            agreement(a, b)


def test_samples_of_units():
    counts = {"a": 100, "b": np.zeros(300)}
    chosen = sample_units(counts, n=200, seed=3)
    assert len(set(chosen)) == 200
    assert chosen == sorted(chosen) == sample_units(counts, n=200, seed=3)
    assert chosen != sample_units(counts, n=200, seed=4)
    assert 30 <= sum(layer == "a" for layer, _ in chosen) <= 70  # 50 on average
    assert len(sample_units(counts, n=1000)) == 400
    with pytest.raises(ArgumentError, match="at least 1"):
        sample_units(counts, n=0)
