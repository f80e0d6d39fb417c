"""`python -m minigrad convert weights.pth out.safetensors`: PyTorch's checkpoint files as safetensors.

    python -m minigrad convert resnet18.pth resnet18.safetensors
    python -m minigrad convert checkpoint.pt --list                 # what is in it
    python -m minigrad convert checkpoint.pt ema.safetensors --key model_ema

PyTorch is not needed, and no code in the file is run. Exit code 0 when it is done, 2 when it is not; then nothing was
written.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from minigrad import serialization
from minigrad.cli import clear_errors
from minigrad.errors import DataError
from minigrad.torch_file.state import StateDict, find_state_dict

PROGRAM = "python -m minigrad convert"
_RESERVED = "__metadata__"  # safetensors keeps its own notes under this name


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, or ends the program with exit code 2 and one line on what is wrong."""
    options = _options(arguments)
    with clear_errors(PROGRAM):
        if not options.list:
            _check_target(options.weights, options.out, options.force)
        found = find_state_dict(options.weights, options.key)
        if options.list:
            for name, t in found.tensors.items():
                print(f"{t.dtype!s:<10}{list(t.shape)!s:<22}{_shown(name)}")
            print(f"{options.weights}: {_count(found)}")
        else:
            if _RESERVED in found.tensors:
                raise DataError(f"a tensor is called {_RESERVED}, a name that safetensors files reserve")
            serialization.save(found.tensors, options.out)
            print(f"{options.out}: {_count(found)}, {options.out.stat().st_size:,} bytes on disk")
        _tell_how(found)
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Write the tensors of a PyTorch checkpoint file as safetensors, "
        "without PyTorch and without running code in the file.",
    )
    parser.add_argument("weights", type=Path, help="a file written by torch.save, of any version since 0.4")
    parser.add_argument("out", type=Path, nargs="?", help="the safetensors file to write")
    parser.add_argument(
        "--key", help='where in the file the weights are; by default "state_dict", "model" and the like'
    )
    parser.add_argument("--list", action="store_true", help="show the tensors and write nothing")
    parser.add_argument("--force", action="store_true", help="write over a file that exists")
    options = parser.parse_args(arguments)
    if options.list and options.out:
        parser.error("--list writes nothing; leave out the second file")
    if not options.list and not options.out:
        parser.error("name the file to write, or ask for --list")
    return options


def _check_target(weights: Path, out: Path, force: bool) -> None:
    """Before anything is read: may the result be written there?"""
    if out.exists() and weights.exists() and out.samefile(weights):
        raise DataError(f"{out} is the file to be read; name another one to write")
    if out.is_dir():
        raise DataError(f"{out} is a folder; name a file in it")
    if out.exists() and not force:
        raise DataError(f"{out} exists; add --force to write over it")
    if not out.absolute().parent.is_dir():
        raise DataError(f"there is no folder {out.absolute().parent} to write {out.name} to")


def _count(found: StateDict) -> str:
    tensors = found.tensors.values()
    numbers, size = sum(t.array.size for t in tensors), sum(t.array.nbytes for t in tensors)
    return f"{len(tensors):,} tensors, {numbers:,} numbers, {size:,} bytes"


def _tell_how(found: StateDict) -> None:
    """What was decided on the way from the file to the tensors."""
    if found.key is not None:
        print(f"found under the key {_shown(found.key)}")
    if found.others:
        print(f"other tensors are under {', '.join(map(_shown, found.others))} (--key chooses)")
    if found.prefix:
        print(
            f"took the prefix {found.prefix!r} away from every name; a wrapper such as DataParallel had put it there"
        )
    for name, what in found.left_out.items():
        print(f"left out {_shown(name)}: {what}")


def _shown(name: str) -> str:
    """A name as it is, unless it could play tricks on the terminal."""
    return name if name.isprintable() else repr(name)
