"""The command line: `python -m minigrad COMMAND`."""

from __future__ import annotations

import sys
from difflib import get_close_matches
from importlib import import_module

# Name: the module whose main(arguments) runs it, and what it does. A new command is one line here.
COMMANDS = {
    "convert": ("minigrad.convert", "write a PyTorch checkpoint's weights as safetensors"),
    "doctor": ("minigrad.doctor", "show versions, devices and data, and how to add what is missing"),
    "export": ("minigrad.record.export", "write a recorded run as CSV, Parquet or TensorBoard files"),
    "ops": ("minigrad.op_table", "print the table of operations, in Markdown"),
    "view": ("minigrad.viz.page.command", "show a recorded run, or two, in the browser"),
}


def _help() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:{width}}  {summary}" for name, (_, summary) in COMMANDS.items())
    return (
        f"usage: python -m minigrad COMMAND ...\n\ncommands:\n{commands}\n\n"
        "python -m minigrad COMMAND --help tells more."
    )


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 something is wrong, 2 not understood."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in ("-h", "--help", "help"):
        print(_help())
        return 0
    if name not in COMMANDS:
        close = get_close_matches(name, COMMANDS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        print(f"python -m minigrad: unknown command {name!r}.{hint}\n\n{_help()}", file=sys.stderr)
        return 2
    return import_module(COMMANDS[name][0]).main(rest)


if __name__ == "__main__":
    sys.exit(main())
