"""`python -m minigrad export RUN --format csv --out FOLDER`: recorded runs for other programs.

    python -m minigrad export runs/a --format csv --out a-csv                  # one file for each table
    python -m minigrad export runs/a --format parquet --out a-parquet          # the same; needs pyarrow
    python -m minigrad export runs/a --format tensorboard --out a-events       # for tensorboard --logdir a-events

Exit code 0 when it is done, 2 when it is not.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from minigrad.cli import clear_errors, output_folder
from minigrad.errors import ArgumentError
from minigrad.record.export_tensorboard import export_tensorboard
from minigrad.record.reader import RunReader, open_run
from minigrad.record.tables import tables

PROGRAM = "python -m minigrad export"


def export_csv(run: RunReader, folder: str | os.PathLike[str]) -> list[Path]:
    """Write each of the run's tables (see `minigrad.record.tables`) as a CSV file in UTF-8, and return the paths.

    Tables without rows are left out. Raises ArgumentError if the folder cannot be written.
    """
    target, written = output_folder(folder), []
    for table in tables(run):
        path = target / f"{table.name}.csv"
        file = None
        try:
            for block in table.blocks:
                columns = [c.tolist() if hasattr(c, "tolist") else c for c in block.values()]
                if not columns or not columns[0]:
                    continue
                if file is None:
                    file = open(path, "w", newline="", encoding="utf-8")  # noqa: SIM115
                    csv.writer(file).writerow(block)
                csv.writer(file).writerows(zip(*columns))
        finally:
            if file is not None:
                file.close()
                written.append(path)
    return written


def export_parquet(run: RunReader, folder: str | os.PathLike[str]) -> list[Path]:
    """Write each of the run's tables (see `minigrad.record.tables`) as a Parquet file, and return the paths.

    Tables without rows are left out. Raises ArgumentError if pyarrow is not installed, or the folder cannot be
    written.
    """
    try:
        pyarrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise ArgumentError(
            "Parquet files need pyarrow, which is not installed: pip install pyarrow"
        ) from error
    target, written = output_folder(folder), []
    for table in tables(run):
        path = target / f"{table.name}.parquet"
        writer = None
        try:
            for block in table.blocks:
                part = pyarrow.table(block, schema=None if writer is None else writer.schema)
                if part.num_rows == 0:
                    continue
                if writer is None:
                    writer = parquet.ParquetWriter(str(path), part.schema)
                writer.write_table(part)
        finally:
            if writer is not None:
                writer.close()
                written.append(path)
    return written


FORMATS: dict[str, Callable[[RunReader, Path], list[Path]]] = {
    "csv": export_csv,
    "parquet": export_parquet,
    "tensorboard": export_tensorboard,
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns 0, or ends the program with exit code 2 and one line on what is wrong."""
    parser = argparse.ArgumentParser(prog=PROGRAM, description="Write a recorded run in another format.")
    parser.add_argument("run", type=Path, help="the run's folder, or its record.sqlite")
    parser.add_argument("--format", required=True, choices=list(FORMATS))
    parser.add_argument(
        "--out", required=True, type=Path, help="the folder to write to; it is made if need be"
    )
    options = parser.parse_args(arguments)
    with clear_errors(PROGRAM):
        for path in FORMATS[options.format](open_run(options.run), options.out):
            print(f"{path}: {path.stat().st_size:,} bytes")
    return 0
