"""Result files: JSON in the strict sense, tried before the measuring begins."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from minigrad.errors import ArgumentError


def prepare_output(path: Path | None) -> None:
    """Make the folder of a file to be written, and make sure now that it can be.

    Raises ArgumentError if not: minutes of measuring should not end there.
    """
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder")
        tempfile.TemporaryFile(dir=path.parent).close()
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError("it is write-protected")
    except OSError as error:
        raise ArgumentError(f"cannot write results to {path}: {error.strerror or error}") from error


def write_json(path: Path, results: dict[str, Any]) -> None:
    """Write results, four significant digits more than anyone needs left in: infinities and NaNs are refused."""
    path.write_text(json.dumps(results, indent=2, allow_nan=False) + "\n", encoding="utf-8")
