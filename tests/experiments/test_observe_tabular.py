"""A perceptron on a table, to be observed: what is measured, against scikit-learn, and that it can be repeated."""

from __future__ import annotations

import json

import numpy as np
import pytest

import minigrad as mg
import models
from common.findings import findings
from experiments import observe_tabular
from minigrad import data
from minigrad.data import random_split
from minigrad.viz.page import bundle
from tests.experiments.fake_run import leave_out_pictures
from tests.experiments.scripts import check_page, errors_of, metrics, run, weights
from tests.html_pages import Page


def test_what_is_measured(tmp_path, capsys):
    from sklearn import metrics as oracle

    arguments = ["--dataset", "wine", "--hidden", 16, 8, "--activation", "tanh", "--epochs", 15]
    assert run(observe_tabular, *arguments, "--out", tmp_path) == 0
    numbers = metrics(tmp_path)
    train, _, test = random_split(data.load_wine(), [0.6, 0.2, 0.2], seed=0, stratified=True)
    model = models.MLP(13, 3, (16, 8), "tanh")
    model.load_state_dict(mg.load(tmp_path / "model.safetensors"))
    inputs = (test.inputs - train.inputs.mean(axis=0, dtype=float)) / train.inputs.std(axis=0, dtype=float)
    with mg.no_grad():
        predicted = model(mg.tensor(inputs.astype(np.float32))).numpy().argmax(axis=1)
    assert numbers["confusion"] == oracle.confusion_matrix(test.targets, predicted).tolist()
    assert numbers["test_accuracy"] == pytest.approx(oracle.accuracy_score(test.targets, predicted))
    assert numbers["test_accuracy"] > 0.8
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    pictures = {"curves.png", "confusion.png", "trust.png", "shrinking_gradients.png", "largest_moves.png"}
    assert pictures <= {image["src"] for image in page.images}

    # What the record tells, on the screen and on the page
    recorded, printed = mg.record.open(tmp_path / "run"), capsys.readouterr().out
    words = " ".join(printed.split())
    for finding in findings(recorded):
        assert f"{finding.title} {finding}" in words
        assert str(finding) in page.text_of("p")
    assert recorded.steps["step"].tolist() == list(range(1, 15 * 7 + 1))
    units = [agreement.units for agreement in recorded.agreement()]
    assert units == [16 + 8 + 3] * 16  # all of them, at the start and after each epoch
    for file in ("record/index.html", "record/curves.png"):
        assert (tmp_path / file).stat().st_size > 5_000
        assert f": {tmp_path / file}" in printed or file.endswith("png")
    check_page(tmp_path)


def test_the_same_seed_gives_the_same_run_and_it_can_be_resumed(tmp_path, monkeypatch):
    leave_out_pictures(monkeypatch)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        arguments = ["--dataset", "iris", "--epochs", 2, "--out", tmp_path / name, "--seed", seed]
        assert run(observe_tabular, *arguments) == 0
    assert weights(tmp_path / "a") == weights(tmp_path / "b") != weights(tmp_path / "c")
    whole = mg.record.open(tmp_path / "b" / "run")
    max((tmp_path / "a" / "run" / "checkpoints").glob("epoch-*")).unlink()
    assert run(observe_tabular, "--resume", "--out", tmp_path / "a") == 0
    assert weights(tmp_path / "a") == weights(tmp_path / "b")
    resumed = mg.record.open(tmp_path / "a" / "run")
    last = whole.steps["step"][-1]
    assert [part["step"] for part in json.loads(resumed.meta["resumed"])] == [last // 2]
    for key in ("step", "loss"):
        assert resumed.steps[key].tolist() == whole.steps[key].tolist()
    for name in ("layers.0.weight", "layers.2.bias"):
        np.testing.assert_array_equal(
            resumed.series(name, "norm", "change"), whole.series(name, "norm", "change")
        )
    told = [{f.name: str(f) for f in findings(reader)} for reader in (whole, resumed)]
    for answers in told:  # rules do not remember what they told before a resume
        del answers["noticed"]
    assert told[0] == told[1]


def test_without_plotly_there_is_one_line_on_how_to_get_it(tmp_path, monkeypatch, capsys):
    leave_out_pictures(monkeypatch, page=True)
    monkeypatch.setattr(bundle, "find_spec", lambda name: None)
    (tmp_path / "page.html").write_text("of a run before", encoding="utf-8")
    assert run(observe_tabular, "--dataset", "iris", "--epochs", 1, "--out", tmp_path) == 0
    shown = capsys.readouterr()
    (line,) = (line for line in shown.err.splitlines() if "interactive" in line)
    assert line.startswith("no interactive page: ")
    assert line.endswith('pip install "minigrad[page]"')
    assert not (tmp_path / "page.html").exists()
    assert "page.html" not in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_warnings_of_rules_are_one_line_each(tmp_path, monkeypatch, capsys):
    leave_out_pictures(monkeypatch)
    arguments = [
        "--dataset",
        "iris",
        "--hidden",
        64,
        "--epochs",
        1,
        "--out",
        tmp_path,
    ]  # some of 64 start silent
    assert run(observe_tabular, *arguments) == 0
    shown = capsys.readouterr()
    notes = mg.record.open(tmp_path / "run").notes()
    lines = [line for line in shown.err.splitlines() if line.startswith("warning: ")]
    assert lines == [f"warning: {note.text}" for note in notes]
    assert lines
    assert "units gave nothing but zeros for a whole batch" in lines[0]
    assert "The rule on dead units spoke" in " ".join(shown.out.split())
    assert ".py" not in shown.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "diabetes"], "argument --dataset: invalid choice: 'diabetes'"),
        (["--activation", "swish"], "argument --activation: invalid choice: 'swish'"),
        (["--hidden"], "argument --hidden: expected at least one argument"),
        (["--validate", "0.5", "--test", "0.5"], "--validate and --test leave nothing to train on"),
    ],
)
def test_wrong_options(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert run(observe_tabular, *arguments) == 2
    assert message in errors_of(capsys)
    assert not (tmp_path / "runs").exists()
