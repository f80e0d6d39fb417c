"""The command line that the training scripts share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import minigrad as mg
from common.schedules import SCHEDULES
from minigrad.cli import positive_float, positive_int
from minigrad.train import RunFolder

DEFAULT = "(default: %(default)s)"
# Where things lie, how a run is looked at, and by how many it is computed, are no part of what it computes
NOT_SETTINGS = ("out", "data", "resume", "profile", "prompt", "temperature", "distributed")


def new_parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser whose help is a script's docstring: its first sentence, then, after the options, its examples."""
    description, _, examples = (doc or "").partition("\n\n")
    return argparse.ArgumentParser(
        description=description, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def add_training_options(
    parser: argparse.ArgumentParser, *, epochs: int, batch_size: int, lr: float, out: str, record: bool = True
) -> None:
    """Add the options that every training script has, with its defaults; `record`: whether there is --record."""
    add = parser.add_argument
    add(
        "--epochs",
        type=positive_int,
        default=epochs,
        metavar="N",
        help=f"passes over the training data {DEFAULT}",
    )
    add(
        "--batch-size",
        type=positive_int,
        default=batch_size,
        metavar="N",
        help=f"examples per step {DEFAULT}",
    )
    add(
        "--lr",
        type=positive_float,
        default=lr,
        metavar="RATE",
        help=f"highest learning rate of the schedule {DEFAULT}",
    )
    add(
        "--schedule",
        choices=list(SCHEDULES),
        default="onecycle",
        help="up and down; down along half a cosine; to a tenth after 1/2 and 3/4 of all steps; not at all "
        f"{DEFAULT}",
    )
    add("--device", default=None, help="where to compute (default: $MINIGRAD_DEVICE, or cpu)")
    add("--seed", type=int, default=0, help=f"of weights, order and augmentation, from 0 {DEFAULT}")
    add("--out", default=out, metavar="FOLDER", help=f"folder for the run and its report {DEFAULT}")
    add(
        "--resume",
        action="store_true",
        help="go on with the run in --out, with the settings it was made with",
    )
    add("--profile", action="store_true", help="afterwards print which operations took the time")
    if record:
        add(
            "--record",
            action="store_const",
            const=True,  # None else: no setting, in runs made without
            help="record every step: layers, units, weights; to be looked at with `python -m minigrad view OUT/run`",
        )


def add_image_options(
    parser: argparse.ArgumentParser, *, train_images: int | None = None, test_images: int | None = None
) -> None:
    """Add those of the scripts that train on images: which images, by default how many, and what for."""
    add = parser.add_argument
    add("--data", metavar="FOLDER", help="folder that holds the data set's files (default: download them)")
    add(
        "--train-images",
        type=positive_int,
        default=train_images,
        metavar="N",
        help=f"use only the first N training images {DEFAULT if train_images else '(default: all)'}",
    )
    add(
        "--test-images",
        type=positive_int,
        default=test_images,
        metavar="N",
        help=f"use only the first N test images {DEFAULT if test_images else '(default: all)'}",
    )
    add(
        "--validate",
        type=fraction,
        metavar="FRACTION",
        help="hold out this part of the training images, and report on the epoch that is best on them; the test images "
        "are then looked at only once, at the end",
    )
    add(
        "--patience",
        type=positive_int,
        metavar="N",
        help="with --validate: end training after N epochs in a row that are not better",
    )


def parse(parser: argparse.ArgumentParser, arguments: list[str] | None) -> argparse.Namespace:
    """The options; those of a run that is resumed are by default the ones it was made with."""
    options = parser.parse_args(arguments)
    if options.resume:
        parser.set_defaults(**RunFolder.open(Path(options.out) / "run").config)
        options = parser.parse_args(arguments)
    if options.patience is not None and options.validate is None:
        parser.error("--patience goes with --validate")
    options.device = mg.get_backend(options.device).name
    return options


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    """What decides how training goes: a run that is resumed must have the same."""
    chosen = {name: value for name, value in vars(options).items() if name not in NOT_SETTINGS}
    return {name: value for name, value in chosen.items() if value is not None}


def fraction(text: str) -> float:
    """An argparse type: a number between 0 and 1.

    >>> fraction("0.1")
    0.1
    """
    value = positive_float(text)
    if value >= 1:
        raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, not {text!r}")
    return value


def share(text: str) -> float:
    """An argparse type: a number from 0 up to, but not, 1.

    >>> share("0")
    0.0
    """
    value = from_zero(text)
    if value >= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 and below 1, not {text!r}")
    return value


def from_zero(text: str) -> float:
    """An argparse type: a finite number from 0.

    >>> from_zero("0")
    0.0
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number from 0, not {text!r}")
    return value
