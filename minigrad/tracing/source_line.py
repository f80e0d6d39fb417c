"""Which line of the user's code called an operation."""

from __future__ import annotations

import linecache
import os
import sys
from types import FrameType
from typing import NamedTuple

_OWN = (
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
)  # minigrad's own files are not the user's
_NOT_THE_USERS = (_OWN, os.path.dirname(os.path.abspath(os.__file__)) + os.sep + "contextlib.py", "<frozen")

_is_own: dict[str, bool] = {}  # by file


class SourceLine(NamedTuple):
    """A line of code: its file, its number from 1, and the function it stands in."""

    file: str
    line: int
    function: str

    @property
    def text(self) -> str:
        """The line itself; "" if the file cannot be read (an interpreter's input, say)."""
        return linecache.getline(self.file, self.line).strip()

    @property
    def short(self) -> str:
        """The file as seen from the folder we are in, if it lies below it."""
        inside = self.file.startswith(os.getcwd() + os.sep)
        return os.path.relpath(self.file) if inside else self.file

    def __str__(self) -> str:
        return f"{self.short}:{self.line} in {self.function}"


def users_line() -> SourceLine | None:
    """The innermost line on the stack that is not minigrad's own; None if there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        own = _is_own.get(file)
        if own is None:
            own = _is_own[file] = file.startswith(_NOT_THE_USERS)
        if not own:
            return SourceLine(file, frame.f_lineno, frame.f_code.co_qualname)
        frame = frame.f_back
    return None
