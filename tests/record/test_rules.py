"""Rules: each speaks at the first step at which it should, names what it is about, and warns or stops."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, record
from minigrad.errors import ArgumentError, RuleBroken, RuleWarning
from minigrad.nn import functional as F
from minigrad.optim import SGD
from minigrad.record import Facts, RecorderConfiguration
from minigrad.record.rules import Rule, RuleBook
from minigrad.train import Callback, RunCheckpoint, RunFolder, Trainer

FIELDS = (
    "count",
    "nans",
    "infs",
    "zeros",
    "minimum",
    "maximum",
    "mean",
    "std",
    "skewness",
    "kurtosis",
    "norm",
)
SMALL = RecorderConfiguration(full_every=2, graph=None)


def facts(step=1, loss=None, **norms):
    """A step at which a parameter `w` had these norms; nans, infs as they are given."""
    found = Facts(step, loss)
    counts = [norms.pop("nans", 0), norms.pop("infs", 0)]
    if norms:
        rows = np.array(
            [[8, *counts, 0, 0, 0, 0, 0, 0, 0, norms.get(k, 1.0)] for k in ("weight", "gradient", "change")]
        )
        found.add([(kind, "w") for kind in ("weight", "gradient", "change")], rows)
    return found


def told(rule, steps):
    """The steps at which a rule speaks, each with signal and unit."""
    book = RuleBook([rule])
    book.begin()
    return [(f.step, found.signal, found.unit) for f in steps for found in book.check(f)]


class Rig:
    """A small network that is trained by hand, with what happens at each step."""

    def __init__(self, folder, rules, configuration=SMALL):
        mg.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
        self.optimizer = SGD(self.model.parameters(), lr=0.1)
        self.x, self.t = mg.randn(8, 4), mg.randint(0, 3, (8,))
        self.recorder = record.Recorder(
            folder, configuration, model=self.model, optimizer=self.optimizer, rules=rules
        )

    def step(self, change=None):
        with self.recorder.step() as step:
            self.optimizer.zero_grad()
            loss = F.cross_entropy(self.model(self.x), self.t)
            loss.backward()
            if change is not None:
                change(self)
            self.optimizer.step()
            step.loss = loss.item()

    def __enter__(self):
        self.recorder.__enter__()
        return self

    def __exit__(self, *error):
        self.recorder.__exit__(*error)


def grown(rig):
    rig.model[0].weight.grad.data.mul_(1e4)


def test_always_stops_at_the_first_offending_step(tmp_path):
    rule = record.always("?.weight", lambda s: s.update_ratio < 0.5, severity="stop")
    with Rig(tmp_path, [rule]) as rig:
        for _ in range(4):
            rig.step()
        with pytest.raises(
            RuleBroken, match=r"^step 5: 0\.weight: 'always \?\.weight' does not hold \(update ratio"
        ):
            rig.step(grown)
    run = record.open(tmp_path)
    assert run.steps["step"].tolist() == [1, 2, 3, 4, 5]
    (note,) = run.notes()
    assert (note.step, note.severity, note.rule, note.signal) == (5, "stop", "always ?.weight", "0.weight")


def test_always_warns_once_for_each_signal(tmp_path):
    rule = record.always("*.weight", lambda s: s.step < 3, name="early")
    with Rig(tmp_path, [rule]) as rig:
        rig.step()
        rig.step()
        with pytest.warns(RuleWarning, match="step 3: [02].weight: 'early'") as caught:
            rig.step()
        assert len(caught) == 2
        rig.step()
    assert [(n.step, n.signal, n.severity) for n in record.open(tmp_path).notes()] == [
        (3, "0.weight", "warning"),
        (3, "2.weight", "warning"),
    ]


def test_always_of_a_layer_and_after_so_many_steps(tmp_path):
    rules = [
        record.always("1", lambda s: s.output.minimum > 0, name="positive", severity="note", after=2),
        record.always("*", lambda s: s.output.std < 1e9, severity="stop"),  # of layers: parameters have none
        record.always(
            "*", lambda s: s.update_ratio < 1e9, severity="stop"
        ),  # of parameters: layers have none
    ]
    with Rig(tmp_path, rules) as rig:
        for _ in range(4):
            rig.step()
    assert [(n.step, n.signal, n.rule) for n in record.open(tmp_path).notes()] == [(3, "1", "positive")]


def test_nan_holds_in_no_comparison():
    rule = record.always("w", lambda s: 1e-4 < s.update_ratio < 1e-1)
    fine, nan = facts(1, change=0.01), facts(2, change=float("nan"))
    assert told(rule, [fine, nan]) == [(2, "w", None)]
    assert told(rule, [facts(1, weight=0.0)]) == [(1, "w", None)]


def test_a_mistake_in_a_condition_is_an_error(tmp_path):
    for condition, what in ((lambda s: s.wieght.norm > 0, "wieght"), (lambda s: s.gradient.nrom > 0, "nrom")):
        with Rig(tmp_path, [record.always("*", condition)]) as rig, pytest.raises(AttributeError, match=what):
            rig.step()


def test_what_is_not_looked_at_in_a_step_is_not_judged(tmp_path):
    """Nothing of the layers in steps 2 and 4, nothing in full ever."""
    looked = []
    rule = record.always("0", lambda s: looked.append((s.step, s.output.count)) or True)
    with Rig(tmp_path, [rule], RecorderConfiguration(layers_every=3, full_every=None)) as rig:
        for _ in range(4):
            rig.step()
    assert looked == [(1, 48), (3, 48)]


@pytest.mark.parametrize(
    ("rule", "configuration"),
    [
        (record.always("conv*", lambda s: True), SMALL),
        (record.frozen_layer("0"), SMALL),  # a layer, and no parameter
        (record.dead_units("0.weight"), SMALL),
        (record.dead_units(), RecorderConfiguration(full_every=None)),
        (record.exploding_gradient(), RecorderConfiguration(full_every=None, statistics_every=None)),
        (record.always("0.*", lambda s: True), RecorderConfiguration(parameters="2.*")),
    ],
)
def test_a_rule_about_nothing_is_an_error_at_once(rule, configuration, tmp_path):
    with pytest.raises(ArgumentError, match=r"is about .* has such a name; there are"):
        Rig(tmp_path, [rule], configuration).__enter__()
    record.open(tmp_path)  # closed: it can be read, and recorded into


def test_dead_units_are_named(tmp_path):
    def kill(rig):
        with mg.no_grad():
            rig.model[0].bias.data[4] = -1e6

    with Rig(tmp_path, [record.dead_units("1")]) as rig:
        rig.model[0].bias.data.fill_(50.0)
        rig.step()
        rig.step()
        kill(rig)
        rig.step()  # not looked at in full
        with pytest.warns(
            RuleWarning, match=r"step 4: 1: 1 of 6 units gave nothing but zeros .* unit 4 for the first"
        ):
            rig.step()
        rig.step()
        rig.step()
    (note,) = record.open(tmp_path).notes()
    assert (note.step, note.signal, note.unit, note.rule) == (4, "1", 4, "dead units")


def test_units_that_die_later_are_told_of_too():
    def step(number, zeros):
        found = Facts(number, None)
        found.add_zeros("a", np.array(zeros))
        return found

    steps = [
        step(1, [0, 0.5, 0.9]),
        step(2, [0, 1, 0]),
        step(3, [0, 1, 1]),
        step(4, [1, 1, 1]),
        step(5, [1, 1, 1]),
    ]
    assert told(record.dead_units(), steps) == [(2, "a", 1), (3, "a", 2), (4, "a", 0)]
    assert told(record.dead_units(share=0.9), steps)[0] == (1, "a", 2)
    with pytest.raises(ArgumentError, match="share"):
        record.dead_units(share=0)


def test_an_exploding_gradient():
    steady = [facts(i, gradient=1 + i % 3) for i in range(1, 15)]
    rule = record.exploding_gradient(factor=10)
    assert told(rule, [*steady, facts(15, gradient=19), facts(16, gradient=21), facts(17, gradient=99)]) == [
        (16, "w", None)
    ]
    assert told(rule, [*steady[:9], facts(10, gradient=1e9)]) == []  # too early to tell what is usual
    assert told(rule, [facts(1, nans=1, gradient=1)]) == [(1, "w", None)]
    assert told(rule, [*steady, facts(15, infs=2, gradient=1)]) == [(15, "w", None)]
    with pytest.raises(ArgumentError, match="factor above 1"):
        record.exploding_gradient(factor=1)
    with pytest.raises(ArgumentError, match="window from 10"):
        record.exploding_gradient(window=5)


def test_each_loss_spike_is_told_of_in_its_first_step():
    steps = [facts(i, loss=2.0) for i in range(1, 12)]
    steps += [facts(12, loss=5.9), facts(13, loss=6.1), facts(14, loss=7.0), facts(15, loss=2.0)]
    steps += [facts(16, loss=float("nan")), facts(17, loss=float("nan")), facts(18)]
    assert told(record.loss_spike(), steps) == [(13, None, None), (16, None, None)]


def test_a_frozen_layer():
    moving = [facts(i, change=1e-5) for i in range(1, 4)]
    still = [facts(i, change=1e-7) for i in range(4, 9)]
    assert told(record.frozen_layer(steps=3), [*moving, *still]) == [(6, "w", None)]
    assert told(record.frozen_layer(steps=3), [*still[:2], *moving, *still[:2]]) == []
    assert told(record.frozen_layer(steps=1), [facts(1, weight=0.0, change=0.0)]) == [(1, "w", None)]
    with pytest.raises(ArgumentError, match="steps"):
        record.frozen_layer(steps=0)


def test_a_run_begins_with_rules_that_have_forgotten():
    rule = record.frozen_layer(steps=3)
    book = RuleBook([rule])
    for _ in range(2):
        book.begin()
        assert [len(book.check(facts(i, change=0.0))) for i in range(1, 6)] == [0, 0, 1, 0, 0]


def test_what_is_no_rule_is_refused():
    with pytest.raises(ArgumentError, match="a rule is what"):
        RuleBook([lambda s: True])
    with pytest.raises(ArgumentError, match="severity"):
        record.loss_spike(severity="panic")
    with pytest.raises(ArgumentError, match="condition"):
        record.always("*", 3)
    with pytest.raises(NotImplementedError):
        list(Rule("a", "note", None).look(facts()))


# ------------------------------------------------ in a trainer


def trained(folder, rules, *callbacks, lr=0.1, epochs=2, resume=None, batches=5):
    mg.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    data = [(mg.randn(8, 4), mg.randint(0, 3, (8,))) for _ in range(batches)]
    recorder = record.Recorder(folder, SMALL, rules=rules)
    trainer = Trainer(model, SGD(model.parameters(), lr=lr), callbacks=[recorder, *callbacks])
    logs = trainer.fit(data, epochs, resume=resume)
    return trainer, logs


class Grow(Callback):
    def __init__(self, step):
        self.step = step

    def on_backward_end(self, trainer):
        if trainer.global_step + 1 == self.step:
            trainer.model[0].weight.grad.data.mul_(1e4)


def test_a_trainer_ends_after_the_step_and_its_checkpoint_is_there(tmp_path):
    folder = RunFolder.create(tmp_path, {})
    rule = record.always("*.weight", lambda s: s.update_ratio < 0.5, severity="stop")
    with pytest.warns(RuleWarning, match=r"step 7: 0\.weight: .*: training ends"):
        trainer, logs = trained(tmp_path, [rule], RunCheckpoint(folder), Grow(7))
    assert trainer.global_step == 7
    assert logs["step"] == 7
    assert folder.load()["trainer"]["global_step"] == 7
    run = record.open(tmp_path)
    assert run.steps["step"].tolist() == [*range(1, 8)]
    assert [(n.step, n.severity) for n in run.notes()] == [(7, "stop")]
    assert "finished" in run.meta
    # It may go on, with the record
    later = record.always("*.weight", lambda s: s.update_ratio < 100, severity="stop")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer, _ = trained(tmp_path, [later], RunCheckpoint(folder), resume=folder.load())
    assert trainer.global_step == 10
    assert record.open(tmp_path).steps["step"].tolist() == [*range(1, 11)]
    assert [n.step for n in record.open(tmp_path).notes()] == [7]


def test_a_rule_that_stops_stops_again_when_the_run_goes_on(tmp_path):
    folder = RunFolder.create(tmp_path, {})
    for expected in (1, 2):
        rule = record.always("0.weight", lambda s: False, severity="stop")
        resume = folder.load() if expected > 1 else None
        with pytest.warns(RuleWarning, match=f"step {expected}"):
            trainer, _ = trained(tmp_path, [rule], RunCheckpoint(folder), resume=resume)
        assert trainer.global_step == expected
    assert [n.step for n in record.open(tmp_path).notes()] == [1, 2]
