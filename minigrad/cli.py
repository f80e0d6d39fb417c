"""What scripts with a command line share: a user's mistake ends in one clear line, not in a traceback."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minigrad.errors import ArgumentError, MinigradError


@contextmanager
def clear_errors(program: str) -> Iterator[None]:
    """End the program with `program: error: ...` on minigrad's errors and the system's (no such file, disk full).

    Exit code 2; 130, as shells have it, where the user interrupted.
    """
    try:
        yield
    except (MinigradError, OSError) as error:
        print(f"{program}: error: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    except MemoryError as error:
        print(f"{program}: error: out of memory ({error}); try smaller batches", file=sys.stderr)
        raise SystemExit(2) from error
    except KeyboardInterrupt as interrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        raise SystemExit(130) from interrupt


def output_folder(path: str | os.PathLike[str]) -> Path:
    """Make the folder where results will go, and make sure, before any work begins, that files can be written there."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        why = error.strerror or error
        raise ArgumentError(
            f"cannot write results to {folder}: {why}; name another folder with --out"
        ) from error
    return folder


def positive_int(text: str) -> int:
    """An argparse type: a whole number from 1.

    >>> positive_int("3")
    3
    """
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise ArgumentTypeError(f"expected a whole number from 1, not {text!r}")
    return value


def positive_float(text: str) -> float:
    """An argparse type: a finite number above 0.

    >>> positive_float("1e-3")
    0.001
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ArgumentTypeError(f"expected a number above 0, not {text!r}")
    return value
