"""Train a small residual network on MNIST, record it step by step, and report on what it learnt and how.

    python experiments/observe_mnist.py                                 # a narrow ResNet of depth 8
    python experiments/observe_mnist.py --train-images 8000 --epochs 2  # a first look
    python experiments/observe_mnist.py --depth 20 --plain              # deep, without the shortcuts
    python experiments/observe_mnist.py --lr 2                          # a rate that is too high
    python experiments/observe_mnist.py --resume                        # go on with a run that was stopped

Data are downloaded when first needed; without a network the part of MNIST that comes with minigrad is used. The report
lies in the folder named by --out: open its index.html. The record is in the folder's `run`, and page.html shows it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import minigrad as mg
import models
from common.classifier_report import judge
from common.image_sets import Loaders, load_parts, make_loaders
from common.observing import Observed, fit_observed, report_classifier
from common.options import DEFAULT, add_image_options, add_training_options, new_parser, parse, settings_of
from minigrad import nn
from minigrad.cli import clear_errors, output_folder, positive_int
from minigrad.data import load_mnist
from minigrad.optim import SGD
from minigrad.record import RecorderConfiguration


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = new_parser(__doc__)
    add = parser.add_argument
    add("--depth", type=positive_int, default=8, help=f"of the network: 6n + 2 {DEFAULT}")
    add(
        "--width",
        type=positive_int,
        default=16,
        metavar="N",
        help=f"channels of the first stage; the second has twice, the third four times as many {DEFAULT}",
    )
    add("--plain", action="store_true", help="leave out the shortcuts")
    add_image_options(parser)
    add_training_options(parser, epochs=3, batch_size=128, lr=0.2, out="runs/observed_mnist", record=False)
    return parse(parser, arguments)


def build_model(options: argparse.Namespace) -> nn.Module:
    """The network that the options name. Its stem halves the image: digits need no finer resolution."""
    widths = [options.width * factor for factor in (1, 2, 4)]
    return models.small_resnet(
        options.depth, 10, in_channels=1, residual=not options.plain, widths=widths, stem="strided"
    )


def observed(
    options: argparse.Namespace,
    model: nn.Module,
    optimizer: SGD,
    loaders: Loaders,
    out: Path,
    keep_best: str | None,
) -> Observed:
    """Train; returns what came of it, and what the record of it tells, as parts of the report.

    The one place that knows of recording.
    """
    configuration = RecorderConfiguration(full_every=25, agreement="epoch")
    return fit_observed(
        options, model, optimizer, loaders.train, loaders.watched, out, configuration, keep_best=keep_best
    )


def main(arguments: list[str] | None = None) -> int:
    """Train, evaluate, report; returns the exit code: 1 if training ended before its time."""
    options = parse_arguments(arguments)
    mg.manual_seed(options.seed)
    model = build_model(options).to(device=options.device)
    out = output_folder(options.out)
    parts = load_parts(options, load_mnist)
    # All of MNIST, or its part: a run goes on with the images it began with, or not at all
    options.images = len(parts.train)
    loaders = make_loaders(parts, "mnist", options)
    title = f"MNIST, {'plain' if options.plain else 'residual'} network of depth {options.depth}"
    print(f"{title}, {model.count_parameters():,} parameters\n{parts}", flush=True)

    optimizer = SGD(model.parameters(), lr=options.lr, momentum=0.9, weight_decay=5e-4, nesterov=True)
    found = observed(options, model, optimizer, loaders, out, parts.keep_best)
    if not found.fitted.history.steps["loss"]:
        print("nothing was learnt, so there is nothing to report", file=sys.stderr)
        return 1
    settings = settings_of(options) | {"data": parts.train.name}
    numbers = {"training_examples": len(parts.train)}
    judged = judge(model, loaders.test, parts.test)
    return report_classifier(out, title, model, found, judged, settings, numbers, parts.watched_name)


if __name__ == "__main__":
    with clear_errors(Path(sys.argv[0]).name):
        sys.exit(main())
