"""What a recorder writes is what happened: the same run again, without a recorder, counted by hand."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, record
from minigrad.nn import functional as F
from minigrad.nn.fusing import without_composites
from minigrad.optim import SGD
from minigrad.record import RecorderConfiguration
from minigrad.tracing.sampling import positions

FIELDS = ("count", "nans", "infs", "zeros", "minimum", "maximum")
FIELDS += ("mean", "std", "skewness", "kurtosis", "norm")
EVERY_METHOD = ("taylor", "fisher", "weight_gradient", "snip", "loss_change")
STEPS = 4


class Perceptron(nn.Module):
    """Two layers and an activation, which keep what they put out."""

    def __init__(self):
        self.first, self.act, self.last = nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)
        self.seen = {}

    def forward(self, x):
        h = self.first(x)
        a = self.act(h)
        y = self.last(a)
        self.seen = {"first": (x, h), "act": (h, a), "last": (a, y)}
        return y


class Convolutional(nn.Module):
    """A composite, a shortcut around another one, pooling, and a linear layer."""

    def __init__(self):
        self.conv1, self.bn1 = nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.conv2, self.bn2 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.pool, self.fc = nn.MaxPool2d(2), nn.Linear(16, 3)
        self.seen = {}

    def forward(self, x):
        a = F.conv_bn_act(x, self.conv1, self.bn1)
        b = F.conv_bn_act(a, self.conv2, self.bn2, residual=a)
        c = self.pool(b)
        y = self.fc(c.flatten(1))
        self.seen = {"conv1": (x, a), "conv2": (a, b), "pool": (b, c), "fc": (None, y)}
        return y


def make(kind, seed=0):
    """A model, its optimiser and STEPS batches; the inputs ask for gradients."""
    mg.manual_seed(seed)
    model = kind()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    shape = (8, 6) if kind is Perceptron else (8, 2, 4, 4)
    batches = [(mg.randn(*shape), mg.randint(0, 3, (8,))) for _ in range(STEPS)]
    for x, _ in batches:
        x.requires_grad_()
    return model, optimizer, batches


def forward_and_back(model, optimizer, x, t, keep=False):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), t)
    if keep:
        seen = {id(tensor): tensor for pair in model.seen.values() for tensor in pair if tensor is not None}
        for tensor in seen.values():
            if not tensor.is_leaf:
                tensor.retain_grad()
    loss.backward()
    return loss


def by_hand(kind):
    """For each step what there is to see: loss, weights before and after, gradients, what layers read and put out."""
    model, optimizer, batches = make(kind)
    found = []
    for x, t in batches:
        before = {name: p.numpy().copy() for name, p in model.named_parameters()}
        loss = forward_and_back(model, optimizer, x, t, keep=True)
        gradients = {name: p.grad.numpy().copy() for name, p in model.named_parameters()}
        layers = {
            layer: [
                part
                for tensor in pair
                for part in (
                    (None, None) if tensor is None else (tensor.detach().numpy(), tensor.grad.numpy())
                )
            ]
            for layer, pair in model.seen.items()
        }
        optimizer.step()
        after = {name: p.numpy().copy() for name, p in model.named_parameters()}
        found.append((loss.item(), before, gradients, after, layers))
    return found


def recorded(kind, folder, configuration, **options):
    model, optimizer, batches = make(kind)
    with record.Recorder(folder, configuration, model=model, optimizer=optimizer, **options) as recorder:
        for i, (x, t) in enumerate(batches):
            with recorder.step(epoch=1, batch=i, samples=np.arange(i, i + 8)) as step:
                loss = forward_and_back(model, optimizer, x, t)
                optimizer.step()
                step.loss = loss.item()
    return record.open(folder)


def numbers_of(array):
    """The eleven numbers, as their definitions say."""
    x = np.asarray(array, np.float64).ravel()
    mean, std = x.mean(), x.std()
    with np.errstate(invalid="ignore", divide="ignore"):
        third, fourth = (np.mean((x - mean) ** k) / std**k for k in (3, 4))
    norm = np.sqrt((x * x).sum())
    return [x.size, 0, 0, np.sum(x == 0), x.min(), x.max(), mean, std, third, fourth, norm]


def close(got, expected):
    np.testing.assert_allclose(got, expected, rtol=2e-4, atol=1e-6)


@pytest.fixture(params=["perceptron", "composites", "one by one"])
def case(request):
    kind = Perceptron if request.param == "perceptron" else Convolutional
    with without_composites() if request.param == "one by one" else nullcontext():
        yield kind, request.param


def everything(**changes):
    return RecorderConfiguration.everything(influence=("taylor",), agreement=None, **changes)


def test_parameters(case, tmp_path):
    kind, _ = case
    hand, run = by_hand(kind), recorded(kind, tmp_path, everything())
    names = [name for name, _ in make(kind)[0].named_parameters()]
    assert [s.name for s in run.signals("weight")] == names
    np.testing.assert_array_equal(run.steps["loss"], [step[0] for step in hand])
    for name in names:
        for i, (_, before, gradients, after, _) in enumerate(hand):
            change = after[name].astype(np.float64) - before[name]
            values = {"weight": after[name], "gradient": gradients[name], "change": change}
            for signal, array in values.items():
                for field, expected in zip(FIELDS, numbers_of(array), strict=True):
                    if field in ("skewness", "kurtosis") and np.asarray(array, float).std() < 1e-6:
                        continue
                    steps, got = run.series(name, field, signal)
                    close(got[steps == i + 1], [expected])
                steps, samples = run.samples(name, signal)
                np.testing.assert_allclose(
                    np.sort(samples[steps == i + 1][0]), np.sort(array.ravel()), rtol=1e-6, atol=1e-8
                )
                steps, edges, counts = run.histograms(name, signal)
                at = np.flatnonzero(steps == i + 1)[0]
                exact = np.histogram(array.ravel(), np.linspace(array.min(), array.max(), 65))[0]
                assert counts[at].sum() == array.size
                assert (
                    np.abs(np.cumsum(counts[at]) - np.cumsum(exact)).max() <= 1
                )  # an edge is rounded to float32
                close(edges[at][[0, -1]], [array.min(), array.max()])
            for signal, array in (("gradient", gradients[name]), ("change", change)):
                if array.ndim == 1:  # a number for each unit: its norm is no news
                    continue
                steps, norms = run.units(name, signal)
                expected = np.linalg.norm(array.reshape(len(array), -1).astype(np.float64), axis=1)
                close(norms[i], expected)
                assert steps.tolist() == [1, 2, 3, 4]
            ratio = np.linalg.norm(change) / np.linalg.norm(after[name])
            close(run.series(name, "update_ratio")[1][i], ratio)
            np.testing.assert_array_equal(run.tensor(name, i + 1), after[name])
    np.testing.assert_array_equal(run.tensor(names[0], 0), hand[0][1][names[0]])
    assert run.snapshot_steps().tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("full", [True, False])
def test_layers(case, full, tmp_path):
    kind, way = case
    configuration = everything() if full else RecorderConfiguration(full_every=None, look=16)
    hand, run = by_hand(kind), recorded(kind, tmp_path, configuration)
    kinds = ("input", "input_gradient", "output", "output_gradient")
    checked = 0
    for i, (*_, layers) in enumerate(hand):
        for layer, arrays in layers.items():
            # One by one the convolution's output is what goes into its norm: the composite's end is the norm's, or more
            alone = way == "one by one" and layer.startswith("conv")
            for signal, array in zip(kinds, arrays, strict=True):
                if array is None or (alone and signal.startswith("output")):
                    continue
                if (layer, signal) in (("conv2", "input_gradient"), ("first", "input_gradient")):
                    continue  # with the shortcut's part, below; the batch's own is asked of nobody
                array = np.ravel(array, order="K")
                if not full:
                    array = array[positions(array.size, 16)]
                for field, expected in zip(FIELDS, numbers_of(array), strict=True):
                    steps, got = run.series(layer, field, signal, detail="full" if full else "sampled")
                    close(got[steps == i + 1], [expected])
                    checked += 1
    assert checked > 350
    if full:
        for layer, (*_, put_out, _) in hand[-1][-1].items():
            if not (way == "one by one" and layer.startswith("conv")):
                axes = (0, *range(2, put_out.ndim))
                close(run.units(layer, "output", "dead")[1][-1], (put_out == 0).mean(axis=axes))


def test_a_layer_with_a_shortcut_around_it_has_the_gradient_it_sends_back_itself(tmp_path):
    """dL/da has two parts: conv2's, and the shortcut's, which is what arrived behind it where the relu let it pass."""
    hand = by_hand(Convolutional)
    run = recorded(Convolutional, tmp_path, everything())
    for i, (*_, layers) in enumerate(hand):
        _, ga, b, gb = layers["conv2"]
        close(run.series("conv1", "norm", "output_gradient", "full")[1][i], np.linalg.norm(ga))
        own = ga - gb * (b > 0)
        assert np.linalg.norm(own) > 1e-3
        close(run.series("conv2", "norm", "input_gradient", "full")[1][i], np.linalg.norm(own))


def test_influence(case, tmp_path):
    kind, way = case
    mg.manual_seed(5)
    probe = (mg.randn(*make(kind)[2][0][0].shape), mg.randint(0, 3, (8,)))
    hand = by_hand(kind)
    run = recorded(
        kind, tmp_path, RecorderConfiguration.everything(influence=EVERY_METHOD, agreement=None), probe=probe
    )
    for i, (_, before, gradients, _, layers) in enumerate(hand):
        for layer, (_, _, y, gy) in layers.items():
            if layer in ("act", "pool") or (way == "one by one" and layer.startswith("conv")):
                continue
            p = len(y) * (y.astype(np.float64) * gy).reshape(*y.shape[:2], -1).sum(axis=2)
            close(run.units(layer, "output", "influence.taylor")[1][i], np.abs(p).mean(axis=0))
            close(run.units(layer, "output", "influence.fisher")[1][i], (p**2).mean(axis=0) / 2)
        products = {
            n: (before[n].astype(np.float64) * gradients[n]).reshape(len(before[n]), -1) for n in before
        }
        everywhere = sum(np.abs(p).sum() for p in products.values())
        for layer in {name.rpartition(".")[0] for name in products}:
            own = [p for name, p in products.items() if name.startswith(layer + ".")]
            score = np.abs(sum(p.sum(axis=1) for p in own))
            close(run.units(f"{layer}.weight", "weight", "influence.weight_gradient")[1][i], score)
            share = sum(np.abs(p).sum(axis=1) for p in own) / everywhere
            close(run.units(f"{layer}.weight", "weight", "influence.snip")[1][i], share)


def test_the_list_of_the_most_influential_units_is_in_order(tmp_path):
    run = recorded(Perceptron, tmp_path, everything(top=4))
    scores = {
        (layer, unit): value
        for layer in ("first", "last")
        for unit, value in enumerate(run.units(layer, "output", "influence.taylor")[1][1])
    }
    expected = sorted(scores, key=scores.__getitem__, reverse=True)[:4]
    top = run.top_units(2)
    assert [(row.layer, row.unit) for row in top] == expected
    assert [row.rank for row in top] == [1, 2, 3, 4]
    close([row.score for row in top], [scores[key] for key in expected])


def test_the_loss_change_adds_up_to_the_change_of_the_loss(tmp_path):
    mg.manual_seed(5)
    probe = (mg.randn(8, 6), mg.randint(0, 3, (8,)))
    configuration = RecorderConfiguration.everything(influence="loss_change", units_every=2, agreement=None)
    run = recorded(Perceptron, tmp_path, configuration, probe=probe)
    model = make(Perceptron)[0]
    losses = []
    for step in range(STEPS + 1):
        for name, p in model.named_parameters():
            p.data.copy_(mg.tensor(run.tensor(name, step)))
        losses.append(F.cross_entropy(model(probe[0]), probe[1]).item())
    # Looked at in steps 1, 2 and 4
    expected = [losses[1] - losses[0], losses[2] - losses[1], losses[4] - losses[2]]
    parts = [run.units(f"{layer}.weight", "weight", "influence.loss_change") for layer in ("first", "last")]
    assert parts[0][0].tolist() == [1, 2, 4]
    total = sum(values.sum(axis=1) for _, values in parts)
    np.testing.assert_allclose(total, expected, rtol=2e-3, atol=1e-6)
    notes = run.notes()
    assert [note.text.split(" the loss")[0] for note in notes] == [
        "since step 0",
        "since step 1",
        "since step 2",
    ]
    assert f"changed by {expected[2]:+.1e}"[:14] in notes[2].text
    assert "residual" in notes[2].text


def test_outputs_on_the_probe_set_and_the_agreement_with_ablations(tmp_path):
    mg.manual_seed(5)
    probe = (mg.randn(8, 6), mg.randint(0, 3, (8,)))
    configuration = RecorderConfiguration.everything(agreement=2)
    run = recorded(Perceptron, tmp_path, configuration, probe=probe)
    model = make(Perceptron)[0]

    def output(gate=None):
        x = probe[0].numpy().astype(np.float64)
        w = {name: run.tensor(name, 2).astype(np.float64) for name, _ in model.named_parameters()}
        h = x @ w["first.weight"].T + w["first.bias"]
        if gate and gate[0] == "first":
            h[:, gate[1]] = 0
        y = np.maximum(h, 0) @ w["last.weight"].T + w["last.bias"]
        if gate and gate[0] == "last":
            y[:, gate[1]] = 0
        return y

    def loss(y):
        t = probe[1].numpy()
        return np.mean(np.log(np.exp(y).sum(axis=1)) - y[np.arange(8), t])

    np.testing.assert_allclose(run.probe(2)["output"], output(), rtol=1e-4, atol=1e-6)
    assert [row.step for row in run.agreement()] == [0, 2, 4]
    found = run.agreement()[1]
    assert found.units == len(found.truth) == 8
    for row in found.truth:
        truth = loss(output((row["layer"], row["unit"]))) - loss(output())
        np.testing.assert_allclose(row["increase"], truth, rtol=1e-3, atol=1e-5)
    ranks = [np.argsort(np.argsort([abs(row[key]) for row in found.truth])) for key in ("score", "increase")]
    np.testing.assert_allclose(found.correlation, np.corrcoef(*ranks)[0, 1], atol=1e-9)


def test_what_stands_beside_each_step(tmp_path):
    run = recorded(Perceptron, tmp_path, RecorderConfiguration())
    steps = run.steps
    assert steps["step"].tolist() == [1, 2, 3, 4]
    assert steps["batch"].tolist() == [0, 1, 2, 3]
    assert steps["rates"].tolist() == [[0.1]] * 4
    assert (steps["memory"] > 1e6).all()
    assert (steps["seconds"] > 0).all()
    assert (np.diff(steps["time"]) > 0).all()
    assert run.sample_ids(3).tolist() == list(range(2, 10))
    _, rows = run.query("SELECT random FROM steps")
    assert all('"PCG64"' in row[0] for row in rows)


def test_the_cadence(tmp_path):
    """Statistics every second step, units every third: changes are those of one step all the same."""
    configuration = RecorderConfiguration(
        statistics_every=2, layers_every=3, units_every=3, full_every=None, snapshots=3, graph=2
    )
    hand, run = by_hand(Perceptron), recorded(Perceptron, tmp_path, configuration)
    steps, norms = run.series("first.weight", "norm", "change")
    assert steps.tolist() == [1, 2, 4]
    changes = [after["first.weight"] - before["first.weight"] for _, before, _, after, _ in hand]
    close(norms, [np.linalg.norm(changes[i]) for i in (0, 1, 3)])
    steps, norms = run.units("first.weight", "change")
    assert steps.tolist() == [1, 3]
    close(norms, [np.linalg.norm(changes[i], axis=1) for i in (0, 2)])
    assert run.series("first", "mean", "output")[0].tolist() == [1, 3]
    assert run.snapshot_steps().tolist() == [0, 3]
    assert run.snapshot_steps("graph").tolist() == [1, 2, 4]
    assert {r["op"] for r in run.graph(4)["records"]} >= {"linear", "relu"}
