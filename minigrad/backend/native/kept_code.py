"""Where compiled kernels are kept: a file for each kernel and types of arguments, in a folder for these sources.

    MINIGRAD_CACHE_DIR, or else ~/.cache/minigrad
        kernels/<hash of the sources>-numba<version>-py<version>/
            <module>.<kernel>-<hash>    SHA-256 of the rest, then what Numba needs to load the code

The name's hash covers the types and the processor. Several processes may write at once: a file appears whole, and
what two of them write under one name does the same. A file that is damaged does not have its own checksum, so it is
compiled anew and written over; nothing of it is looked at. Where nothing can be written each process compiles for
itself, and says so once. Folders that no process has used for 90 days are removed when a new one is made.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core import serialize
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult

from minigrad.errors import KernelCacheWarning

_HERE = Path(__file__).parent
_DAY = 24 * 60 * 60
_UNUSED = 90 * _DAY
_CHECKSUM = 32  # bytes


def cache_folder() -> Path:
    """Where machine code is kept, for these sources, this Numba and this Python. The folder may not be there yet."""
    root = os.environ.get("MINIGRAD_CACHE_DIR") or Path.home() / ".cache" / "minigrad"
    python = f"py{sys.version_info[0]}{sys.version_info[1]}"
    return Path(root) / "kernels" / f"{_source_hash()}-numba{numba.__version__}-{python}"


@cache
def _source_hash() -> str:
    """One hash over all sources of kernels: they inline one another, so a change in one concerns all."""
    digest = hashlib.sha256()
    for path in sorted(_HERE.rglob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


class KeptCode(_Cache):
    """The files of one kernel, as Numba asks for them. One that cannot be used costs time, never a result."""

    _told = False

    @property
    def cache_path(self) -> str | None:
        """For Numba's statistics."""
        with suppress(RuntimeError):
            return str(cache_folder())
        return None

    def __init__(self, function: Callable) -> None:
        self._function = function

    def enable(self) -> None:
        """Numba's interface; the files are always in use."""

    disable = flush = enable

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The code for these types; None where there is none."""
        target_context.refresh()
        try:
            path = self._path(sig, target_context.codegen())
            content = path.read_bytes()
        except (OSError, RuntimeError):
            return None
        code = content[_CHECKSUM:]
        if hashlib.sha256(code).digest() != content[:_CHECKSUM]:
            return None
        _mark_as_used(path.parent)
        return CompileResult._rebuild(target_context, *serialize.loads(code))

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the code for these types."""
        code = serialize.dumps(data._reduce())
        try:
            path = self._path(sig, data.codegen)
            _make(path.parent)
            _write(path, hashlib.sha256(code).digest() + code)
        except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
            if not KeptCode._told:
                KeptCode._told = True
                warnings.warn(
                    f"compiled kernels cannot be kept ({error}): every process compiles them anew. "
                    "MINIGRAD_CACHE_DIR names another folder",
                    KernelCacheWarning,
                    stacklevel=2,
                )

    def _path(self, sig: Any, codegen: Any) -> Path:
        function = self._function
        module = function.__module__
        digest = hashlib.sha256()
        if Path(function.__code__.co_filename).parent != _HERE:  # the folder's name does not cover its source
            digest.update(Path(function.__code__.co_filename).read_bytes())
        cells = tuple(cell.cell_contents for cell in function.__closure__ or ())
        digest.update(serialize.dumps(cells))
        position = function.__code__.co_firstlineno
        digest.update(repr((module, function.__qualname__, position, sig, codegen.magic_tuple())).encode())
        return cache_folder() / f"{module.rpartition('.')[2]}.{function.__name__}-{digest.hexdigest()[:32]}"


def _write(path: Path, content: bytes) -> None:
    """The file appears whole, or not at all."""
    number, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def _make(folder: Path) -> None:
    """Make the folder, and remove those beside it that are of no more use."""
    if folder.is_dir():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for other in folder.parent.glob("*-numba*-py*"):
        with suppress(OSError):
            if other.stat().st_mtime < time.time() - _UNUSED:
                shutil.rmtree(other, ignore_errors=True)


@cache
def _mark_as_used(folder: Path) -> None:
    """Once a process, and a day: the folder's time says when it was last used."""
    with suppress(OSError):
        if folder.stat().st_mtime < time.time() - _DAY:
            os.utime(folder)
