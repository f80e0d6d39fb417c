"""The README's code does what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import minigrad as mg
from minigrad import nn
from minigrad.data import DataLoader, load_digits
from minigrad.nn import functional as F
from minigrad.train import Trainer

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def block(first_words: str) -> str:
    """The block of Python code that holds these words."""
    (found,) = [
        b for b in re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE) if first_words in b
    ]
    return found


class Net(nn.Module):
    """Layers under the names that the README uses."""

    def __init__(self):
        self.layer1 = nn.Sequential(nn.Sequential())
        self.layer1[0].conv1 = nn.Conv2d(1, 4, 3)
        self.fc = nn.Linear(4 * 36, 10)

    def forward(self, x):
        y = F.relu(self.layer1[0].conv1(x))
        return self.fc(F.relu(F.relu(y)).flatten(1))


@pytest.fixture
def surroundings(tmp_path, monkeypatch):
    """The names that the blocks take for granted, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    digits = load_digits()
    net = Net()
    images, labels = mg.tensor(digits.inputs[:64]), mg.tensor(digits.targets[:64])
    return {
        "mg": mg, "nn": nn, "F": F, "Trainer": Trainer, "model": net, "x": images, "images": images, "labels": labels,
        "optimizer": mg.optim.SGD(net.parameters(), lr=0.01), "loader": DataLoader(digits, 8, seed=0),
    }  # fmt: skip


def test_the_engine(surroundings):
    exec(block("create_graph=True"), surroundings)


def test_the_trace(surroundings, capsys):
    code = block('mg.trace("stats")')
    replayed = "t.replay()"
    assert replayed in code
    exec(code.replace(replayed, "pass"), surroundings)  # of a full trace, as its comment says
    assert "layer1.0.conv1" in capsys.readouterr().out
    assert Path("step.html").stat().st_size > 10_000
    exec(code.replace('"stats"', '"full"'), surroundings)
    assert surroundings["t"].replay() == []


@pytest.mark.filterwarnings("ignore::minigrad.errors.RuleWarning")
def test_the_recorder(surroundings):
    exec(
        block("RuleWarning") if "RuleWarning" in README else block("from minigrad.record import"),
        surroundings,
    )
    run = surroundings["run"]
    assert run.steps["loss"].size == 5 * len(surroundings["loader"]) > 1000
