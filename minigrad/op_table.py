"""The table of all operations, in Markdown: `python -m minigrad ops`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from minigrad.op import REGISTRY, Operation

COLUMNS = ("name", "formula", "gradient", "source", "dtypes")
DTYPES = {
    "promote": "operands of different dtypes meet in the smallest dtype that holds both",
    "float": "the same, and integers become float32",
    "same": "floating-point operands must have one dtype; integers are indices, bools masks",
    "move": "any dtype: elements are only moved",
}


def documentation_row(op: Operation) -> dict[str, str]:
    """What the table says about one operation, by column.

    >>> documentation_row(REGISTRY["mul"])["gradient"]
    'ga = gy b, gb = gy a'
    """
    return dict(
        zip(COLUMNS, (op.name, op.formula, op.gradient_formula or "none", op.source, op.dtypes), strict=True)
    )


def documentation_table(operations: Iterable[Operation] | None = None) -> str:
    """A Markdown table with a row for each operation (all of the registry by default), and a key to its last column."""
    chosen = sorted(REGISTRY.values() if operations is None else operations, key=lambda op: op.name)
    rows = [COLUMNS, tuple("---" for _ in COLUMNS), *(documentation_row(op).values() for op in chosen)]
    lines = [
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows
    ]
    legend = [f"- `{name}`: {meaning}." for name, meaning in DTYPES.items()]
    return "\n".join([*lines, "", *legend])


def main(arguments: list[str] | None = None) -> int:
    """Print the table, or the rows of the operations named; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m minigrad ops", description="Print the table of operations, in Markdown."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="show these operations only")
    names = parser.parse_args(arguments).names
    if unknown := [name for name in names if name not in REGISTRY]:
        parser.error(
            f"no operation is named {', '.join(unknown)}; without names, the table lists all {len(REGISTRY)}"
        )
    print(documentation_table([REGISTRY[name] for name in names] or None))
    return 0
