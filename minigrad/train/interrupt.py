"""Ctrl-C at a moment of our choosing."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

_MESSAGE = "\ninterrupted: finishing the step; press Ctrl-C again to end at once\n"


@contextmanager
def deferred_interrupt(request: Callable[[], None]) -> Iterator[None]:
    """A context in which the first Ctrl-C calls `request()`, and raises KeyboardInterrupt only at the context's end.

    The second one raises it at once. Outside the main thread, and where somebody else handles SIGINT, nothing is
    changed.
    """
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    interrupted = False

    def handle(*_: Any) -> None:
        nonlocal interrupted
        if interrupted:
            raise KeyboardInterrupt
        interrupted = True
        request()
        with suppress(OSError, ValueError):  # not print: a signal may come in the middle of one
            os.write(sys.stderr.fileno(), _MESSAGE.encode())

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if interrupted:
        raise KeyboardInterrupt
