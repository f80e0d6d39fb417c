"""Train a small perceptron on one of scikit-learn's small data sets, record it, and report on what it learnt and how.

    python experiments/observe_tabular.py                                  # breast_cancer: malignant or benign
    python experiments/observe_tabular.py --dataset digits --hidden 64 32
    python experiments/observe_tabular.py --hidden 32 32 32 --activation sigmoid   # gradients that shrink
    python experiments/observe_tabular.py --lr 0.3                         # units that fall silent
    python experiments/observe_tabular.py --resume                         # go on with a run that was stopped

The data come with scikit-learn: pip install -e ".[tabular]". They are divided at random into training, validation and
test data; the weights that are reported are those of the epoch with the lowest loss on the validation data. The report
lies in the folder named by --out: open its index.html.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import minigrad as mg
import models
from common.classifier_report import judge
from common.observing import Observed, fit_observed, report_classifier
from common.options import DEFAULT, add_training_options, fraction, new_parser, parse, settings_of
from minigrad import data, nn
from minigrad.cli import clear_errors, output_folder, positive_int
from minigrad.data import ArrayDataset, DataLoader, Normalize, random_split
from minigrad.optim import SGD
from minigrad.record import RecorderConfiguration
from models.mlp import ACTIVATIONS

LOADERS = {
    "breast_cancer": data.load_breast_cancer,
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
        nargs="+",
        default=[32, 16],
        metavar="N",
        help="lengths of the hidden layers (default: 32 16)",
    )
    add("--activation", choices=sorted(ACTIVATIONS), default="relu", help=f"of the hidden layers {DEFAULT}")
    add_training_options(parser, epochs=20, batch_size=16, lr=0.02, out="runs/observed_tabular", record=False)
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
    return random_split(dataset, shares, seed=options.seed, stratified=True)


def observed(
    options: argparse.Namespace,
    model: nn.Module,
    optimizer: SGD,
    train: DataLoader,
    validation: DataLoader,
    out: Path,
) -> Observed:
    """Train; returns what came of it, and what the record of it tells, as parts of the report.

    The one place that knows of recording.
    """
    # The network is small: each unit's influence at each step, and the truth about all of them after each epoch
    configuration = RecorderConfiguration(
        units_every=1, full_every=5, look=4096, agreement="epoch", agreement_units=256
    )
    return fit_observed(
        options, model, optimizer, train, validation, out, configuration, keep_best="val_loss"
    )


def main(arguments: list[str] | None = None) -> int:
    """Train, evaluate, report; returns the exit code: 1 if training ended before its time."""
    options = parse_arguments(arguments)
    mg.manual_seed(options.seed)
    dataset = LOADERS[options.dataset]()
    train, validation, test = divide(dataset, options)
    features, classes = dataset.inputs[0].size, len(dataset.classes or ())
    model = models.MLP(features, classes, options.hidden, options.activation).to(device=options.device)
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
    title = f"{options.dataset}, MLP {' - '.join(map(str, [features, *options.hidden, classes]))}"
    print(
        f"{title}, {model.count_parameters():,} parameters\n{dataset.name}: {len(train)} training, {len(validation)} "
        f"validation and {len(test)} test examples",
        flush=True,
    )
    optimizer = SGD(model.parameters(), lr=options.lr, momentum=0.9)
    found = observed(options, model, optimizer, loader, validation_loader, out)
    if not found.fitted.history.steps["loss"]:
        print("nothing was learnt, so there is nothing to report", file=sys.stderr)
        return 1
    numbers = {"training_examples": len(train), "validation_examples": len(validation)}
    judged = judge(model, test_loader, test)
    return report_classifier(out, title, model, found, judged, settings_of(options), numbers, "validation")


if __name__ == "__main__":
    with clear_errors(Path(sys.argv[0]).name):
        sys.exit(main())
