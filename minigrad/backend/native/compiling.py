"""Compiling kernels: only when first called, kept on disk, announced.

A kernel is a function in Numba's subset of Python. `@kernel` compiles it to machine code that runs without Python's
lock, so that several threads can work on one call (see `team.py`), and keeps that code in files (see `kept_code.py`).
Compiling is announced once a process, on standard error; loading what was kept is silent.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numba
from numba.core import event

from minigrad.backend.native.kept_code import KeptCode

_OPTIONS: Any = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy", "no_cfunc_wrapper": True}

# Decorator: a part of kernels, called by them only. It is always made part of its caller: a loop becomes vectors only
# if what it calls is, and LLVM would leave the longer ones as calls.
inlined = numba.njit(forceinline=True, **_OPTIONS)


def kernel(function: Callable) -> Any:
    """Decorator: compile `function` when it is first called, for use from any thread.

    Multiplications and additions may be contracted into one rounding; nothing else is reordered, so a kernel's bits
    depend on the vector width of the processor only where it says so.
    """
    dispatcher = numba.njit(**_OPTIONS)(function)
    dispatcher._cache = KeptCode(function)
    return dispatcher


class _Announcer(event.Listener):
    """Says, once a process, that kernels are being compiled: the first step takes seconds longer than the next."""

    _told = False

    def on_start(self, event: Any) -> None:
        if not _Announcer._told and _ours(event):
            _Announcer._told = True
            _say("minigrad: compiling kernels for this processor; they are kept for the next time")

    def on_end(self, event: Any) -> None:
        pass


def _ours(compiling: Any) -> bool:
    return compiling.data["dispatcher"].py_func.__module__.startswith(__name__.rpartition(".")[0])


def _say(line: str) -> None:
    """A line on standard error; above a progress bar, where there is one."""
    if "tqdm" in sys.modules:
        sys.modules["tqdm"].tqdm.write(line, file=sys.stderr)
    else:
        print(line, file=sys.stderr)
    sys.stderr.flush()


event.register("numba:compile", _Announcer())
