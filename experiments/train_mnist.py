"""Train a residual network on MNIST and write a report of what it learnt.

    python experiments/train_mnist.py                       # the main job: 99.3 % or better on the test set
    python experiments/train_mnist.py --epochs 1            # a first look
    python experiments/train_mnist.py --depth 20 --epochs 6 # a deeper network
    python experiments/train_mnist.py --model cnn --lr 0.05 --out runs/cnn

Data are downloaded when first needed. The report lies in the folder named by --out: open its index.html.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import models
import numpy as np

import minigrad as mg
from minigrad import nn
from minigrad.cli import clear_errors, output_folder, positive_float, positive_int
from minigrad.data import ArrayDataset, Compose, DataLoader, Normalize, RandomShift, ToFloat, load_mnist
from minigrad.errors import NonFiniteError
from minigrad.optim import SGD
from minigrad.optim.lr_scheduler import OneCycleLR
from minigrad.serialization import save
from minigrad.trace import profile
from minigrad.train import History, ProgressBar, Trainer
from minigrad.viz import Section, confusion_matrix_figure, filter_grid, image_grid, training_curves, write_report

MEAN, STD = 0.1307, 0.3081  # of the pixels of the training images, scaled to [0, 1]


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    description, _, examples = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(description=description, epilog=examples, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["resnet", "plain", "cnn"], default="resnet", help="residual, its plain twin, or a simple CNN (default: resnet)")
    parser.add_argument("--depth", type=positive_int, default=8, help="of resnet and plain: 6n + 2 (default: %(default)s)")
    parser.add_argument("--epochs", type=positive_int, default=4, help="passes over the training images (default: %(default)s)")
    parser.add_argument("--batch-size", type=positive_int, default=128, help="images per step (default: %(default)s)")
    parser.add_argument("--lr", type=positive_float, default=0.1, help="highest learning rate of the cycle (default: %(default)s)")
    parser.add_argument("--device", default=None, help="where to compute (default: $MINIGRAD_DEVICE, or cpu)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and augmentation (default: %(default)s)")
    parser.add_argument("--out", default="runs/mnist", help="folder for the report (default: %(default)s)")
    parser.add_argument("--data", default=None, metavar="FOLDER", help="folder that holds the MNIST files (default: download them)")
    parser.add_argument("--train-images", type=positive_int, default=None, metavar="N", help="use only the first N training images")
    parser.add_argument("--profile", action="store_true", help="afterwards print which operations took the time")
    return parser.parse_args(arguments)


def build_model(name: str, depth: int) -> nn.Module:
    """The network that --model and --depth name, for 28 x 28 grey images and 10 digits."""
    if name == "cnn":
        return models.simple_cnn(num_classes=10, in_channels=1)
    return models.small_resnet(depth, num_classes=10, in_channels=1, residual=name == "resnet")


def predict(model: nn.Module, loader: DataLoader) -> np.ndarray:
    """Probabilities of each class for every image of a loader, shape (n, 10)."""
    model.eval()
    with mg.no_grad():
        return np.concatenate([nn.functional.softmax(model(inputs), dim=1).numpy() for inputs, _ in loader])


def report_sections(model: nn.Module, history: History, probabilities: np.ndarray, test: ArrayDataset) -> tuple[list[Section], np.ndarray]:
    """The figures of the report with a sentence on how to read each, and the confusion matrix."""
    predicted, true = probabilities.argmax(axis=1), test.targets
    confusion = np.zeros((10, 10), dtype=np.int64)
    np.add.at(confusion, (true, predicted), 1)
    wrong = np.flatnonzero(predicted != true)
    wrong = wrong[np.argsort(-probabilities[wrong, predicted[wrong]])][:32]
    titles = [f"{true[i]} taken for {predicted[i]}\n{100 * probabilities[i, predicted[i]]:.1f} %" for i in wrong]
    first_layer = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
    return [
        Section("curves", "How it learnt", "Training loss is measured on shifted images while the weights change, so it can lie above the loss on the test images.", training_curves(history.steps["loss"], history.steps["lr"], history.epochs)),
        Section("confusion", "What it confuses", "Rows are true digits, columns predictions; colour marks mistakes.", confusion_matrix_figure(confusion, [str(d) for d in range(10)])),
        Section("mistakes", "Its most confident mistakes", "Test images by the probability given to the wrong digit, highest first.", image_grid(test.inputs[wrong, 0], titles)),
        Section("filters", "What the first layer looks for", "Each square is one 3 x 3 filter: red weights add brightness, blue ones subtract it.", filter_grid(first_layer.weight.numpy())),
    ], confusion  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Train, evaluate, report; returns the exit code."""
    options = parse_arguments(arguments)
    out = output_folder(options.out)
    mg.manual_seed(options.seed)
    model = build_model(options.model, options.depth).to(device=mg.get_backend(options.device))
    train, test = (load_mnist(options.data, split) for split in ("train", "test"))
    if options.train_images is not None:
        train = train.subset(slice(options.train_images))
    plain = Compose([ToFloat(), Normalize(MEAN, STD)])
    augmented = Compose([RandomShift(2), plain])
    train_loader = DataLoader(train, options.batch_size, shuffle=True, seed=options.seed, transform=augmented, device=options.device)
    test_loader = DataLoader(test, 500, transform=plain, device=options.device)

    optimizer = SGD(model.parameters(), lr=options.lr, momentum=0.9, weight_decay=5e-4, nesterov=True)
    scheduler = OneCycleLR(optimizer, options.lr, epochs=options.epochs, steps_per_epoch=len(train_loader), cycle_momentum=False)
    history = History()
    trainer = Trainer(model, optimizer, scheduler=scheduler, callbacks=[history, ProgressBar()])
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{options.model}, {parameters:,} parameters; {train.name}: {len(train):,} training and {len(test):,} test images", flush=True)

    began, stopped = time.perf_counter(), ""
    try:
        if options.profile:
            with profile() as profiled:
                trainer.fit(train_loader, options.epochs, validation=test_loader)
            print(profiled.table())
        else:
            trainer.fit(train_loader, options.epochs, validation=test_loader)
    except KeyboardInterrupt:
        stopped = "interrupted"
    except NonFiniteError as error:
        stopped = str(error)
    seconds = time.perf_counter() - began
    if not history.steps["loss"]:
        print(f"nothing was learnt, no report is written: {stopped}", file=sys.stderr)
        return 1

    save(model.state_dict(), out / "model.safetensors")
    probabilities = predict(model, test_loader)
    if not np.isfinite(probabilities).all():
        print(f"the network's outputs are not finite, no report is written: {stopped}", file=sys.stderr)
        return 1
    sections, confusion = report_sections(model, history, probabilities, test)
    accuracy = float(np.trace(confusion) / confusion.sum())
    numbers = {
        "test accuracy": accuracy,
        "mistakes": int(confusion.sum() - np.trace(confusion)),
        "test images": len(test),
        "training seconds": seconds,
        "parameters": parameters,
        "data": train.name,
        "stopped early": stopped or "no",
        **{name.replace("_", " "): value for name, value in vars(options).items() if name not in ("data", "profile") and value is not None},
        "device": str(mg.get_backend(options.device).name),
        "confusion": confusion.tolist(),
    }
    summary = f"{100 * accuracy:.2f} % of {len(test):,} test images recognised, after {seconds:.0f} s of training."
    title = f"MNIST, {options.model}" + ("" if options.model == "cnn" else f" of depth {options.depth}")
    page = write_report(out, title, f"{summary} {stopped}".strip(), numbers, history.epochs, sections)
    print(f"{summary}\nreport: {page}")
    if stopped:
        print(f"stopped early: {stopped}", file=sys.stderr)
    return 1 if stopped else 0


if __name__ == "__main__":
    with clear_errors(Path(sys.argv[0]).name):
        sys.exit(main())
