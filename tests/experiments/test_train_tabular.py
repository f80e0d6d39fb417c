"""Training on tables: what is measured, against scikit-learn, and that nothing is learnt from test data."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import minigrad as mg
import models
from experiments import train_tabular
from minigrad import data
from minigrad.data import random_split
from tests.experiments.scripts import errors_of, metrics, run, weights
from tests.html_pages import Page


def predictions(dataset: str, out, hidden) -> tuple[np.ndarray, np.ndarray]:
    """True targets and the saved network's outputs, by its definition: standardised by the training data."""
    whole = getattr(data, f"load_{dataset}")()
    labels = whole.classes is not None
    train, _, test = random_split(whole, [0.6, 0.2, 0.2], seed=0, stratified=labels)
    mean, std = train.inputs.mean(axis=0, dtype=float), train.inputs.std(axis=0, dtype=float)
    model = models.MLP(whole.inputs.shape[1], len(whole.classes) if labels else 1, hidden)
    model.load_state_dict(mg.load(out / "model.safetensors"))
    with mg.no_grad():
        y = model.eval()(mg.tensor(((test.inputs - mean) / std).astype(np.float32))).numpy()
    if labels:
        return test.targets, y.argmax(axis=1)
    return test.targets[:, 0], y[:, 0] * train.targets.std() + train.targets.mean()


def test_a_classification(tmp_path):
    from sklearn import metrics as oracle

    assert run(train_tabular, "--dataset", "wine", "--hidden", 16, "--epochs", 20, "--out", tmp_path) == 0
    numbers = metrics(tmp_path)
    true, predicted = predictions("wine", tmp_path, [16])
    assert len(true) == numbers["test_examples"] == 35
    assert numbers["confusion"] == oracle.confusion_matrix(true, predicted).tolist()
    assert numbers["test_accuracy"] == pytest.approx(oracle.accuracy_score(true, predicted))
    assert numbers["test_accuracy"] > 0.8
    assert numbers["macro_F1"] == pytest.approx(oracle.f1_score(true, predicted, average="macro"))
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert {image["src"] for image in page.images} == {"curves.png", "confusion.png"}
    table = {row[0]: row[1:4] for row in page.rows if row[0].startswith("class_")}
    shares = oracle.precision_recall_fscore_support(true, predicted)[:3]
    assert table == {f"class_{i}": [f"{share[i]:.1%}" for share in shares] for i in range(3)}
    best = int(np.argmin([epoch["val_loss"] for epoch in numbers["epochs"]])) + 1
    assert numbers["weights_of_epoch"] == best


def test_a_regression(tmp_path, capsys):
    from sklearn import metrics as oracle

    assert run(train_tabular, "--dataset", "diabetes", "--hidden", "--epochs", 10, "--out", tmp_path) == 0
    numbers = metrics(tmp_path)
    true, predicted = predictions("diabetes", tmp_path, [])
    assert numbers["mean_absolute_error"] == pytest.approx(oracle.mean_absolute_error(true, predicted), 1e-4)
    error = oracle.root_mean_squared_error(true, predicted)
    assert numbers["root_mean_squared_error"] == pytest.approx(error, 1e-4)
    assert numbers["R2"] == pytest.approx(oracle.r2_score(true, predicted), abs=1e-4)
    assert numbers["mean_absolute_error"] < 0.9 * numbers["mean_absolute_error_of_the_mean"]
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert {image["src"] for image in page.images} == {"curves.png", "scatter.png"}
    # Measured in the data's unit while training, too
    errors = [epoch["val_absolute_error"] for epoch in numbers["epochs"]]
    assert 20 < min(errors) < 80
    assert "Off by " in capsys.readouterr().out


def test_small_images_are_shown(tmp_path):
    arguments = ["--dataset", "digits", "--epochs", 2, "--out", tmp_path, "--validate", 0.5, "--test", 0.1]
    assert run(train_tabular, *arguments) == 0
    assert {"samples.png", "mistakes.png"} <= {path.name for path in tmp_path.iterdir()}
    assert metrics(tmp_path)["training_examples"] == 719


def test_the_same_seed_gives_the_same_run(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        arguments = ["--dataset", "iris", "--epochs", 2, "--out", tmp_path / name, "--seed", seed]
        assert run(train_tabular, *arguments) == 0
    assert weights(tmp_path / "a") == weights(tmp_path / "b") != weights(tmp_path / "c")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "houses"], "argument --dataset: invalid choice: 'houses'"),
        (["--hidden", "0"], "argument --hidden: expected a whole number from 1, not '0'"),
        (["--validate", "0.5", "--test", "0.5"], "--validate and --test leave nothing to train on"),
        (["--weight-decay", "-1"], "argument --weight-decay: expected a number from 0, not '-1'"),
        (["--dropout", "1.5"], "1.5"),
    ],
)
def test_wrong_options(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert run(train_tabular, *arguments) == 2
    assert message in errors_of(capsys)
    assert not (tmp_path / "runs").exists()


def test_without_scikit_learn(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    monkeypatch.setattr(
        data.tabular, "import_module", lambda name: (_ for _ in ()).throw(ModuleNotFoundError(name="sklearn"))
    )
    assert run(train_tabular, "--out", tmp_path) == 2
    assert "comes with scikit-learn, which is not installed; add it with: pip install" in errors_of(capsys)


def test_help_shows_examples(capsys):
    assert run(train_tabular, "--help") == 0
    text = capsys.readouterr().out
    assert "python experiments/train_tabular.py --dataset wine" in text
    for option in ("dataset", "hidden", "dropout", "validate", "test", "patience", "resume"):
        assert f"--{option}" in text
