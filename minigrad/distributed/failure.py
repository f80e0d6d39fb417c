"""What happens to the others when one rank fails: they end too, at once, after its error has been shown."""

from __future__ import annotations

import atexit
import sys
import threading
import traceback
from typing import Any

from minigrad.communicator import Communicator


def end_together(communicator: Any) -> None:
    """From now on an exception that nobody catches, in any thread of this rank, ends the job.

    A rank that ends in another way (by `sys.exit`, or because its program is at its end) says so when it leaves.
    """

    def failed(kind: type[BaseException], error: BaseException | None, trace: Any) -> None:
        if not issubclass(kind, SystemExit):
            report(communicator, kind, error, trace)
            communicator.abort(130 if issubclass(kind, KeyboardInterrupt) else 1)

    def failed_in_thread(arguments: threading.ExceptHookArgs) -> None:
        failed(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)

    sys.excepthook, threading.excepthook = failed, failed_in_thread
    atexit.register(communicator.leave)


def report(
    communicator: Communicator, kind: type[BaseException], error: BaseException | None, trace: Any
) -> None:
    """Write an error to stderr in one piece, with the number of the rank."""
    text = "".join(traceback.format_exception(kind, error, trace))
    head = f"rank {communicator.rank} of {communicator.size} failed, which ends the job:\n"
    sys.stderr.write(head + text)
    sys.stderr.flush()
