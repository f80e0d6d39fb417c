"""A run's folder: what it was asked for and made with, what it measured, and from where it can go on."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minigrad.errors import ArgumentError, DataError
from minigrad.serialization import read_file, write_file
from minigrad.train.environment import differences, environment
from minigrad.train.state_file import load_state, save_state

_RECORD = (
    "record.sqlite",
    "record.sqlite-wal",
    "record.sqlite-shm",
    "record.sqlite-journal",
    "snapshots",
    "graphs",
)
_PARTS = ("config.json", "environment.json", "metrics.jsonl", *_RECORD, "checkpoints")
_CHECKPOINT = re.compile(r"epoch-(\d+)-batch-(\d+)\.safetensors")


class RunFolder:
    """A folder that keeps all of a run, and is the unit that moves.

        config.json        what the run was asked for: settings and seeds
        environment.json   one entry for each time it was started: versions, hardware, threads, git revision, command
        metrics.jsonl      what it measured: one JSON object a line, appended as training goes
        checkpoints/       whole states of training: epoch-<finished>-batch-<done of the next>.safetensors, and best
        record.sqlite, snapshots/, graphs/   what a `minigrad.record.Recorder` wrote, if there was one

    Made by `RunFolder.create` and `RunFolder.open`.

    path:   of the folder.
    config: what stands in config.json.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = RunFolder.create(folder, {"lr": 0.1, "seed": 0})
    ...     run.log({"epoch": 1, "val_loss": 0.5})
    ...     RunFolder.open(folder).config, RunFolder.open(folder).metrics()
    ({'lr': 0.1, 'seed': 0}, [{'epoch': 1, 'val_loss': 0.5}])
    """

    def __init__(self, path: str | os.PathLike[str], config: Mapping[str, Any]) -> None:
        self.path, self.config = Path(path), dict(config)
        self.metrics_path, self.checkpoints_path = self.path / "metrics.jsonl", self.path / "checkpoints"

    @classmethod
    def create(cls, path: str | os.PathLike[str], config: Mapping[str, Any]) -> RunFolder:
        """Begin a run. What a run before it left in the folder is moved to `before/`, in place of the one before that.

        config: settings and seeds, in JSON's types.

        Raises ArgumentError for other types, DataError if the folder cannot be written.
        """
        run = cls(path, config)
        try:
            text = json.dumps(run.config, indent=2)
        except (TypeError, ValueError) as error:
            raise ArgumentError(f"a configuration holds what JSON can hold: {error}") from error
        run.config = json.loads(text)  # as it will be read
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            _set_aside(run.path)
            run.checkpoints_path.mkdir()
        except OSError as error:
            raise DataError(f"cannot begin a run in {run.path}: {error.strerror or error}") from error
        write_file(run.path / "environment.json", _json([environment()]))
        write_file(run.path / "config.json", _json(run.config))  # last: now it is a run
        return run

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> RunFolder:
        """Open the folder of a run to read it. Raises DataError if there is none."""
        config = _read_json(Path(path) / "config.json", dict, f"{path} holds no run: ")
        return cls(path, config)

    @classmethod
    def resume(cls, path: str | os.PathLike[str]) -> RunFolder:
        """Open the folder of a run to go on with it: note that it was started again, and clear away unfinished files.

        Warns if versions, hardware or threads differ, since results may then differ in their last bits.
        """
        run, now = cls.open(path), environment()
        starts = run.environment()
        changed = differences(starts[-1], now) if starts else []
        if changed:
            warnings.warn(
                f"the run in {run.path} goes on elsewhere, so perhaps not to the same bits: {'; '.join(changed)}",
                stacklevel=2,
            )
        write_file(run.path / "environment.json", _json([*starts, now]))
        run.truncate_metrics(run.metrics_size())  # a torn line would spoil the next
        for unfinished in run.checkpoints_path.glob("*.tmp*"):
            unfinished.unlink()
        return run

    def environment(self) -> list[dict[str, Any]]:
        """What the run was made with, an entry for each time it was started."""
        return _read_json(self.path / "environment.json", list, "")

    def require_config(self, config: Mapping[str, Any]) -> None:
        """Raise ArgumentError, naming the differences, unless the run was asked for the same."""
        given = json.loads(json.dumps(dict(config)))
        different = [
            f"{name} was {self.config.get(name)!r}, is {given.get(name)!r}"
            for name in sorted({*self.config, *given})
            if self.config.get(name) != given.get(name)
        ]
        if different:
            raise ArgumentError(
                f"the run in {self.path} was made with other settings: {'; '.join(different)}. Go on with the settings "
                "it has, or begin another run"
            )

    # ------------------------------------------------ metrics

    def log(self, numbers: Mapping[str, Any]) -> None:
        """Append a line to metrics.jsonl; it has left the process when this returns. NaN and infinity become null.

        Raises DataError if it cannot be written.
        """
        line = json.dumps(_finite(numbers), allow_nan=False, separators=(",", ":")) + "\n"
        try:
            with open(self.metrics_path, "ab") as file:
                file.write(line.encode())
        except OSError as error:
            raise DataError(f"cannot write {self.metrics_path}: {error.strerror or error}") from error

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; a last one that is torn, since writing it was interrupted, is left out.

        Raises DataError for another line that is damaged.
        """
        if not self.metrics_path.exists():
            return []
        lines = read_file(self.metrics_path).split(b"\n")[
            :-1
        ]  # what follows the last newline is nothing, or torn
        rows = []
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
            except ValueError:
                row = None
            if not isinstance(row, dict):
                raise DataError(f"{self.metrics_path} is damaged: line {number} is no JSON object")
            rows.append(row)
        return rows

    def metrics_size(self) -> int:
        """The length of metrics.jsonl in bytes."""
        return self.metrics_path.stat().st_size if self.metrics_path.exists() else 0

    def truncate_metrics(self, size: int) -> None:
        """Cut metrics.jsonl back to a size it had, and to whole lines."""
        if not self.metrics_path.exists():
            return
        kept = read_file(self.metrics_path)[:size]
        try:
            os.truncate(self.metrics_path, kept.rfind(b"\n") + 1)
        except OSError as error:
            raise DataError(f"cannot write {self.metrics_path}: {error.strerror or error}") from error

    # ------------------------------------------------ checkpoints

    def checkpoints(self) -> list[Path]:
        """The files of the checkpoints, oldest first, without `best`."""
        files = {path: _CHECKPOINT.fullmatch(path.name) for path in self.checkpoints_path.glob("*")}
        places = {path: (int(match[1]), int(match[2])) for path, match in files.items() if match}
        return sorted(places, key=places.__getitem__)

    def checkpoint_path(self, epoch: int, batch: int) -> Path:
        """The file of the state after `epoch` epochs and `batch` batches of the next."""
        return self.checkpoints_path / f"epoch-{epoch:04d}-batch-{batch:06d}.safetensors"

    @property
    def best_path(self) -> Path:
        """The file of the state that was best."""
        return self.checkpoints_path / "best.safetensors"

    def save(self, state: Mapping[str, Any], epoch: int, batch: int, keep: int) -> Path:
        """Write a checkpoint; once it is safe, remove all but the latest `keep`. Returns its path.

        Checkpoints of later positions go, too: training went on from an earlier one, and has yet to come there.
        """
        path = self.checkpoint_path(epoch, batch)
        save_state(state, path)
        files = self.checkpoints()
        behind = files.index(path) + 1
        for other in files[: max(0, behind - keep)] + files[behind:]:
            other.unlink(missing_ok=True)
        return path

    def load(self, which: str = "latest") -> dict[str, Any]:
        """The state to go on from, for `trainer.fit(..., resume=state)`; the model's weights are its "model".

        which: "latest", or "best" (by what `RunCheckpoint` monitors).

        A damaged file is passed over, with a warning, for the one before it. Raises DataError if none is left.
        """
        if which not in ("latest", "best"):
            raise ArgumentError(f'which must be "latest" or "best", not {which!r}')
        files = self.checkpoints()[::-1] if which == "latest" else [self.best_path]
        problems = []
        for path in files:
            try:
                state = load_state(path)
            except DataError as error:
                problems.append(str(error))
                continue
            if problems:
                warnings.warn(
                    f"{'; '.join(problems)}; going back to the one before, {path.name}", stacklevel=2
                )
            return state
        found = "; ".join(problems) or "it has none yet"
        raise DataError(f"the run in {self.path} has no checkpoint to load: {found}")


def _set_aside(folder: Path) -> None:
    """Move the parts of an earlier run to `before/`; the checkpoints go last, and what a kill in between leaves behind
    goes the next time."""
    parts = [folder / name for name in _PARTS if (folder / name).exists()]
    if parts:
        before = folder / "before"
        if before.exists():
            shutil.rmtree(before)
        before.mkdir()
        for part in parts:
            part.rename(before / part.name)


def set_record_aside(folder: Path) -> None:
    """Move an earlier run's record, if there is one, to `before/`, in place of the one there."""
    before = folder / "before"
    parts = [folder / name for name in _RECORD if (folder / name).exists()]
    if not parts:
        return
    before.mkdir(exist_ok=True)
    for old in (before / name for name in _RECORD):
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink(missing_ok=True)
    for part in parts:
        part.rename(before / part.name)


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()


def _read_json(path: Path, kind: type, prefix: str) -> Any:
    try:
        content = read_file(path)
    except DataError as error:
        raise DataError(f"{prefix}{error}") from error
    try:
        value = json.loads(content)
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}") from error
    if not isinstance(value, kind):
        raise DataError(f"{path} is damaged: it does not hold a {kind.__name__}")
    return value


def _finite(value: Any) -> Any:
    """`value` with None for numbers that JSON does not have."""
    if isinstance(value, Mapping):
        return {str(name): _finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
