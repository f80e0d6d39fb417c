"""A machine for pickles that can build plain values and nothing else.

A pickle is a program for a small stack machine. This is that machine without its dangerous part: it imports no
module and calls no function of the file's choice. A name that the program asks for becomes an Opaque; calling one
becomes a look-up in a table of builders, ours, and otherwise another Opaque. Which opcode does what is said in
`opcodes`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import IO, Any

from minigrad.errors import DataError

MAX_LINE = 1 << 16
# An integer beyond this may share its hash with many others, and a dictionary with such keys takes forever to build.
MAX_KEY = 1 << 60

# Nothing here is imported or called, whatever the file asks for. But a file that asks for one of these was made to do
# harm where pickles are run, and whoever was given it should know.
_HOSTILE_MODULES = {
    *("os", "posix", "nt", "subprocess", "pty", "sys", "shutil", "socket", "ctypes", "importlib", "runpy"),
    *("webbrowser", "pickle", "marshal"),
}
_HOSTILE_NAMES = {"eval", "exec", "execfile", "compile", "__import__", "open", "input", "apply", "breakpoint"}
_BUILTINS = {"builtins", "__builtin__"}

Builder = Callable[..., Any]


def quoted(text: object) -> str:
    """A name out of a file for a message: short, on one line, without the control characters it may hold.

    >>> quoted("conv1.weight")
    "'conv1.weight'"
    """
    return f"{str(text)[:80]!r}"


class Opaque:
    """Stands where the file has something that is no number, text, container or readable tensor.

    name:      what it is: the dotted name of its class or function, or a description.
    is_tensor: whether it is a tensor, of a kind that minigrad does not have.
    """

    __slots__ = ("is_tensor", "name")

    def __init__(self, name: str, is_tensor: bool = False) -> None:
        self.name, self.is_tensor = name, is_tensor

    def __repr__(self) -> str:
        return f"<{quoted(self.name)[1:-1]}, not read>"


def damaged(why: str) -> DataError:
    """The error for a pickle that cannot have been written by PyTorch as it is."""
    return DataError(f"the file is damaged or no PyTorch checkpoint: {why}")


class Source:
    """The next `left` bytes of a file. To ask for more is an error, raised before any memory is taken."""

    def __init__(self, file: IO[bytes], left: int) -> None:
        self._file, self.left = file, left

    def read(self, n: int) -> bytes:
        """The next n bytes."""
        if not 0 <= n <= self.left:
            raise damaged(f"it announces {n:,} bytes where {self.left:,} are left")
        content = self._file.read(n)
        if len(content) != n:
            raise damaged("it ends too early")
        self.left -= n
        return content

    def line(self) -> bytes:
        """The bytes up to the next end of line, without it."""
        content = self._file.readline(min(self.left, MAX_LINE))
        if not content.endswith(b"\n"):
            raise damaged("a line of text in its pickle has no end")
        self.left -= len(content)
        return content[:-1]

    def number(self, layout: str) -> Any:
        """One number, in the `struct` module's notation."""
        return struct.unpack(layout, self.read(struct.calcsize(layout)))[0]


class Machine:
    """The state of one pickle's program, and the steps it is made of; `opcodes.run_pickle` takes them.

    builders:   {"module.name": function of ours}, which stand in for what the pickle wants to call. They get the
                arguments it has for them, and raise TypeError or DataError if these make no sense.
    persistent: makes a value of an outside reference (in PyTorch's files: the memory of a tensor).
    """

    def __init__(self, source: Source, builders: Mapping[str, Builder], persistent: Builder) -> None:
        self.source, self.builders, self.persistent = source, builders, persistent
        self.stack: list[Any] = []
        self.below: list[list[Any]] = []  # what lies under each mark
        self.memo: dict[int, Any] = {}

    def push(self, value: Any) -> None:
        """Put a value on the stack."""
        self.stack.append(value)

    def mark(self) -> None:
        """MARK: what is pushed from now on belongs together."""
        self.below.append(self.stack)
        self.stack = []

    def to_mark(self) -> list[Any]:
        """What was pushed since the last mark."""
        items, self.stack = self.stack, self.below.pop()
        return items

    def take(self, n: int) -> tuple[Any, ...]:
        """The last n values."""
        if len(self.stack) < n:
            raise damaged("its pickle takes more values than it has made")
        items = tuple(self.stack[-n:])
        del self.stack[-n:]
        return items

    def remember(self, index: int) -> None:
        """PUT and the like."""
        if not 0 <= index < MAX_KEY:
            raise damaged("its pickle numbers values beyond all reason")
        self.memo[index] = self.stack[-1]

    def extend(self, items: list[Any]) -> None:
        """APPEND, APPENDS and ADDITEMS: the items of an object that is not read are not kept either."""
        target = self.stack[-1]
        if type(target) is list:
            target += items
        elif not isinstance(target, Opaque):
            raise damaged(f"its pickle appends to a {type(target).__name__}")

    def set_items(self, items: list[Any]) -> None:
        """SETITEM and SETITEMS."""
        target = self.stack[-1]
        if type(target) is dict:
            fill(target, items)
        elif not isinstance(target, Opaque):
            raise damaged(f"its pickle sets items of a {type(target).__name__}")

    def ask_for(self, module: Any, name: Any) -> None:
        """GLOBAL and STACK_GLOBAL: a name instead of what it stands for."""
        if type(module) is not str or type(name) is not str:
            raise damaged("its pickle asks for something that is no name")
        first = name.partition(".")[0]
        if module.partition(".")[0] in _HOSTILE_MODULES or (module in _BUILTINS and first in _HOSTILE_NAMES):
            raise DataError(
                f"the file asks for {quoted(f'{module}.{name}')}, which no weights need: it was made to run commands "
                "where it is loaded carelessly. Nothing of it was run. Do not load it with anything else"
            )
        self.push(Opaque(f"{module}.{name}"))

    def call(self, function: Any, arguments: Any) -> None:
        """REDUCE, NEWOBJ and the like: our own builder of that name, or an Opaque; never the function itself."""
        if not isinstance(function, Opaque) or type(arguments) not in (tuple, list):
            raise damaged("its pickle calls something that is no function")
        builder = self.builders.get(function.name)
        self.push(Opaque(function.name) if builder is None else builder(*arguments))

    def build(self) -> None:
        """BUILD sets attributes: a dictionary's are not kept, nor are those of an object that is not read."""
        target, _ = self.take(2)
        if type(target) is not dict and not isinstance(target, Opaque):
            raise damaged(f"its pickle sets attributes of a {type(target).__name__}")
        self.push(target)

    def refer(self, reference: Any) -> None:
        """PERSID and BINPERSID."""
        self.push(self.persistent(reference))

    def check_protocol(self) -> None:
        """PROTO."""
        if (version := self.source.number("<B")) > 5:
            raise damaged(f"its pickle has protocol {version}; known are 0 to 5")


def fill(target: dict[Any, Any], items: list[Any]) -> None:
    """Set items given as key, value, key, value, ... A key that could be slow to look up is replaced by an Opaque."""
    if len(items) % 2:
        raise damaged("its pickle has a key without a value")
    for key, value in zip(items[::2], items[1::2]):
        plain = isinstance(key, (str, bytes, float, Opaque, type(None))) or (
            isinstance(key, int) and abs(key) < MAX_KEY
        )
        target[key if plain else Opaque(f"a key of type {type(key).__name__}")] = value
