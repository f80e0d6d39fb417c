"""Train a residual network on MNIST and write a report of what it learnt.

    python experiments/train_mnist.py                       # the main job: 99.3 % or better on the test set
    python experiments/train_mnist.py --epochs 1            # a first look
    python experiments/train_mnist.py --depth 20 --epochs 6 # a deeper network
    python experiments/train_mnist.py --model cnn --lr 0.05 --out runs/cnn
    python experiments/train_mnist.py --validate 0.1        # choose the best epoch without looking at the test set
    python experiments/train_mnist.py --resume              # go on with a run that was interrupted or killed

Data are downloaded when first needed. The report lies in the folder named by --out: open its index.html. The weights
lie beside it, kept after every epoch. Ctrl-C ends training and reports on what was learnt until then. All that is
needed to go on, bit for bit, is in the folder's `run`, the run before it in `run/before`.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
import models
from minigrad import nn
from minigrad.cli import clear_errors, output_folder, positive_float, positive_int
from minigrad.data import (
    ArrayDataset,
    Compose,
    DataLoader,
    Normalize,
    RandomShift,
    ToFloat,
    load_mnist,
    random_split,
)
from minigrad.errors import NonFiniteError
from minigrad.optim import SGD, Optimizer
from minigrad.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, MultiStepLR, OneCycleLR
from minigrad.train import (
    Callback,
    Checkpoint,
    EarlyStopping,
    History,
    ProgressBar,
    RunCheckpoint,
    RunFolder,
    RunLog,
    Trainer,
)
from minigrad.viz import (
    Section,
    confusion_matrix_figure,
    filter_grid,
    image_grid,
    training_curves,
    write_report,
)

MEAN, STD = 0.1307, 0.3081  # of the pixels of the training images, scaled to [0, 1]
# What decides how training goes: a run that is resumed must have the same
SETTINGS = (
    *("model", "depth", "epochs", "batch_size", "lr", "schedule"),
    *("seed", "train_images", "validate", "device"),
)


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
    add("--lr", type=positive_float, default=0.1, help=f"highest learning rate {default}")
    add(
        "--schedule",
        choices=["onecycle", "cosine", "step", "constant"],
        default="onecycle",
        help=f"up and down; down along half a cosine; to a tenth after 1/2 and 3/4 of all steps; not at all {default}",
    )
    add("--device", default=None, help="where to compute (default: $MINIGRAD_DEVICE, or cpu)")
    add("--seed", type=int, default=0, help=f"of weights, order and augmentation, from 0 {default}")
    add("--out", default="runs/mnist", help=f"folder for the report {default}")
    add("--data", metavar="FOLDER", help="folder that holds the MNIST files (default: download them)")
    add("--train-images", type=positive_int, metavar="N", help="use only the first N training images")
    add(
        "--validate",
        type=fraction,
        metavar="FRACTION",
        help="hold out this part of the training images, and report on the epoch that is best on them",
    )
    add(
        "--resume",
        action="store_true",
        help="go on with the run in --out, with the settings it was made with",
    )
    add("--profile", action="store_true", help="afterwards print which operations took the time")
    options = parser.parse_args(arguments)
    if options.resume:
        parser.set_defaults(**RunFolder.open(Path(options.out) / "run").config)
        options = parser.parse_args(arguments)
    return options


def fraction(text: str) -> float:
    """An argparse type: a number between 0 and 1."""
    value = positive_float(text)
    if value >= 1:
        raise argparse.ArgumentTypeError(f"expected a number between 0 and 1, not {text!r}")
    return value


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


def make_scheduler(name: str, optimizer: Optimizer, lr: float, steps: int) -> LRScheduler | None:
    """The schedule that --schedule names, over all steps of training."""
    if name == "onecycle":
        return OneCycleLR(optimizer, lr, total_steps=steps, cycle_momentum=False)
    if name == "cosine":
        return CosineAnnealingLR(optimizer, T_max=steps)
    return MultiStepLR(optimizer, [steps // 2, 3 * steps // 4]) if name == "step" else None


def fit(
    trainer: Trainer,
    loader: DataLoader,
    epochs: int,
    held_out: DataLoader,
    weights: Path,
    state: Mapping[str, Any] | None,
) -> str:
    """Train, from a saved state if there is one; returns why it ended before its time, or "".

    Model and file then hold the last good weights; with an EarlyStopping, which puts them there, the best.
    """
    picker = next((c for c in trainer.callbacks if isinstance(c, EarlyStopping)), None)
    try:
        logs = trainer.fit(loader, epochs, validation=held_out, resume=state)
        images = "held-out" if picker else "test"
        problem = (
            "" if all(map(math.isfinite, logs.values())) else f"the loss on the {images} images is not finite"
        )
    except KeyboardInterrupt:
        mg.save(trainer.model.state_dict(), weights)
        return f"interrupted after {trainer.global_step} steps"
    except NonFiniteError as error:
        problem = str(error)
    best = picker.best_epoch if picker else None
    if problem and best is None:
        trainer.model.load_state_dict(mg.load(weights))
    mg.save(trainer.model.state_dict(), weights)
    if not problem:
        return ""
    which = f"epoch {best}" if best else "the last whole epoch (or the start)"
    return f"{problem}. What follows is of the network before that, as {which} left it"


def seconds_before(state: Mapping[str, Any] | None) -> float:
    """How long training had taken up to a saved state."""
    if state is None:
        return 0.0
    epochs = state["callbacks"]["History"]["epochs"]
    return sum(epoch["seconds"] for epoch in epochs) + state["trainer"]["seconds"]


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
    model: nn.Module,
    history: History,
    probabilities: np.ndarray,
    test: ArrayDataset,
    confusion: np.ndarray,
    held_out: str = "test",
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
            training_curves(history.steps["loss"], history.steps["lr"], history.epochs, held_out),
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
    config = {name: getattr(options, name) for name in SETTINGS} | {"device": backend.name}
    if options.resume:
        RunFolder.open(Path(options.out) / "run").require_config(config)
    out = output_folder(options.out)
    train, test = (load_mnist(options.data, split) for split in ("train", "test"))
    if options.train_images is not None:
        train = train.subset(slice(options.train_images))
    held_out = test
    if options.validate is not None:
        train, held_out = random_split(train, [1 - options.validate, options.validate], seed=options.seed)
    plain = Compose([ToFloat(), Normalize(MEAN, STD)])
    augmented = Compose([RandomShift(2), plain])
    train_loader = DataLoader(
        train, options.batch_size, shuffle=True, seed=options.seed, transform=augmented, device=backend.name
    )
    test_loader, held_out_loader = (
        DataLoader(part, 500, transform=plain, device=backend.name) for part in (test, held_out)
    )

    optimizer = SGD(model.parameters(), lr=options.lr, momentum=0.9, weight_decay=5e-4, nesterov=True)
    scheduler = make_scheduler(options.schedule, optimizer, options.lr, options.epochs * len(train_loader))
    run = (RunFolder.resume if options.resume else partial(RunFolder.create, config=config))(out / "run")
    state = run.load() if options.resume else None
    history, weights = History(), out / "model.safetensors"
    callbacks: list[Callback] = [history, ProgressBar(), Checkpoint(weights)]
    callbacks += [RunLog(run, every=20), RunCheckpoint(run, every=200)]
    if options.validate is not None:
        callbacks.append(EarlyStopping("val_accuracy", patience=None))
    trainer = Trainer(model, optimizer, scheduler=scheduler, callbacks=callbacks)
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{options.model}, {parameters:,} parameters", flush=True)
    print(f"{train.name}: {len(train):,} training and {len(test):,} test images", flush=True)

    began = time.perf_counter()
    if options.profile:
        with mg.profile() as profiled:
            stopped = fit(trainer, train_loader, options.epochs, held_out_loader, weights, state)
        print(profiled.table())
    else:
        stopped = fit(trainer, train_loader, options.epochs, held_out_loader, weights, state)
    seconds = time.perf_counter() - began + seconds_before(state)
    if stopped:
        print(f"stopped early: {stopped}", file=sys.stderr)
        if stopped.startswith("interrupted"):
            print("to go on, give the same command with --resume", file=sys.stderr)
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
        name: value for name, value in config.items() if value is not None and name != "train_images"
    }
    if options.model == "cnn":
        del settings["depth"]
    if options.validate is not None:
        numbers["best_epoch"] = trainer.callback(EarlyStopping).best_epoch
    settings["data"] = train.name
    summary = f"{accuracy:.2%} of {len(test):,} test images recognised, after {seconds:.0f} s of training."
    title = f"MNIST, {options.model}" + ("" if options.model == "cnn" else f" of depth {options.depth}")
    note = f" Stopped early: {stopped}." if stopped else ""
    measured = "test" if options.validate is None else "held-out"
    sections = report_sections(model, history, probabilities, test, confusion, measured)
    page = write_report(out, title, summary + note, numbers, settings, history.epochs, sections)
    print(f"{summary}\nreport: {page}")
    return 1 if stopped else 0


if __name__ == "__main__":
    with clear_errors(Path(sys.argv[0]).name):
        sys.exit(main())
