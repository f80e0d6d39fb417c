"""Learning a text: what is measured, that it writes what it learnt, and that a run goes on with its own text only."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

import minigrad as mg
import models
from common.findings import findings
from experiments import observe_text
from minigrad.data import load_text
from tests.experiments.fake_run import leave_out_pictures
from tests.experiments.scripts import check_page, errors_of, metrics, run, weights
from tests.html_pages import Page

LINE = "  the quick brown fox jumps over the lazy dog.\n"
SMALL = ["--layers", 1, "--heads", 2, "--width", 16, "--context", 8]


@pytest.fixture
def text(tmp_path):
    """A file that repeats one line."""
    path = tmp_path / "fox.txt"
    path.write_text(LINE * 60, encoding="utf-8")
    return path


def test_it_learns_and_writes(tmp_path, text, capsys, monkeypatch):
    leave_out_pictures(monkeypatch, page=True)
    out = tmp_path / "out"
    arguments = ["--text", text, *SMALL, "--epochs", 20, "--lr", 0.02, "--temperature", 0, "--prompt", LINE]
    assert run(observe_text, *arguments, "--out", out) == 0
    numbers = metrics(out)
    assert numbers["bits_per_character"] < 0.5
    written = LINE * 2
    assert written in capsys.readouterr().out
    page = Page((out / "index.html").read_text(encoding="utf-8"))
    assert {image["src"] for image in page.images} == {"curves.png"}
    recorded = mg.record.open(out / "run")
    told = [finding for finding in findings(recorded) if finding.told]
    assert len(told) >= 5
    assert all(str(finding) in page.text_of("p") for finding in told)
    check_page(out)
    assert ["2", "\u00a0\u00a0" + LINE.strip()] in [row[:2] for row in page.rows]


def test_what_is_measured(tmp_path, text, monkeypatch):
    leave_out_pictures(monkeypatch)
    out = tmp_path / "out"
    assert run(observe_text, "--text", text, *SMALL, "--epochs", 2, "--validate", 0.3, "--out", out) == 0
    numbers, corpus = metrics(out), load_text(text, validation=0.3)
    assert numbers["characters_held_out"] == len(corpus.validation)
    # The loss on the held-out text, window by window, and what frequencies alone would give
    model = models.CharTransformer(len(corpus.vocabulary), 8, n_layer=1, n_head=2, n_embd=16)
    model.load_state_dict(mg.load(out / "model.safetensors"))
    losses = []
    for inputs, targets in zip(*corpus.windows("validation", 8)[:], strict=True):
        with mg.no_grad():
            logits = model(mg.tensor(inputs[None])).numpy()[0].astype(float)
        logits -= logits.max(axis=1, keepdims=True)
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        losses += (-np.log2(p[np.arange(8), targets])).tolist()
    assert numbers["bits_per_character"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert numbers["bits_per_character"] == pytest.approx(
        min(epoch["val_loss"] for epoch in numbers["epochs"]) / math.log(2), rel=1e-4
    )
    counts, characters = Counter(corpus.train), len(corpus.vocabulary)
    total = len(corpus.train) + characters
    expected = -np.mean([math.log2((counts[c] + 1) / total) for c in corpus.validation])
    assert numbers["bits_per_character_of_frequencies_alone"] == pytest.approx(expected)


def test_a_run_goes_on_with_its_own_text(tmp_path, text, capsys, monkeypatch):
    leave_out_pictures(monkeypatch)
    out, whole = tmp_path / "out", tmp_path / "whole"
    arguments = ["--text", text, *SMALL, "--epochs", 2]
    assert run(observe_text, *arguments, "--out", whole) == 0
    assert run(observe_text, *arguments, "--out", out) == 0
    assert weights(out) == weights(whole)
    # From before the last epoch on, to the same bits
    latest = max((out / "run" / "checkpoints").glob("epoch-*"))
    latest.unlink()
    assert run(observe_text, "--resume", "--out", out) == 0
    assert weights(out) == weights(whole)
    before, after = (mg.record.open(folder / "run") for folder in (whole, out))
    assert "resumed" in after.meta
    assert after.steps["loss"].tolist() == before.steps["loss"].tolist()
    told = [{f.name: str(f) for f in findings(reader)} for reader in (before, after)]
    for answers in told:  # rules do not remember what they told before a resume
        del answers["noticed"]
    assert told[0] == told[1]
    text.write_text(LINE * 59 + LINE.upper(), encoding="utf-8")
    capsys.readouterr()
    assert run(observe_text, "--resume", "--out", out) == 2
    assert "was made with other settings: text_sha256 was" in errors_of(capsys)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", "missing.txt"], "there is no file missing.txt"),
        (["--heads", "3"], "n_head must divide n_embd"),
        (["--prompt", ""], "--prompt needs at least one character"),
        (["--temperature", "-1"], "expected a number from 0, not '-1'"),
        (["--activation", "swish"], "invalid choice: 'swish'"),
        (["--context", "100000"], "validation part of minigrad's docstrings has"),
    ],
)
def test_wrong_options(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert run(observe_text, *arguments) == 2
    assert message in errors_of(capsys)
    assert not (tmp_path / "runs").exists()


def test_help_shows_examples(capsys):
    assert run(observe_text, "--help") == 0
    text = capsys.readouterr().out
    assert "python experiments/observe_text.py --layers 2" in text
    for option in ("text", "context", "layers", "activation", "prompt", "temperature", "resume"):
        assert f"--{option}" in text
