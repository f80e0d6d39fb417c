"""Running a script's `main` in a test, and reading what it left."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

import minigrad as mg
from minigrad.cli import clear_errors


def run(script: ModuleType, *arguments) -> int:
    """The exit code of a script with these arguments, in this process."""
    try:
        with clear_errors(Path(script.__file__).name):
            return script.main([str(a) for a in arguments])
    except SystemExit as end:
        return int(end.code or 0)


def metrics(out: Path) -> dict:
    """The report's numbers; the file must be JSON in the strict sense."""
    return json.loads((out / "metrics.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)


def weights(out: Path) -> dict[str, list]:
    """The numbers in a run's model.safetensors."""
    return {name: t.tolist() for name, t in mg.load(out / "model.safetensors").items()}


def spoil(monkeypatch, point: str, action) -> None:
    """Let `action(trainer)` happen at a point of training, before the script's own callbacks."""

    class Spoiler(mg.train.Callback):
        pass

    setattr(Spoiler, point, lambda self, trainer: action(trainer))
    original = mg.train.Trainer.__init__

    def patched(self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.callbacks.insert(0, Spoiler())

    monkeypatch.setattr(mg.train.Trainer, "__init__", patched)


def check_page(out: Path) -> None:
    """An interactive page is there if Plotly, which it is made with, is."""
    page = out / "page.html"
    assert page.exists() == (find_spec("plotly") is not None)
    assert not page.exists() or page.stat().st_size > 1_000_000


def errors_of(capsys) -> str:
    """What was written to standard error: a usage, perhaps, and one line."""
    errors = capsys.readouterr().err
    *usage, last = errors.strip().splitlines()
    assert all(line.startswith(("usage:", " ")) for line in usage)
    assert "Traceback" not in errors
    return last
