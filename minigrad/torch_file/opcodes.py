"""What each opcode of a pickle does to the machine, and running a pickle from its first opcode to its last.

Every file ends in a value or in a DataError, in bounded time and memory: reads stop at the end of the file, and the
number of opcodes, the depth and the size of what is built are limited. The opcodes are documented in Python's
`pickletools`.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable, Mapping
from typing import Any

from minigrad.errors import DataError
from minigrad.torch_file.machine import Builder, Machine, Opaque, Source, damaged, fill

# A model's weights take some 30 opcodes a tensor: this is enough for 30,000 tensors, and read in seconds.
MAX_OPCODES = 1_000_000
MAX_DEPTH = 100
MAX_VALUES = 10_000_000
MAX_INTEGER_BYTES = 1024  # Python prints no longer ones


def run_pickle(source: Source, builders: Mapping[str, Builder], persistent: Builder) -> Any:
    """The value that the pickle at the source's position describes; the source stands behind it then.

    Arguments as for `Machine`. Raises DataError if the pickle is damaged, too large, or was made to do harm.
    """
    machine = Machine(source, builders, persistent)
    try:
        for _ in range(MAX_OPCODES):
            code = source.read(1)
            if code == b".":
                value = machine.stack.pop()
                check_size(value)
                return value
            if code not in _ACTIONS:
                raise damaged(f"its pickle has the unknown opcode {code!r}")
            _ACTIONS[code](machine)
    except DataError:
        raise
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, struct.error) as error:
        raise damaged(f"its pickle makes no sense ({type(error).__name__})") from error
    raise damaged(f"its pickle has more than {MAX_OPCODES:,} opcodes")


def check_size(root: Any) -> None:
    """Refuse what an ordinary recursive function could not walk: cycles, great depth, few values repeated endlessly.

    Shared values are weighed once here, however often they would be met on such a walk.
    """
    # By id, how many values are in it and how deep it is; None for those we are inside of
    known: dict[int, tuple[int, int] | None] = {}
    waiting = [root]
    while waiting:
        value = waiting[-1]
        parts = [part for part in _parts(value) if isinstance(part, (list, tuple, dict))]
        if id(value) not in known:
            known[id(value)] = None
            if any(known.get(id(part), ()) is None for part in parts):
                raise damaged("it holds a container that contains itself")
            waiting += [part for part in parts if id(part) not in known]
            continue
        waiting.pop()
        if known[id(value)] is None:
            below = [found for part in parts if (found := known[id(part)])]
            count = len(_parts(value)) + sum(n for n, _ in below)
            depth = 1 + max((d for _, d in below), default=0)
            if depth > MAX_DEPTH:
                raise damaged(f"its values are nested more than {MAX_DEPTH} deep")
            if count > MAX_VALUES:
                raise damaged(f"it describes more than {MAX_VALUES:,} values")
            known[id(value)] = count, depth


def _parts(value: Any) -> Any:
    """The values in a container; keys are plain, see `fill`."""
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, (list, tuple)) else ()


# ------------------------------------------------ the table


def _integer(content: bytes) -> int:
    if len(content) > MAX_INTEGER_BYTES:
        raise damaged("its pickle has an integer beyond all reason")
    return int.from_bytes(content, "little", signed=True)


def _text_number(line: bytes) -> int:
    """INT and LONG: decimal, "01" and "00" being True and False, perhaps with Python 2's L behind."""
    return line == b"01" if line in (b"00", b"01") else int(line.rstrip(b"L"))


def _python2_text(content: bytes) -> str | bytes:
    """Python 2's strings were texts or bytes; what is not UTF-8 is no text."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content


def _quoted_text(line: bytes) -> str | bytes:
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise damaged("a text in its pickle has no quotes")
    return _python2_text(codecs.escape_decode(line[1:-1])[0])


def _pairs(items: list[Any]) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    fill(made, items)
    return made


def _sized(layout: str, make: Callable[[bytes], Any]) -> Callable[[Machine], None]:
    """An opcode that pushes a value made of bytes, which are preceded by their number."""
    return lambda m: m.push(make(m.source.read(m.source.number(layout))))


def _number(layout: str) -> Callable[[Machine], None]:
    return lambda m: m.push(m.source.number(layout))


def _forget_set(m: Machine) -> None:  # FROZENSET
    m.to_mark()
    m.push(Opaque("builtins.frozenset"))


def _call_with_keywords(m: Machine) -> None:  # NEWOBJ_EX: a builder of ours takes no keywords
    function, arguments, keywords = m.take(3)
    m.call(Opaque(function.name) if keywords and isinstance(function, Opaque) else function, arguments)


def _call_from_mark(m: Machine) -> None:  # OBJ
    function, *arguments = m.to_mark()
    m.call(function, arguments)


def _call_by_lines(m: Machine) -> None:  # INST
    arguments = m.to_mark()
    m.ask_for(m.source.line().decode(), m.source.line().decode())
    m.call(m.stack.pop(), arguments)


_ACTIONS: dict[bytes, Callable[[Machine], Any]] = {
    # constants and numbers
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"I": lambda m: m.push(_text_number(m.source.line())),
    b"L": lambda m: m.push(_text_number(m.source.line())),
    b"F": lambda m: m.push(float(m.source.line())),
    b"J": _number("<i"),
    b"K": _number("<B"),
    b"M": _number("<H"),
    b"G": _number(">d"),
    b"\x8a": _sized("<B", _integer),
    b"\x8b": _sized("<i", _integer),
    # texts and bytes
    b"X": _sized("<I", bytes.decode),
    b"\x8c": _sized("<B", bytes.decode),
    b"\x8d": _sized("<Q", bytes.decode),
    b"V": lambda m: m.push(m.source.line().decode("raw-unicode-escape")),
    b"S": lambda m: m.push(_quoted_text(m.source.line())),
    b"T": _sized("<i", _python2_text),
    b"U": _sized("<B", _python2_text),
    b"C": _sized("<B", bytes),
    b"B": _sized("<I", bytes),
    b"\x8e": _sized("<Q", bytes),
    b"\x96": _sized("<Q", bytes),
    # containers; a set would hash what the file puts into it
    b"]": lambda m: m.push([]),
    b"}": lambda m: m.push({}),
    b")": lambda m: m.push(()),
    b"\x8f": lambda m: m.push(Opaque("builtins.set")),
    b"l": lambda m: m.push(m.to_mark()),
    b"d": lambda m: m.push(_pairs(m.to_mark())),
    b"t": lambda m: m.push(tuple(m.to_mark())),
    b"\x85": lambda m: m.push(m.take(1)),
    b"\x86": lambda m: m.push(m.take(2)),
    b"\x87": lambda m: m.push(m.take(3)),
    b"\x91": _forget_set,
    b"a": lambda m: m.extend(list(m.take(1))),
    b"e": lambda m: m.extend(m.to_mark()),
    b"\x90": lambda m: m.extend(m.to_mark()),
    b"s": lambda m: m.set_items(list(m.take(2))),
    b"u": lambda m: m.set_items(m.to_mark()),
    # the stack and the memo
    b"(": Machine.mark,
    b"0": lambda m: m.stack.pop() if m.stack else m.to_mark(),
    b"1": Machine.to_mark,
    b"2": lambda m: m.push(m.stack[-1]),
    b"p": lambda m: m.remember(int(m.source.line())),
    b"q": lambda m: m.remember(m.source.number("<B")),
    b"r": lambda m: m.remember(m.source.number("<I")),
    b"\x94": lambda m: m.remember(len(m.memo)),
    b"g": lambda m: m.push(m.memo[int(m.source.line())]),
    b"h": lambda m: m.push(m.memo[m.source.number("<B")]),
    b"j": lambda m: m.push(m.memo[m.source.number("<I")]),
    # names, calls and outside references
    b"c": lambda m: m.ask_for(m.source.line().decode(), m.source.line().decode()),
    b"\x93": lambda m: m.ask_for(*m.take(2)),
    b"R": lambda m: m.call(*m.take(2)),
    b"\x81": lambda m: m.call(*m.take(2)),
    b"\x92": _call_with_keywords,
    b"o": _call_from_mark,
    b"i": _call_by_lines,
    b"b": Machine.build,
    b"P": lambda m: m.refer(m.source.line().decode()),
    b"Q": lambda m: m.refer(*m.take(1)),
    # the frame of the pickle
    b"\x80": Machine.check_protocol,
    b"\x95": lambda m: m.source.read(8),
}
