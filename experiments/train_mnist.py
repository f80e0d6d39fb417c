"""Train a residual network on MNIST and write a report of what it learnt.

    python experiments/train_mnist.py                       # the main job: 99.3 % or better on the test set
    python experiments/train_mnist.py --epochs 1            # a first look
    python experiments/train_mnist.py --depth 20 --epochs 6 # a deeper network
    python experiments/train_mnist.py --model cnn --lr 0.05 --out runs/cnn

Data are downloaded when first needed. The report lies in the folder named by --out: open its index.html. The weights
lie beside it, kept after every epoch; Ctrl-C ends training and reports on what was learnt until then.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
import models
from minigrad import nn
from minigrad.cli import clear_errors, output_folder, positive_float, positive_int
from minigrad.data import ArrayDataset, Compose, DataLoader, Normalize, RandomShift, ToFloat, load_mnist
from minigrad.errors import NonFiniteError
from minigrad.optim import SGD
from minigrad.optim.lr_scheduler import OneCycleLR
from minigrad.train import Checkpoint, History, ProgressBar, Trainer
from minigrad.viz import (
    Section,
    confusion_matrix_figure,
    filter_grid,
    image_grid,
    training_curves,
    write_report,
)

MEAN, STD = 0.1307, 0.3081  # of the pixels of the training images, scaled to [0, 1]


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    description, _, examples = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    default = "(default: %(default)s)"
    kinds = ["resnet", "plain", "cnn"]
    add(
        "--model",
        choices=kinds,
        default="resnet",
        help=f"residual, its plain twin, or a simple CNN {default}",
    )
    add("--depth", type=positive_int, default=8, help=f"of resnet and plain: 6n + 2 {default}")
    add("--epochs", type=positive_int, default=4, help=f"passes over the training images {default}")
    add("--batch-size", type=positive_int, default=64, help=f"images per step {default}")
    add("--lr", type=positive_float, default=0.1, help=f"highest learning rate of the cycle {default}")
    add("--device", default=None, help="where to compute (default: $MINIGRAD_DEVICE, or cpu)")
    add("--seed", type=int, default=0, help=f"of weights, order and augmentation, from 0 {default}")
    add("--out", default="runs/mnist", help=f"folder for the report {default}")
    add("--data", metavar="FOLDER", help="folder that holds the MNIST files (default: download them)")
    add("--train-images", type=positive_int, metavar="N", help="use only the first N training images")
    add("--profile", action="store_true", help="afterwards print which operations took the time")
    return parser.parse_args(arguments)


def build_model(name: str, depth: int) -> nn.Module:
    """The network that --model and --depth name, for 28 x 28 grey images and 10 digits."""
    if name == "cnn":
        return models.simple_cnn(num_classes=10, in_channels=1)
    # Digits need less resolution than photographs: halving it in the first stage already buys twice the channels
    # of the usual network for small images, in half of its time.
    return models.small_resnet(
        depth,
        num_classes=10,
        in_channels=1,
        residual=name == "resnet",
        widths=(32, 64, 128),
        first_stride=2,
        stem_channels=16,
    )


def fit(trainer: Trainer, loader: DataLoader, epochs: int, test: DataLoader, weights: Path) -> str:
    """Train; returns why it ended before its time, or "". Model and file then hold the last good weights."""
    try:
        logs = trainer.fit(loader, epochs, validation=test)
        if all(map(math.isfinite, logs.values())):
            return ""
        problem = "the loss on the test images is not finite"
    except KeyboardInterrupt:
        mg.save(trainer.model.state_dict(), weights)
        return f"interrupted after {trainer.global_step} steps"
    except NonFiniteError as error:
        problem = str(error)
    trainer.model.load_state_dict(mg.load(weights))
    return f"{problem}. What follows is of the network before that, as the last whole epoch (or the start) left it"


def predict(model: nn.Module, loader: DataLoader) -> np.ndarray:
    """Probabilities of each class for every image of a loader, shape (n, 10)."""
    model.eval()
    with mg.no_grad():
        return np.concatenate([nn.functional.softmax(model(inputs), dim=1).numpy() for inputs, _ in loader])


def count_confusions(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """How often each true digit (row) was taken for each digit (column), shape (10, 10)."""
    confusion = np.zeros((10, 10), dtype=np.int64)
    np.add.at(confusion, (true, predicted), 1)
    return confusion


def report_sections(
    model: nn.Module, history: History, probabilities: np.ndarray, test: ArrayDataset, confusion: np.ndarray
) -> list[Section]:
    """The figures of the report, with a sentence on how to read each."""
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != test.targets)
    wrong = wrong[np.argsort(-probabilities[wrong, predicted[wrong]])][:32]
    titles = [
        f"{test.targets[i]} taken for {predicted[i]}\n{probabilities[i, predicted[i]]:.1%}" for i in wrong
    ]
    first_layer = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
    return [
        Section(
            "curves",
            "How it learnt",
            "Training loss is measured on shifted images while the weights change: it can lie above the test loss.",
            training_curves(history.steps["loss"], history.steps["lr"], history.epochs),
        ),
        Section(
            "confusion",
            "What it confuses",
            "Rows are true digits, columns predictions; the grey diagonal counts right answers, colour marks mistakes.",
            confusion_matrix_figure(confusion, test.classes or ()),
        ),
        Section(
            "mistakes",
            "Its most confident mistakes",
            "Test images in the order of the probability that was given to the wrong digit, highest first."
            if len(wrong)
            else "There are none: every test image was recognised.",
            image_grid(test.inputs[wrong, 0], titles) if len(wrong) else None,
        ),
        Section(
            "filters",
            "What the first layer looks for",
            "Each square is one filter: it answers where the image is bright under red weights, dark under blue.",
            filter_grid(first_layer.weight.numpy()),
        ),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Train, evaluate, report; returns the exit code: 1 if training ended before its time."""
    options = parse_arguments(arguments)
    backend = mg.get_backend(options.device)
    mg.manual_seed(options.seed)
    model = build_model(options.model, options.depth).to(device=backend)
    out = output_folder(options.out)
    train, test = (load_mnist(options.data, split) for split in ("train", "test"))
    if options.train_images is not None:
        train = train.subset(slice(options.train_images))
    plain = Compose([ToFloat(), Normalize(MEAN, STD)])
    augmented = Compose([RandomShift(2), plain])
    train_loader = DataLoader(
        train, options.batch_size, shuffle=True, seed=options.seed, transform=augmented, device=backend.name
    )
    test_loader = DataLoader(test, 500, transform=plain, device=backend.name)

    optimizer = SGD(model.parameters(), lr=options.lr, momentum=0.9, weight_decay=5e-4, nesterov=True)
    scheduler = OneCycleLR(
        optimizer, options.lr, epochs=options.epochs, steps_per_epoch=len(train_loader), cycle_momentum=False
    )
    history, weights = History(), out / "model.safetensors"
    callbacks = [history, ProgressBar(), Checkpoint(weights)]
    trainer = Trainer(model, optimizer, scheduler=scheduler, callbacks=callbacks)
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{options.model}, {parameters:,} parameters", flush=True)
    print(f"{train.name}: {len(train):,} training and {len(test):,} test images", flush=True)

    began = time.perf_counter()
    if options.profile:
        with mg.profile() as profiled:
            stopped = fit(trainer, train_loader, options.epochs, test_loader, weights)
        print(profiled.table())
    else:
        stopped = fit(trainer, train_loader, options.epochs, test_loader, weights)
    seconds = time.perf_counter() - began
    if stopped:
        print(f"stopped early: {stopped}", file=sys.stderr)
    if not history.steps["loss"]:
        print("nothing was learnt, so there is nothing to report", file=sys.stderr)
        return 1

    probabilities = predict(model, test_loader)
    confusion = count_confusions(test.targets, probabilities.argmax(axis=1))
    accuracy = float(np.trace(confusion) / confusion.sum())
    numbers = {
        "test_accuracy": accuracy,
        "mistakes": int(confusion.sum() - np.trace(confusion)),
        "test_images": len(test),
        "training_images": len(train),
        "training_seconds": seconds,
        "parameters": parameters,
        "stopped_early": stopped or "no",
        "confusion": confusion.tolist(),
    }
    settings: dict[str, Any] = {
        name: getattr(options, name) for name in ("model", "depth", "epochs", "batch_size", "lr", "seed")
    }
    if options.model == "cnn":
        del settings["depth"]
    settings |= {"device": backend.name, "data": train.name}
    summary = f"{accuracy:.2%} of {len(test):,} test images recognised, after {seconds:.0f} s of training."
    title = f"MNIST, {options.model}" + ("" if options.model == "cnn" else f" of depth {options.depth}")
    note = f" Stopped early: {stopped}." if stopped else ""
    sections = report_sections(model, history, probabilities, test, confusion)
    page = write_report(out, title, summary + note, numbers, settings, history.epochs, sections)
    print(f"{summary}\nreport: {page}")
    return 1 if stopped else 0


if __name__ == "__main__":
    with clear_errors(Path(sys.argv[0]).name):
        sys.exit(main())
