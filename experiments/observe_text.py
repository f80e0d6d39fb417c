"""Train a small transformer to write a text character by character, record it, and report on what it learnt and how.

    python experiments/observe_text.py                                   # minigrad's own documentation, a minute or two
    python experiments/observe_text.py --text poems.txt --prompt "Shall I "
    python experiments/observe_text.py --layers 2 --width 32 --epochs 3  # a first look
    python experiments/observe_text.py --activation relu                 # units that can fall silent
    python experiments/observe_text.py --resume                          # go on with a run that was stopped

The end of the text is held out, to measure on after each epoch; the weights that are reported are those of the epoch
with the lowest loss on it. An epoch has as many windows as fit into the text side by side, but at places drawn at
random. The report lies in the folder named by --out: open its index.html. All that is needed to go on, bit for bit, is
in the folder's `run`.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
import models
from common.fitting import Fitted
from common.observing import Observed, fit_observed
from common.options import (
    DEFAULT,
    add_training_options,
    fraction,
    from_zero,
    new_parser,
    parse,
    settings_of,
)
from minigrad.cli import clear_errors, output_folder, positive_int
from minigrad.data import DataLoader, RandomSampler, TextCorpus, load_text
from minigrad.errors import ArgumentError
from minigrad.nn import functional as F
from minigrad.optim import AdamW
from minigrad.record import RecorderConfiguration
from minigrad.tensor import Tensor
from minigrad.viz import Section, training_curves, write_report

SAMPLE = 600  # characters written for the report
PROBE = 32  # windows of held-out text on which units are removed to see what they are worth


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = new_parser(__doc__)
    add = parser.add_argument
    add("--text", metavar="FILE", help="what to learn, in UTF-8 (default: minigrad's docstrings)")
    add(
        "--context",
        type=positive_int,
        default=64,
        metavar="N",
        help=f"characters that it sees before the one it predicts, at most {DEFAULT}",
    )
    add("--layers", type=positive_int, default=3, metavar="N", help=f"transformer blocks {DEFAULT}")
    add("--heads", type=positive_int, default=4, metavar="N", help=f"attentions in each {DEFAULT}")
    add(
        "--width",
        type=positive_int,
        default=64,
        metavar="N",
        help=f"length of the vector at each position {DEFAULT}",
    )
    add("--activation", choices=("gelu", "relu"), default="gelu", help=f"of the perceptrons {DEFAULT}")
    add(
        "--dropout",
        type=from_zero,
        default=0.0,
        metavar="P",
        help=f"probability of dropping a feature {DEFAULT}",
    )
    add("--weight-decay", type=from_zero, default=0.01, metavar="RATE", help=f"of AdamW {DEFAULT}")
    add_training_options(parser, epochs=4, batch_size=32, lr=0.008, out="runs/text", record=False)
    add(
        "--validate",
        type=fraction,
        default=0.1,
        metavar="FRACTION",
        help=f"part of the text held out, from its end {DEFAULT}",
    )
    add(
        "--patience",
        type=positive_int,
        metavar="N",
        help="end training after N epochs in a row that are not better",
    )
    add("--prompt", default="The ", metavar="TEXT", help=f"what it is to go on writing from {DEFAULT}")
    add(
        "--temperature",
        type=from_zero,
        default=0.7,
        metavar="T",
        help=f"of what it writes: 0 always takes the likeliest character, 1 draws as it expects {DEFAULT}",
    )
    return parse(parser, arguments)


def loss_of(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy per character, in nats: logits (B, T, V), targets (B, T)."""
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def accuracy_of(logits: Tensor, targets: Tensor) -> float:
    """Share of the characters that were the likeliest."""
    return float((logits.numpy().argmax(axis=-1) == targets.numpy()).mean())


def loss_of_frequencies(corpus: TextCorpus) -> float:
    """Cross entropy per held-out character of always expecting each as often as the training text has it, in nats."""
    vocabulary = corpus.vocabulary
    counts = np.bincount(vocabulary.encode(corpus.train), minlength=len(vocabulary)) + 1  # none is impossible
    return float(-np.log(counts / counts.sum())[vocabulary.encode(corpus.validation)].mean())


def make_loaders(corpus: TextCorpus, options: argparse.Namespace) -> tuple[DataLoader, DataLoader]:
    """Batches to learn from, and of the held-out text."""
    windows = corpus.windows("train", options.context, stride=1)
    sampler = RandomSampler(windows, num_samples=max(1, len(windows) // options.context))
    train = DataLoader(windows, options.batch_size, sampler=sampler, seed=options.seed, device=options.device)
    held_out = corpus.windows("validation", options.context)
    return train, DataLoader(held_out, 200, device=options.device)


def write_on(model: models.CharTransformer, corpus: TextCorpus, options: argparse.Namespace) -> str:
    """--prompt, and how the model goes on."""
    tokens = model.generate(
        corpus.vocabulary.encode(options.prompt), SAMPLE, options.temperature, options.seed
    )
    return corpus.vocabulary.decode(tokens)


def observed(
    options: argparse.Namespace,
    model: models.CharTransformer,
    optimizer: AdamW,
    train: DataLoader,
    held_out: DataLoader,
    out: Path,
) -> Observed:
    """Train; returns what came of it, and what the record of it tells, as parts of the report.

    The one place that knows of recording.
    """
    configuration = RecorderConfiguration(agreement="epoch")
    return fit_observed(
        options,
        model,
        optimizer,
        train,
        held_out,
        out,
        configuration,
        probe=PROBE,
        loss=loss_of,
        metrics={"accuracy": accuracy_of},
        keep_best="val_loss",
    )


def text_section(name: str, title: str, note: str, text: str) -> Section:
    """A text, line by line as it is."""
    rows = [{"line": number, "text": _shown(line)} for number, line in enumerate(text.split("\n"), 1)]
    return Section(name, title, note, None, rows)


def _shown(line: str) -> str:
    """A line whose indentation a page does not swallow."""
    rest = line.lstrip(" ")
    return "\u00a0" * (len(line) - len(rest)) + rest


def main(arguments: list[str] | None = None) -> int:
    """Train, write, report; returns the exit code: 1 if training ended before its time."""
    options = parse_arguments(arguments)
    if not options.prompt:
        raise ArgumentError("--prompt needs at least one character to go on from")
    mg.manual_seed(options.seed)
    corpus = load_text(options.text, validation=options.validate)
    # The text is a part of the settings, not only its name: a run goes on with the text it began with, or not at all
    options.text_sha256 = hashlib.sha256((corpus.train + corpus.validation).encode()).hexdigest()
    train, held_out = make_loaders(corpus, options)
    model = models.CharTransformer(
        len(corpus.vocabulary),
        options.context,
        options.layers,
        options.heads,
        options.width,
        options.activation,
        options.dropout,
    )
    model.to(device=options.device)
    out = output_folder(options.out)
    title = f"{corpus.name}, transformer of {options.layers} blocks, {options.width} wide"
    print(f"{title}, {model.count_parameters():,} parameters\n{corpus!r}", flush=True)

    before = write_on(model, corpus, options)
    optimizer = AdamW(model.parameters(), lr=options.lr, weight_decay=options.weight_decay)
    fitted, found = observed(options, model, optimizer, train, held_out, out)
    if not fitted.history.steps["loss"]:
        print("nothing was learnt, so there is nothing to report", file=sys.stderr)
        return 1
    after = write_on(model, corpus, options)
    return report(out, title, model, corpus, fitted, held_out, (before, after), found, options)


def report(
    out: Path,
    title: str,
    model: models.CharTransformer,
    corpus: TextCorpus,
    fitted: Fitted,
    held_out: DataLoader,
    texts: tuple[str, str],
    found: list[Section],
    options: argparse.Namespace,
) -> int:
    """Write the report; returns the exit code."""
    history = fitted.history
    loss = held_out_loss(model, held_out)
    baseline = loss_of_frequencies(corpus)
    numbers: dict[str, Any] = {
        "bits_per_character": loss / math.log(2),
        "bits_per_character_of_frequencies_alone": baseline / math.log(2),
        "characters_learnt_from": len(corpus.train),
        "characters_held_out": len(corpus.validation),
        "different_characters": len(corpus.vocabulary),
        "parameters": model.count_parameters(),
        "training_seconds": fitted.seconds,
        "stopped_early": fitted.stopped or "no",
        "weights_of_epoch": fitted.best_epoch or len(history.epochs),
    }
    summary = (
        f"{numbers['bits_per_character']:.2f} bits per held-out character, after {fitted.seconds:.0f} s of training; "
        f"knowing only how often each character occurs, it would take "
        f"{numbers['bits_per_character_of_frequencies_alone']:.2f}."
    )
    note = f" Stopped early: {fitted.stopped}." if fitted.stopped else ""
    how = f"It was given {options.prompt!r}, and drew {SAMPLE} characters at temperature {options.temperature:g}."
    sections = [
        text_section("after", "What it writes", how, texts[1]),
        text_section("before", "What it wrote before it had learnt anything", how, texts[0]),
        Section(
            "curves",
            "How it learnt",
            "Loss per character. Accuracy is the share of characters that were the likeliest.",
            training_curves(
                history.steps["loss"], history.steps["lr"], history.epochs, held_out="held-out text"
            ),
        ),
        *found,
    ]
    page = write_report(out, title, summary + note, numbers, settings_of(options), history.epochs, sections)
    print(f"{summary}\n\n{texts[1]}\n\nreport: {page}")
    return 1 if fitted.stopped else 0


def held_out_loss(model: models.CharTransformer, loader: DataLoader) -> float:
    """Cross entropy per character of a loader, in nats."""
    model.eval()
    total, count = 0.0, 0
    with mg.no_grad():
        for inputs, targets in loader:
            total += loss_of(model(inputs), targets).item() * targets.numel()
            count += targets.numel()
    return total / count


if __name__ == "__main__":
    with clear_errors(Path(sys.argv[0]).name):
        sys.exit(main())
