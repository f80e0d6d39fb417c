"""Train a network on the clothes of Fashion-MNIST and write a report of what it learnt.

    python experiments/train_fashion.py                             # a residual network of depth 8
    python experiments/train_fashion.py --model simple_cnn --epochs 2 --lr 0.05   # a first look
    python experiments/train_fashion.py --model lenet5 --lr 0.02    # or mlp, resnet14, resnet20
    python experiments/train_fashion.py --validate 0.1 --patience 3 # choose the best epoch without the test set
    python experiments/train_fashion.py --resume                    # go on with a run that was stopped or killed

Data are downloaded when first needed (31 MB). The report lies in the folder named by --out: open its index.html. The
weights lie beside it; Ctrl-C ends training and reports on what was learnt until then.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import minigrad as mg
import models
from common.classifier_report import judge, report
from common.fitting import fit
from common.image_sets import load_parts, make_loaders
from common.options import DEFAULT, add_image_options, add_training_options, new_parser, parse, settings_of
from minigrad.cli import clear_errors, output_folder
from minigrad.data import load_fashion_mnist
from minigrad.optim import SGD

MODELS = ["mlp", "lenet5", "simple_cnn", "resnet8", "resnet14", "resnet20", "resnet32"]


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = new_parser(__doc__)
    parser.add_argument("--model", choices=MODELS, default="resnet8", help=f"the network {DEFAULT}")
    add_image_options(parser)
    add_training_options(parser, epochs=6, batch_size=64, lr=0.1, out="runs/fashion")
    return parse(parser, arguments)


def main(arguments: list[str] | None = None) -> int:
    """Train, evaluate, report; returns the exit code: 1 if training ended before its time."""
    options = parse_arguments(arguments)
    mg.manual_seed(options.seed)
    model = models.build(options.model, num_classes=10, in_channels=1, image_size=28).to(
        device=options.device
    )
    out = output_folder(options.out)
    parts = load_parts(options, load_fashion_mnist)
    loaders = make_loaders(parts, "fashion_mnist", options)
    title = f"Fashion-MNIST, {options.model}"
    print(f"{title}, {model.count_parameters():,} parameters\n{parts}", flush=True)

    optimizer = SGD(model.parameters(), lr=options.lr, momentum=0.9, weight_decay=5e-4, nesterov=True)
    fitted = fit(options, model, optimizer, loaders.train, loaders.watched, out, keep_best=parts.keep_best)
    judged = judge(model, loaders.test, parts.test)
    numbers = {"training_examples": len(parts.train)}
    settings = settings_of(options) | {"data": parts.train.name}
    return report(out, title, model, fitted, judged, settings, numbers, watched=parts.watched_name)


if __name__ == "__main__":
    with clear_errors(Path(sys.argv[0]).name):
        sys.exit(main())
