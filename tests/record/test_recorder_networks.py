"""A recorder bears what networks do: types of numbers, odd parameters and outputs, layers used twice or not at all."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError
from minigrad.nn import functional as F
from minigrad.record import RecorderConfiguration
from tests.record.recorded_training import ALL, WITHOUT_PROBE, everything, network, train


@pytest.mark.parametrize("dtype", [mg.float64, mg.float16, mg.bfloat16])
def test_other_types_of_numbers(dtype, xt, tmp_path):
    x, t = xt
    model = network(dtype)
    before = {name: p.numpy().astype(np.float64) for name, p in model.named_parameters()}
    run = train(model, x.to(dtype=dtype), t, tmp_path, everything(), steps=1)
    for name, p in model.named_parameters():
        after = p.numpy().astype(np.float64)
        np.testing.assert_allclose(run.series(name, "norm")[1][-1], np.linalg.norm(after), rtol=1e-5)
        change = (after - before[name]).reshape(len(after), -1)
        if p.ndim > 1:
            np.testing.assert_allclose(
                run.units(name, "change")[1][0], np.linalg.norm(change, axis=1), rtol=1e-5
            )
    assert run.tensor("0.weight", 1).dtype == model[0].weight.numpy().dtype


def test_float64_values_beyond_float32_are_no_infinities_in_the_counts(tmp_path):
    """Recorded as float32 their extremes are infinite, but none of them is."""
    x, t = mg.tensor(np.random.default_rng(0).standard_normal((4, 3)) * 1e100), None
    run = train(network(mg.float64), x, t, tmp_path, everything(), loss=lambda y, _: (y * 1e-100).mean())
    assert run.series("0", "infs", "input")[1].tolist() == [0, 0, 0]
    assert np.isinf(run.series("0", "maximum", "input")[1]).all()


def test_small_gradients_do_not_vanish_in_their_squares(xt, tmp_path):
    model = network()
    run = train(model, *xt, tmp_path, everything(), loss=lambda y, t: F.cross_entropy(y, t) * 1e-25, steps=1)
    expected = np.linalg.norm(model[2].weight.grad.numpy().astype(np.float64), axis=1)
    assert (expected > 0).all()
    np.testing.assert_allclose(run.units("2.weight", "gradient")[1][0], expected, rtol=1e-5)


def test_parameters_without_a_gradient_and_frozen_ones(xt, tmp_path):
    class Partly(nn.Sequential):
        def forward(self, x):
            return self[2](self[1](self[0](x)))

    model = Partly(*network(), nn.Linear(2, 2))
    model[0].weight.requires_grad_(False)
    run = train(model, *xt, tmp_path, everything())
    for name in ("0.weight", "3.bias"):
        assert np.isnan(run.series(name, "norm", "gradient")[1]).all()
        assert run.series(name, "norm", "change")[1].tolist() == [0, 0, 0]
        assert name == "3.bias" or np.isnan(run.units(name, "gradient")[1]).all()
        assert run.histograms(name, "gradient")[2].sum() == 0
    assert run.series("0.weight", "update_ratio")[1].tolist() == [0, 0, 0]


class Odd(nn.Module):
    """A number for a parameter, one outside of any layer, a transposed convolution, two outputs."""

    def __init__(self):
        self.scale, self.mix_weight = nn.Parameter(mg.tensor(2.0)), nn.Parameter(mg.ones(3, 3))
        self.up, self.fc = nn.ConvTranspose2d(3, 4, 2), nn.Linear(64, 2)

    def forward(self, x):
        y = self.fc(self.up(x @ self.mix_weight).flatten(1)) * self.scale
        return y, {"norm": y.sum()}


def test_odd_parameters_and_outputs(tmp_path):
    model, x, t = Odd(), mg.randn(4, 3, 3, 3), mg.tensor([0, 1, 1, 0])
    loss = lambda y, t: F.cross_entropy(y[0], t)  # noqa: E731
    configuration = RecorderConfiguration.everything(influence=ALL)
    run = train(model, x, t, tmp_path, configuration, loss=loss, probe=(x, t))
    assert run.units("up.weight", "weight", "influence.snip")[1].shape == (
        3,
        4,
    )  # output channels, not inputs
    weights = [np.linalg.norm(model.up.weight.grad.numpy()[:, unit]) for unit in range(4)]
    np.testing.assert_allclose(run.units("up.weight", "gradient")[1][-1], weights, rtol=1e-5)
    assert run.units("scale", "weight", "influence.snip")[1].shape == (3, 1)
    assert run.units("mix_weight", "weight", "influence.weight_gradient")[1].shape == (3, 3)
    assert {name: a.shape for name, a in run.probe(3).items()} == {"output.0": (4, 2), "output.1.norm": ()}
    assert len(run.agreement()) == 2 * len(WITHOUT_PROBE)  # at the start, and after the epoch


class Sequence(nn.Module):
    """Texts of different lengths: dimension 1 of an activation is no unit that could be compared."""

    def __init__(self):
        self.a, self.act, self.b = nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)

    def forward(self, x):
        return self.b(self.act(self.a(x))).mean(1)


def test_outputs_whose_size_changes(tmp_path):
    t = mg.tensor([0, 1, 1, 0])
    run = train(Sequence(), lambda i: mg.randn(4, 6 + i % 2, 3), t, tmp_path, everything(), steps=4)
    assert run.series("act", "count", "output", "full")[1].tolist() == [120, 140, 120, 140]
    assert run.units("act", "output", "dead")[0].tolist() == [1, 3]
    assert run.units("a", "output", "dead")[0].tolist() == [1, 2, 3, 4]


class Twice(nn.Module):
    """A layer called twice, and one that is called in every second step."""

    def __init__(self):
        self.a, self.b, self.c, self.calls = nn.Linear(3, 3), nn.Linear(3, 2), nn.Linear(3, 3), 0

    def forward(self, x):
        self.calls += 1
        h = self.a(x)
        if self.calls % 2:
            h = self.c(h)
        y = self.a(h)
        self.seen = h, y
        return self.b(y)


def test_layers_called_twice_and_not_at_all(xt, tmp_path):
    model = Twice()
    run = train(model, *xt, tmp_path, everything(), steps=5)
    h, _ = model.seen  # of the last call: what it reads, puts out, and the gradients there
    steps, norms = run.series("a", "norm", "input", "full")
    assert steps.tolist() == [1, 2, 3, 4, 5]
    np.testing.assert_allclose(norms[-1], np.linalg.norm(h.detach().numpy()), rtol=1e-5)
    np.testing.assert_allclose(
        run.series("a", "norm", "output", "full")[1], run.series("b", "norm", "input", "full")[1], rtol=1e-6
    )
    np.testing.assert_allclose(
        run.series("a", "norm", "output_gradient", "full")[1],
        run.series("b", "norm", "input_gradient", "full")[1],
        rtol=1e-6,
    )
    assert run.series("c", "norm", "output", "full")[0].tolist() == [1, 3, 5]
    assert run.units("c", "output", "influence.taylor")[0].tolist() == [1, 3, 5]


class DifferentlyTwice(nn.Module):
    """One layer for different numbers of examples: its units have no score, which is no reason to fail."""

    def __init__(self):
        self.a, self.b = nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x):
        return self.b(self.a(x) + self.a(x[:1]))


def test_what_has_no_score_is_noted_once(xt, tmp_path):
    run = train(DifferentlyTwice(), *xt, tmp_path, everything())
    (note,) = run.notes()
    assert (note.step, note.severity, note.rule) == (1, "note", "influence")
    assert "'a' put out [1, 3] and [4, 3]" in note.text
    assert run.units("b", "output", "influence.taylor")[0].tolist() == [1, 2, 3]
    with pytest.raises(ArgumentError):
        run.units("a", "output", "influence.taylor")


def test_a_layer_that_reads_its_input_twice_has_no_input_gradient(xt, tmp_path):
    class Square(nn.Module):
        def forward(self, x):
            return x.exp() * x.tanh()

    model = nn.Sequential(nn.Linear(3, 2), Square())
    run = train(model, *xt, tmp_path, everything())
    assert {s.kind for s in run.signals() if s.name == "1"} == {"input", "output", "output_gradient"}


def test_a_regression_and_an_attention(tmp_path):
    run = train(
        nn.Linear(3, 1), mg.randn(4, 3), mg.randn(4, 1), tmp_path / "a", everything(), loss=F.mse_loss
    )
    assert len(run.steps["loss"]) == 3

    class Attention(nn.Module):
        def __init__(self):
            self.m, self.b = nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(4, 2)

        def forward(self, x):
            y = self.m(x, x, x)
            return self.b(y[0] if isinstance(y, tuple) else y).mean(1)

    run = train(Attention(), mg.randn(4, 3, 4), mg.tensor([0, 1, 1, 0]), tmp_path / "b", everything())
    assert "m.in_proj_weight" in [s.name for s in run.signals("weight")]
    assert run.units("m.in_proj_weight", "weight", "influence.snip")[1].shape == (3, 12)
