"""A recorder in a loop of one's own: it changes nothing, keeps nothing, and bears what networks do."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, record
from minigrad.errors import ArgumentError, DataError
from minigrad.nn import functional as F
from minigrad.optim import SGD
from minigrad.optim.lr_scheduler import StepLR
from minigrad.record import RecorderConfiguration
from tests.record.recorded_training import ALL, everything, network, train


class Noisy(nn.Module):
    """Dropout and batch norm: what draws random numbers, and what remembers."""

    def __init__(self):
        self.conv, self.bn = nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.drop, self.fc = nn.Dropout(0.5), nn.Linear(64, 3)

    def forward(self, x):
        return self.fc(self.drop(F.conv_bn_act(x, self.conv, self.bn).flatten(1)))


@pytest.mark.parametrize(
    "configuration",
    [
        RecorderConfiguration(),
        RecorderConfiguration.everything(influence=ALL),
        RecorderConfiguration(agreement=3, probe=4, influence=ALL, units_every=2, snapshots=5, graph=7),
    ],
)
def test_recording_changes_no_bits(configuration, tmp_path):
    ends = []
    for folder in (None, tmp_path):
        mg.manual_seed(1)
        model, x, t = Noisy(), mg.randn(8, 1, 4, 4), mg.randint(0, 3, (8,))
        probe = (mg.randn(5, 1, 4, 4), mg.randint(0, 3, (5,)))
        options = {} if folder is None else {"probe": probe}
        train(model, x, t, folder, configuration, 30, **options)
        state = {name: p.numpy().tobytes() for name, p in model.state_dict().items()}
        ends.append((state, mg.randn(3).tolist(), [m.training for m in model.modules()]))
    assert ends[0] == ends[1]


# ------------------------------------------------ what is chosen


def test_patterns_choose_parameters_and_layers(xt, tmp_path):
    run = train(
        network(), *xt, tmp_path, everything(parameters="*.weight", layers=("0", "1"), influence="taylor")
    )
    assert {s.name for s in run.signals("change")} == {"0.weight", "2.weight"}
    assert {s.name for s in run.signals("output")} == {"0", "1"}
    assert {row.layer for row in run.top_units()} == {"0"}


def test_nothing_is_chosen(xt, tmp_path):
    run = train(network(), *xt, tmp_path / "a", everything(parameters=(), layers=(), influence=()))
    assert run.signals() == []
    assert len(run.steps["loss"]) == 3
    never = dict.fromkeys(
        ("statistics_every", "layers_every", "units_every", "full_every", "snapshots", "graph")
    )
    run = train(network(), *xt, tmp_path / "b", RecorderConfiguration(**never))
    assert run.signals() == []
    assert len(run.steps["loss"]) == 3


def test_the_budget_ends_the_details_and_not_the_steps(xt, tmp_path):
    run = train(network(), *xt, tmp_path, RecorderConfiguration(budget=10_000), steps=60)
    assert run.steps["step"].tolist() == [*range(1, 61)]
    assert run.steps["rates"].tolist() == [[0.1]] * 60
    (note,) = run.notes()
    assert (note.step, note.rule) == (25, "budget")
    assert "budget of 10,000 bytes" in note.text
    assert run.series("0.weight", "norm")[0].tolist() == [*range(26)]
    assert run.series("0", "norm", "output")[0].tolist() == [*range(1, 26)]


def test_several_rates_and_a_schedule(xt, tmp_path):
    """The rates of a step are those that it took, not those a scheduler has set since, or set before within it."""
    model, (x, t) = network(), xt
    optimizer = SGD([{"params": model[0].parameters()}, {"params": model[2].parameters(), "lr": 0.5}], lr=0.1)
    schedule = StepLR(optimizer, 1, gamma=0.1)
    with record.Recorder(
        tmp_path, RecorderConfiguration(layers_every=2), model=model, optimizer=optimizer
    ) as recorder:
        for i in range(4):
            with recorder.step() as step:
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), t)
                loss.backward()
                if i == 3:
                    optimizer.param_groups[0]["lr"] = 7.0
                optimizer.step()
                schedule.step()
                step.loss = loss  # a tensor will do
    rates = record.open(tmp_path).steps["rates"]
    np.testing.assert_allclose(rates, [[0.1, 0.5], [0.01, 0.05], [0.001, 0.005], [7.0, 0.0005]])


# ------------------------------------------------ what goes wrong


def test_an_error_in_a_step_leaves_it_out(xt, tmp_path):
    model, (x, t) = network(), xt
    optimizer = SGD(model.parameters(), lr=0.1)
    hand = []
    with record.Recorder(tmp_path, everything(), model=model, optimizer=optimizer) as recorder:
        for i in range(6):
            before = model[0].weight.numpy().copy()
            try:
                with recorder.step() as step:
                    optimizer.zero_grad()
                    loss = F.cross_entropy(model(x), t)
                    if i == 2:
                        raise KeyError("a bug")
                    loss.backward()
                    optimizer.step()
                    if i == 4:
                        raise KeyError("another")
                    step.loss = loss.item()
                    hand.append(np.linalg.norm(model[0].weight.numpy() - before))
            except KeyError:
                assert not mg.observe.observers
    run = record.open(tmp_path)
    assert run.steps["step"].tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(run.series("0.weight", "norm", "change")[1][-4:], hand, rtol=1e-4)


def test_an_error_that_ends_the_loop_leaves_a_run_that_opens(xt, tmp_path):
    def x(i):
        if i == 2:
            raise KeyboardInterrupt
        return xt[0]

    with pytest.raises(KeyboardInterrupt):
        train(network(), x, xt[1], tmp_path, everything(), steps=5)
    run = record.open(tmp_path)
    assert run.steps["step"].tolist() == [1, 2]
    assert "finished" in run.meta
    assert not mg.observe.observers


def test_what_does_not_fit_is_said_at_once(tmp_path):
    model = network()
    with pytest.raises(ArgumentError, match="model=model"):
        record.Recorder(tmp_path).__enter__()
    with pytest.raises(ArgumentError, match="has not begun"):
        record.Recorder(tmp_path, model=model).step().__enter__()
    with pytest.raises(ArgumentError, match="RecorderConfiguration"):
        record.Recorder(tmp_path, {"top": 3})
    with pytest.raises(ArgumentError, match="pair"):
        record.Recorder(tmp_path, probe=mg.ones(3))
    with pytest.raises(ArgumentError, match=r"loss_change.*needs a probe"):
        record.Recorder(tmp_path, RecorderConfiguration(influence="loss_change"), model=model).__enter__()
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot record"):
        record.Recorder(tmp_path / "file" / "x", model=model).__enter__()
    record.Recorder(tmp_path, model=model).__enter__().close()  # none of these left the folder held


# ------------------------------------------------ beside others


def test_a_run_before_it_is_set_aside_and_one_that_is_recorded_now_is_not(xt, tmp_path):
    train(network(), *xt, tmp_path, everything(), steps=2)
    train(network(), *xt, tmp_path, everything(), steps=3)
    assert len(record.open(tmp_path).steps["step"]) == 3
    assert len(record.open(tmp_path / "before").steps["step"]) == 2
    assert record.open(tmp_path / "before").tensor("0.weight", 2).shape == (5, 3)
    with record.Recorder(tmp_path, model=network()):
        with pytest.raises(DataError, match="being recorded"):
            record.Recorder(tmp_path, model=network()).__enter__()
        assert len(record.open(tmp_path / "before").steps["step"]) == 3


def test_two_recorders_see_the_same_and_not_each_other(xt, tmp_path):
    model, (x, t) = network(), xt
    optimizer = SGD(model.parameters(), lr=0.1)
    recorders = [
        record.Recorder(
            tmp_path / str(i), everything(graph=1, agreement=1), model=model, optimizer=optimizer, probe=xt
        )
        for i in range(2)
    ]
    with recorders[0] as one, recorders[1] as two:
        for _ in range(3):
            with one.step() as first, two.step() as second:
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), t)
                loss.backward()
                optimizer.step()
                first.loss = second.loss = loss.item()
    a, b = (record.open(tmp_path / str(i)) for i in range(2))
    for s in a.signals():
        if s.kind in ("change", "output", "output_gradient"):
            np.testing.assert_array_equal(
                a.series(s.name, "norm", s.kind)[1], b.series(s.name, "norm", s.kind)[1]
            )
    assert [len(a.graph(i)["records"]) for i in (1, 2, 3)] == [len(b.graph(i)["records"]) for i in (1, 2, 3)]
    for layer in ("0", "2"):
        np.testing.assert_array_equal(*(run.units(layer, "output", "influence.taylor")[1] for run in (a, b)))


def test_a_validation_within_a_step_is_not_looked_at(xt, tmp_path):
    model, (x, t) = network(), xt
    optimizer = SGD(model.parameters(), lr=0.1)
    with record.Recorder(tmp_path, everything(), model=model, optimizer=optimizer) as recorder:
        for _ in range(2):
            with recorder.step() as step:
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x), t)
                loss.backward()
                optimizer.step()
                step.loss = loss.item()
                with mg.no_grad():
                    model(mg.ones(100, 3) * 1e6)
    run = record.open(tmp_path)
    assert run.series("0", "count", "input", "full")[1].tolist() == [12, 12]
    assert run.series("2", "maximum", "output", "full")[1].max() < 1e3


def test_no_array_of_a_step_is_kept(xt, tmp_path):
    """Neither after a step, nor after one that failed."""
    model, (x, t) = network(), xt
    optimizer = SGD(model.parameters(), lr=0.1)
    with record.Recorder(tmp_path, everything(), model=model, optimizer=optimizer) as recorder:
        for fails in (False, True):
            try:
                with recorder.step():
                    optimizer.zero_grad()
                    h = model[1](model[0](x))
                    y = model(x)
                    arrays = [weakref.ref(h.array), weakref.ref(y.array)]
                    loss = F.cross_entropy(y, t)
                    if fails:
                        raise KeyError
                    loss.backward()
                    optimizer.step()
            except KeyError:
                pass
            del h, y, loss
            gc.collect()
            assert all(ref() is None for ref in arrays)
