"""What scripts with a command line share: a user's mistake ends in one clear line, not in a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minigrad.errors import ArgumentError, MinigradError


@contextmanager
def clear_errors(program: str) -> Iterator[None]:
    """Turn minigrad's errors and the system's (no such file, disk full) into `program: error: ...` and exit code 2."""
    try:
        yield
    except (MinigradError, OSError) as error:
        print(f"{program}: error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


def output_folder(path: str | os.PathLike[str]) -> Path:
    """Make the folder where results will go and make sure, before any work is done, that files can be written there."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise ArgumentError(f"cannot write results to {folder}: {error.strerror or error}; name another folder with --out") from error
    return folder


def positive_int(text: str) -> int:
    """An argparse type: a whole number from 1."""
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def positive_float(text: str) -> float:
    """An argparse type: a finite number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError
    return value


positive_int.__name__, positive_float.__name__ = "whole number >= 1", "number > 0"  # argparse shows these names
