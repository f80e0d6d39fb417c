"""Train a multilayer perceptron on one of scikit-learn's small data sets and write a report of what it learnt.

    python experiments/train_tabular.py                                    # breast_cancer: malignant or benign
    python experiments/train_tabular.py --dataset wine --hidden 32 --epochs 100
    python experiments/train_tabular.py --dataset digits --hidden 128 64 --dropout 0.2
    python experiments/train_tabular.py --dataset diabetes --hidden 16     # a regression
    python experiments/train_tabular.py --resume                           # go on with a run that was stopped

The data come with scikit-learn: pip install -e ".[tabular]". They are divided at random into training, validation and
test data; the weights that are reported are those of the epoch with the lowest loss on the validation data. The report
lies in the folder named by --out: open its index.html.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

import minigrad as mg
import models
from common.classifier_report import judge, report
from common.fitting import fit
from common.options import (
    DEFAULT,
    add_training_options,
    fraction,
    from_zero,
    new_parser,
    parse,
    settings_of,
)
from common.regression_report import judge_regression, report_regression
from minigrad import data
from minigrad.cli import clear_errors, output_folder, positive_int
from minigrad.data import ArrayDataset, DataLoader, Normalize, random_split
from minigrad.nn import functional as F
from minigrad.optim import AdamW

LOADERS: dict[str, Callable[[], ArrayDataset]] = {
    "breast_cancer": data.load_breast_cancer,
    "diabetes": data.load_diabetes,
    "digits": data.load_digits,
    "iris": data.load_iris,
    "wine": data.load_wine,
}


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = new_parser(__doc__)
    add = parser.add_argument
    add("--dataset", choices=list(LOADERS), default="breast_cancer", help=f"what to learn {DEFAULT}")
    add(
        "--hidden",
        type=positive_int,
        nargs="*",
        default=[64, 32],
        metavar="N",
        help="lengths of the hidden layers; none for a linear model (default: 64 32)",
    )
    add(
        "--dropout",
        type=from_zero,
        default=0.0,
        metavar="P",
        help=f"probability of dropping a feature {DEFAULT}",
    )
    add("--weight-decay", type=from_zero, default=0.01, metavar="RATE", help=f"of AdamW {DEFAULT}")
    add_training_options(parser, epochs=60, batch_size=16, lr=0.01, out="runs/tabular")
    add(
        "--validate",
        type=fraction,
        default=0.2,
        metavar="FRACTION",
        help=f"part held out to choose the epoch {DEFAULT}",
    )
    add("--test", type=fraction, default=0.2, metavar="FRACTION", help=f"part held out for the end {DEFAULT}")
    add(
        "--patience",
        type=positive_int,
        metavar="N",
        help="end training after N epochs in a row that are not better",
    )
    options = parse(parser, arguments)
    if options.validate + options.test >= 1:
        parser.error("--validate and --test leave nothing to train on")
    return options


def divide(dataset: ArrayDataset, options: argparse.Namespace) -> list[ArrayDataset]:
    """Training, validation and test data, with the same share of every class in each."""
    shares = [1 - options.validate - options.test, options.validate, options.test]
    return random_split(dataset, shares, seed=options.seed, stratified=dataset.classes is not None)


def main(arguments: list[str] | None = None) -> int:
    """Train, evaluate, report; returns the exit code: 1 if training ended before its time."""
    options = parse_arguments(arguments)
    mg.manual_seed(options.seed)
    dataset = LOADERS[options.dataset]()
    parts = divide(dataset, options)
    regression = dataset.classes is None
    if regression:
        # Targets of the order of 1 keep gradients of that order, whatever the unit
        target_scale = Normalize.fit(parts[0].targets)
        parts = [ArrayDataset(part.inputs, target_scale(part.targets), name=part.name) for part in parts]
    train, validation, test = parts
    features = dataset.inputs[0].size
    outputs = 1 if regression else len(dataset.classes or ())
    model = models.MLP(features, outputs, options.hidden, dropout=options.dropout).to(device=options.device)
    out = output_folder(options.out)
    # What is learnt about the scale of the measurements is learnt from the training data, like everything else
    standardise = Normalize.fit(train.inputs)
    loader = DataLoader(
        train,
        options.batch_size,
        shuffle=True,
        seed=options.seed,
        transform=standardise,
        device=options.device,
    )
    validation_loader, test_loader = (
        DataLoader(part, 500, transform=standardise, device=options.device) for part in (validation, test)
    )
    title = f"{options.dataset}, MLP {' - '.join(map(str, [features, *options.hidden, outputs]))}"
    print(
        f"{title}, {model.count_parameters():,} parameters\n{dataset.name}: {len(train)} training, {len(validation)} "
        f"validation and {len(test)} test examples",
        flush=True,
    )

    optimizer = AdamW(model.parameters(), lr=options.lr, weight_decay=options.weight_decay)
    numbers = {"training_examples": len(train), "validation_examples": len(validation)}
    if regression:
        unit = np.ravel(target_scale.std).item()
        fitted = fit(
            options,
            model,
            optimizer,
            loader,
            validation_loader,
            out,
            loss=F.mse_loss,
            metrics={"absolute_error": lambda y, t: unit * (y - t).abs().mean().item()},
            keep_best="val_loss",
        )
        judged = judge_regression(model, test_loader, test, target_scale)
        return report_regression(out, title, model, fitted, judged, settings_of(options), numbers)
    fitted = fit(options, model, optimizer, loader, validation_loader, out, keep_best="val_loss")
    result = judge(model, test_loader, test)
    return report(out, title, model, fitted, result, settings_of(options), numbers, watched="validation")


if __name__ == "__main__":
    with clear_errors(Path(sys.argv[0]).name):
        sys.exit(main())
