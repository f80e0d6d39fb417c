"""A recorder as a trainer's callback: beside a run's folder, over a resume, with all that a trainer does."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad import record
from minigrad.data import DataLoader
from minigrad.errors import NonFiniteError
from minigrad.record import RecorderConfiguration
from minigrad.train import Callback, RunFolder
from tests.train.kill_and_resume import difference, images, make_job

EPOCHS = 3
DETAILS = RecorderConfiguration(
    units_every=2, full_every=3, influence=("taylor", "snip"), agreement="epoch", probe=5
)


def job(folder, *extra, resume=False, every=1, rules=()):
    """The trainer of the tests of resuming: dropout, norm, schedule, two batches to a step, 4 steps an epoch."""
    run = RunFolder.resume(folder) if resume else RunFolder.create(folder, {"lr": 0.1})
    trainer, loader, validation = make_job(run, EPOCHS, every, *extra)
    mg.manual_seed(0 if not resume else 99)
    inputs, targets = next(iter(DataLoader(images(20, 5), 20)))
    recorder = record.Recorder(run, DETAILS, probe=(inputs, targets), rules=rules)
    trainer.callbacks.append(recorder)
    return run, trainer, loader, validation, recorder


class Die(Callback):
    """An error in the middle of a step."""

    def __init__(self, step):
        self.step = step

    def on_backward_end(self, trainer):
        if trainer.global_step == self.step - 1:
            raise KeyError("power failure")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    _, trainer, loader, validation, _ = job(folder)
    trainer.fit(loader, EPOCHS, validation)
    return folder, trainer


def contents(folder):
    """All that is the same in equal runs."""
    run = record.open(folder)
    found = {name: run.steps[name].tolist() for name in ("step", "epoch", "batch", "loss", "rates")}
    found["samples"] = [run.sample_ids(step).tolist() for step in run.steps["step"]]
    found["random"] = run.query("SELECT step, random FROM steps ORDER BY step")[1]
    found["epochs"] = [{k: v for k, v in row.items() if k != "seconds"} for row in run.epochs]
    for s in run.signals():
        steps, values = run.series(s.name, "norm", s.kind)
        found[s.kind, s.name] = steps.tolist(), np.nan_to_num(values).tolist()
    found["units"] = (
        run.units("1.weight", "change")[1].tolist(),
        run.units("1", "output", "influence.taylor")[1].tolist(),
    )
    found["top"] = [repr(row) for row in run.influence("snip")]
    found["agreement"] = [(a.step, a.method, repr(a.correlation), a.units) for a in run.agreement()]
    found["weights"] = {int(s): run.tensor("1.weight", s).tolist() for s in run.snapshot_steps()}
    found["probe"] = {int(s): run.probe(s)["output"].tolist() for s in run.snapshot_steps("probe")}
    return found


def test_recording_leaves_the_training_as_it_was(whole, tmp_path):
    trainer, loader, validation = make_job(RunFolder.create(tmp_path, {}), EPOCHS)
    mg.manual_seed(0)
    next(iter(DataLoader(images(20, 5), 20)))
    trainer.fit(loader, EPOCHS, validation)
    assert difference(trainer.state_dict(), whole[1].state_dict()) == ""


def test_a_trainer_s_run(whole):
    folder, trainer = whole
    run = record.open(folder)
    assert run.steps["step"].tolist() == [*range(1, 13)]
    assert run.steps["epoch"].tolist() == [1] * 4 + [2] * 4 + [3] * 4
    assert run.steps["batch"].tolist() == [1, 3, 5, 6] * 3
    assert [row["step"] for row in run.epochs] == [4, 8, 12]
    assert run.epochs[-1]["val_accuracy"] == trainer.logs["val_accuracy"]
    assert run.configuration["settings"] == {"lr": 0.1}
    assert run.snapshot_steps().tolist() == [0, 4, 8, 12]
    assert run.snapshot_steps("graph").tolist() == [1, 5, 9]
    for name, value in trainer.model.state_dict().items():
        np.testing.assert_array_equal(run.tensor(name), value.numpy())
    assert run.series("1", "norm", "output")[0].tolist() == [*range(1, 13)]  # and none of the validation's


def test_a_step_of_several_batches(whole):
    """Its samples are those of all its batches, its loss their mean, its rate the one it took."""
    run = record.open(whole[0])
    for epoch in range(EPOCHS):
        ids = [run.sample_ids(4 * epoch + step) for step in range(1, 5)]
        assert [len(part) for part in ids] == [32, 32, 32, 4]
        assert sorted(np.concatenate(ids)) == [*range(100)]
    history = whole[1].callbacks[0].steps
    expected = [
        np.mean(history["loss"][7 * e + b : 7 * e + min(b + 2, 7)])
        for e in range(EPOCHS)
        for b in (0, 2, 4, 6)
    ]
    np.testing.assert_allclose(run.steps["loss"], expected, rtol=1e-12)
    rates = [history["lr"][7 * e + b] for e in range(EPOCHS) for b in (1, 3, 5, 6)]
    np.testing.assert_array_equal(run.steps["rates"][:, 0], rates)


def test_gradients_are_those_that_the_optimiser_saw(whole):
    """Clipped to norm 1, over all parameters."""
    run = record.open(whole[0])
    norms = [run.series(s.name, "norm", "gradient")[1] for s in run.signals("gradient")]
    steps = run.steps["step"]
    total = np.sqrt(sum(np.square(n[-len(steps) :]) for n in norms))
    assert total.max() <= 1 + 1e-5
    assert np.isclose(total, 1, atol=1e-4).any()


@pytest.mark.parametrize("step", [1, 2, 5, 6, 11])
def test_a_run_that_goes_on_has_no_hole_and_nothing_twice(whole, tmp_path, step):
    _, trainer, loader, validation, recorder = job(tmp_path, Die(step), every=2)
    with pytest.raises(KeyError):
        trainer.fit(loader, EPOCHS, validation)
    assert record.open(tmp_path).steps["step"].tolist() == [*range(1, step)]
    assert not mg.observe.observers
    run, trainer, loader, validation, recorder = job(tmp_path, resume=True)
    trainer.fit(loader, EPOCHS, validation, resume=run.load())
    assert difference(trainer.state_dict()["model"], whole[1].state_dict()["model"]) == ""
    got, expected = contents(tmp_path), contents(whole[0])
    assert got.keys() == expected.keys()
    for name, value in expected.items():
        assert got[name] == value, name
    assert not (tmp_path / "before").exists()
    assert recorder.failed is None


def test_a_run_that_begins_again_sets_the_old_one_aside(tmp_path):
    for _ in range(2):
        _, trainer, loader, validation, _ = job(tmp_path)
        trainer.fit(loader, 1, validation)
    assert record.open(tmp_path / "before").steps["step"].tolist() == [1, 2, 3, 4]
    assert record.open(tmp_path).steps["step"].tolist() == [1, 2, 3, 4]
    assert (tmp_path / "before" / "metrics.jsonl").exists()


def test_a_loss_that_is_not_finite(tmp_path):
    class Spoil(Callback):
        def on_step_end(self, trainer):
            if trainer.global_step == 3:
                trainer.model[5].bias.data.fill_(float("nan"))

    _, trainer, loader, validation, recorder = job(tmp_path)
    trainer.callbacks = [Spoil(), recorder]
    with pytest.raises(NonFiniteError):
        trainer.fit(loader, EPOCHS, validation)
    run = record.open(tmp_path)
    assert run.steps["step"].tolist() == [1, 2, 3]
    assert np.isfinite(run.steps["loss"]).all()
    assert run.series("5.bias", "nans")[1][-1] == 2  # the step after which it is there


def test_what_is_recorded_is_safe_before_a_checkpoint_is_written(tmp_path):
    """Whatever the order of the callbacks: a checkpoint never knows of a step that the record does not."""
    seen = []

    class Look(Callback):
        def on_save_point(self, trainer):
            if trainer.global_step and trainer.global_step % 2 == 0:
                seen.append((trainer.global_step, int(record.open(tmp_path).steps["step"][-1])))

    _, trainer, loader, validation, _ = job(tmp_path, every=2)
    trainer.callbacks.insert(0, Look())
    trainer.fit(loader, 1, validation)
    assert seen
    assert all(step == there for step, there in seen)
