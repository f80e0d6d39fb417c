"""`python -m minigrad view RUN`: the page of a recorded run, served or written as a file."""

from __future__ import annotations

import argparse
from pathlib import Path

from minigrad.cli import clear_errors
from minigrad.errors import ArgumentError
from minigrad.viz.page.export import export_page
from minigrad.viz.page.server import serve

PROGRAM = "python -m minigrad view"


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, or ends the program with exit code 2 and one line on what is wrong."""
    options = _options(arguments)
    with clear_errors(PROGRAM):
        if len(options.runs) > 2:
            raise ArgumentError(f"one run, or two beside one another, not {len(options.runs)}")
        if options.export is None:
            serve(options.runs, options.port, browser=not options.no_browser)
        else:
            size, left_out = export_page(options.runs, options.export)
            print(f"{options.export}: {size / 1e6:.1f} MB")
            for text in left_out:
                print(f"left out: {text}")
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Show a recorded run, or two over one another, in the browser: live while it trains. The page is "
        "served to this machine only.",
    )
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="a run's folder, or its record.sqlite; at most two"
    )
    parser.add_argument("--port", type=_port, default=0, help="default: any that is free")
    parser.add_argument("--no-browser", action="store_true", help="only print the page's address")
    parser.add_argument(
        "--export", type=Path, metavar="FILE.html", help="write the page as one file that needs no network"
    )
    return parser.parse_args(arguments)


def _port(text: str) -> int:
    port = int(text) if text.isdecimal() and text.isascii() else -1
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"a port is a whole number from 0 to 65535, not {text!r}")
    return port
