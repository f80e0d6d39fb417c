"""Compiling kernels: only when first called, kept on disk, announced.

A kernel is a function in Numba's subset of Python. `@kernel` compiles it to machine code that runs without Python's
lock, so that several threads can work on one call (see `team.py`), and keeps that code in a folder for these sources,
this Numba and this Python, under `MINIGRAD_CACHE_DIR` or else `~/.cache/minigrad`; Numba itself tells processors
apart. Where nothing can be written, each process compiles for itself, and says so once.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import event
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator

from minigrad.errors import KernelCacheWarning

_HERE = Path(__file__).parent


def _source_hash() -> str:
    """One hash over all sources of kernels: they inline one another, so a change in one concerns all."""
    digest = hashlib.sha256()
    for path in sorted(_HERE.rglob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


_SOURCES = _source_hash()


def cache_folder() -> Path:
    """Where machine code is kept, for these sources, this Numba and this Python."""
    root = os.environ.get("MINIGRAD_CACHE_DIR") or Path.home() / ".cache" / "minigrad"
    python = f"py{sys.version_info[0]}{sys.version_info[1]}"
    return Path(root) / "kernels" / f"{_SOURCES}-numba{numba.__version__}-{python}"


class _Locator(_CacheLocator):
    """Tells Numba where to keep a function's code, and when it is out of date."""

    def __init__(self, py_func: Callable) -> None:
        self._module = py_func.__module__.rpartition(".")[2]

    @classmethod
    def from_function(cls, py_func: Callable, py_file: str) -> _Locator:
        return cls(py_func)

    def ensure_cache_path(self) -> None:
        folder = self.get_cache_path()
        os.makedirs(folder, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()  # a folder may be there and refuse to be written to

    def get_cache_path(self) -> str:
        return str(cache_folder())

    def get_source_stamp(self) -> str:
        return _SOURCES

    def get_disambiguator(self) -> str:
        return self._module


class _CacheImpl(CompileResultCacheImpl):
    _locator_classes = [_Locator]


class _KernelCache(FunctionCache):
    """Numba's cache in our folder; one that cannot be read or written costs time, never a result."""

    _impl_class = _CacheImpl
    _told = False

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # damaged, or written by a process that was killed: compiled anew, and written over
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        try:
            super().save_overload(sig, data)
        except OSError as error:
            if not _KernelCache._told:
                _KernelCache._told = True
                warnings.warn(
                    f"compiled kernels cannot be kept in {self.cache_path} ({error}): every process compiles them "
                    "anew. MINIGRAD_CACHE_DIR names another folder",
                    KernelCacheWarning,
                    stacklevel=2,
                )


def kernel(function: Callable) -> Any:
    """Decorator: compile `function` when it is first called, for use from any thread.

    Multiplications and additions may be contracted into one rounding; nothing else is reordered, so a kernel's bits
    depend on the vector width of the processor only where it says so.
    """
    dispatcher = numba.njit(nogil=True, fastmath={"contract"}, error_model="numpy")(function)
    dispatcher._cache = _KernelCache(dispatcher.py_func)
    dispatcher._can_compile = True
    return dispatcher


inlined = numba.njit(inline="never", fastmath={"contract"}, error_model="numpy", nogil=True)


class _Announcer(event.Listener):
    """Says, once a process, that kernels are being compiled: the first step takes seconds longer than the next."""

    _told = False

    def on_start(self, event: Any) -> None:
        if not _Announcer._told and _ours(event):
            _Announcer._told = True
            print(
                "minigrad: compiling kernels for this processor; they are kept for the next time",
                file=sys.stderr,
                flush=True,
            )

    def on_end(self, event: Any) -> None:
        pass


def _ours(compiling: Any) -> bool:
    return compiling.data["dispatcher"].py_func.__module__.startswith(__name__.rpartition(".")[0])


event.register("numba:compile", _Announcer())
