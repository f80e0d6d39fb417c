"""Metrics against plain loops, however the examples come in batches; scikit-learn's conventions in corner cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, ShapeError
from minigrad.optim import SGD
from minigrad.train import (
    F1,
    Accuracy,
    ConfusionMatrix,
    History,
    Mean,
    Metric,
    Perplexity,
    Precision,
    Recall,
    TopKAccuracy,
    Trainer,
    accuracy,
)
from minigrad.train.metrics import metrics_by_name


def in_batches(metric, logits, targets, sizes):
    metric.reset()
    start = 0
    for size in sizes:
        metric.update(mg.tensor(logits[start : start + size]), mg.tensor(targets[start : start + size]))
        start += size
    return metric.compute()


@st.composite
def examples(draw):
    """Scores with many ties, classes, and a division into batches."""
    n, C = draw(st.integers(1, 12)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    logits, targets = rng.integers(-2, 3, (n, C)).astype(np.float32), rng.integers(0, C, n)
    cuts = sorted(draw(st.lists(st.integers(0, n), max_size=3)))
    return logits, targets, np.diff([0, *cuts, n]).tolist()


# ------------------------------------------------ oracles: one example, one class at a time


def loop_rank(scores, target):
    """How many classes come before the target: larger, or equal and earlier."""
    return sum(s > scores[target] or (s == scores[target] and c < target) for c, s in enumerate(scores))


def loop_shares(logits, targets):
    """Precision, recall, F1 of each class, and whether it occurs among targets or predictions."""
    predicted = [max(range(len(scores)), key=lambda c: (scores[c], -c)) for scores in logits]
    rows = []
    for c in range(logits.shape[1]):
        both = sum(t == c and p == c for t, p in zip(targets, predicted))
        true, found = sum(t == c for t in targets), sum(p == c for p in predicted)
        precision, recall = (both / n if n else 0.0 for n in (found, true))
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        rows.append((precision, recall, f1, bool(true or found)))
    return rows


@given(examples())
def test_shares_of_classes(example):
    logits, targets, sizes = example
    rows = loop_shares(logits, targets)
    for kind, column in ((Precision, 0), (Recall, 1), (F1, 2)):
        each = [row[column] for row in rows]
        occurring = [row[column] for row in rows if row[3]]
        assert in_batches(kind(None), logits, targets, sizes) == pytest.approx(each)
        assert in_batches(kind("macro"), logits, targets, sizes) == pytest.approx(
            sum(occurring) / len(occurring)
        )
        right = sum(loop_rank(scores, t) == 0 for scores, t in zip(logits, targets)) / len(targets)
        assert in_batches(kind("micro"), logits, targets, sizes) == pytest.approx(right)


@given(examples())
def test_accuracies_and_confusion(example):
    logits, targets, sizes = example
    ranks = [loop_rank(scores, t) for scores, t in zip(logits, targets)]
    n, C = logits.shape
    assert in_batches(Accuracy(), logits, targets, sizes) == sum(r == 0 for r in ranks) / n  # exactly
    for k in (1, 2, 5):
        assert in_batches(TopKAccuracy(k), logits, targets, sizes) == sum(r < k for r in ranks) / n
    counts = [[0] * C for _ in range(C)]
    for scores, t in zip(logits, targets):
        counts[t][int(np.flatnonzero(scores == scores.max())[0])] += 1
    assert in_batches(ConfusionMatrix(), logits, targets, sizes).tolist() == counts


@given(examples())
def test_perplexity(example):
    logits, targets, sizes = example
    logs = [
        math.log(sum(math.exp(float(s) - float(scores[t])) for s in scores))
        for scores, t in zip(logits, targets)
    ]
    expected = math.exp(sum(logs) / len(logs))
    assert in_batches(Perplexity(), logits, targets, sizes) == pytest.approx(expected, rel=1e-5)


def test_known_numbers():
    """An example worked out by hand: true 0 0 0 1 1 2, predicted 0 0 1 1 2 2, and class 3 never occurs."""
    logits = np.eye(4, dtype=np.float32)[[0, 0, 1, 1, 2, 2]]
    targets = np.array([0, 0, 0, 1, 1, 2])
    whole = [len(targets)]
    assert in_batches(Precision(None), logits, targets, whole).tolist() == [1.0, 0.5, 0.5, 0.0]
    assert in_batches(Recall(None), logits, targets, whole) == pytest.approx([2 / 3, 1 / 2, 1, 0])
    assert in_batches(F1(None), logits, targets, whole) == pytest.approx([0.8, 0.5, 2 / 3, 0])
    assert in_batches(F1(), logits, targets, whole) == pytest.approx((0.8 + 0.5 + 2 / 3) / 3)
    assert in_batches(F1("micro"), logits, targets, whole) == pytest.approx(4 / 6)


def test_an_average_of_batches_would_be_wrong():
    """Why metrics gather counts: two batches, each with one class, have a mean F1 that no data set has."""
    logits = np.eye(2, dtype=np.float32)[[0, 0, 0, 1]]
    targets = np.array([0, 0, 1, 1])
    f1 = F1()
    parts = [in_batches(f1, logits[i : i + 2], targets[i : i + 2], [2]) for i in (0, 2)]
    assert in_batches(f1, logits, targets, [2, 2]) == pytest.approx((0.8 + 2 / 3) / 2) != sum(parts) / 2


def test_targets_of_other_shapes():
    logits = mg.tensor([[[3.0, 0.0], [1.0, 5.0]], [[1.0, 0.0], [2.0, -1.0]]])  # (N, C, L)
    targets = mg.tensor([[0, 0], [1, 0]])
    for metric in (Accuracy(), TopKAccuracy(1), Precision("micro")):
        metric.update(logits, targets)
        assert metric.compute() == 0.75
    mixed = Accuracy()  # probabilities, as mixed images have them: the largest counts
    mixed.update(logits[:, :, 0], mg.tensor([[0.6, 0.4], [0.7, 0.3]]))
    assert mixed.compute() == 0.5
    assert accuracy(logits[:, :, 0], mg.tensor([[0.6, 0.4], [0.3, 0.7]])) == 1
    words = Perplexity(ignore_index=9)
    words.update(mg.zeros(2, 4, 3), mg.tensor([[0, 1, 9], [9, 9, 3]]))
    assert words.count == 3
    assert words.compute() == pytest.approx(4)
    soft = Perplexity()
    soft.update(mg.zeros(2, 4), mg.full((2, 4), 0.25))
    assert (soft.count, soft.compute()) == (2, pytest.approx(4))


def test_not_a_number():
    """A score of NaN is never among the best; elsewhere it does not count as larger."""
    logits = np.array([[np.nan, 1, 0], [1, np.nan, 0]], dtype=np.float32)
    assert in_batches(TopKAccuracy(1), logits, np.array([0, 0]), [2]) == 0.5
    assert in_batches(TopKAccuracy(3), logits, np.array([0, 0]), [2]) == 0.5


def test_nothing_seen():
    for metric in (Accuracy(), TopKAccuracy(2), F1(), F1("micro"), Perplexity(), Mean(accuracy)):
        assert math.isnan(metric.compute())
    assert ConfusionMatrix().compute().shape == (0, 0)


def test_perplexity_beyond_all_bounds():
    metric = Perplexity()
    metric.update(mg.tensor([[0.0, 1000.0]]), mg.tensor([0]))
    assert metric.compute() == math.inf


def test_states_come_back():
    logits, targets = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]], np.array([0, 1, 1, 2])
    for make in (Accuracy, lambda: TopKAccuracy(2), F1, Perplexity, lambda: Mean(accuracy)):
        whole, first, second = make(), make(), make()
        in_batches(whole, logits, targets, [1, 3])
        in_batches(first, logits, targets, [1])
        second.load_state_dict(first.state_dict())
        second.update(mg.tensor(logits[1:]), mg.tensor(targets[1:]))
        assert second.compute() == whole.compute()


# ------------------------------------------------ by name, in a trainer


def test_by_name():
    names = ["accuracy", "top3_accuracy", "precision", "recall", "f1", "perplexity", "confusion"]
    metrics = metrics_by_name(names)
    assert list(metrics) == names
    assert metrics["top3_accuracy"].k == 3
    assert isinstance(metrics_by_name("f1")["f1"], F1)
    own = F1("micro")
    mixed = metrics_by_name({"a": accuracy, "f": own})
    assert isinstance(mixed["a"], Mean)
    assert mixed["f"] is own
    with pytest.raises(
        ArgumentError, match="no metric 'fbeta'; known are accuracy, confusion, precision, recall, f1, perpl"
    ):
        metrics_by_name(["fbeta"])
    with pytest.raises(ArgumentError, match="the name loss is taken"):
        metrics_by_name({"loss": accuracy})


def test_a_trainer_measures_over_whole_epochs(rng):
    """Train and validation numbers are those of all examples at once; evaluating within an epoch disturbs nothing."""
    inputs = rng.standard_normal((10, 3)).astype(np.float32)
    targets = rng.integers(0, 3, 10)
    batches = [(mg.tensor(inputs[i : i + 4]), mg.tensor(targets[i : i + 4])) for i in (0, 4, 8)]
    model = nn.Linear(3, 3)

    class Look(History):
        def on_batch_end(self, trainer):
            trainer.evaluate(batches[:1])

    trainer = Trainer(
        model,
        SGD(model.parameters(), lr=0.0),
        metrics=["accuracy", "f1", "confusion", "perplexity"],
        callbacks=[Look()],
    )
    logs = trainer.fit(batches, 2, validation=batches)
    logits = model(mg.tensor(inputs)).numpy()
    for part in ("train", "val"):
        for name, metric in metrics_by_name(["accuracy", "f1", "perplexity"]).items():
            expected = pytest.approx(in_batches(metric, logits, targets, [10]))
            assert logs[f"{part}_{name}"] == expected
        assert logs[f"{part}_confusion"] == in_batches(ConfusionMatrix(), logits, targets, [10]).tolist()
        assert logs[f"{part}_perplexity"] == pytest.approx(math.exp(logs[f"{part}_loss"]))


def test_wrong_arguments():
    with pytest.raises(ArgumentError, match="k must be a whole number from 1, not 0"):
        TopKAccuracy(0)
    with pytest.raises(ArgumentError, match='average must be "macro", "micro" or None, not \'weighted\''):
        F1("weighted")
    with pytest.raises(ArgumentError, match=r"give it numbers by add\(\)"):
        Mean().update(mg.zeros(1), mg.zeros(1))
    for metric in (Accuracy(), TopKAccuracy(2), ConfusionMatrix(), Perplexity()):
        with pytest.raises(
            ShapeError, match=rf"{type(metric).__name__} takes logits .* got shapes \[2, 3\] and \[3\]"
        ):
            metric.update(mg.zeros(2, 3), mg.tensor([0, 1, 2]))
    confusion = ConfusionMatrix()
    with pytest.raises(ShapeError, match="counts 3 classes; got logits of 3 classes and targets from 0 to 3"):
        confusion.update(mg.zeros(2, 3), mg.tensor([0, 3]))
    with pytest.raises(ShapeError, match="counts 3 classes; got logits of 4 classes"):
        confusion.update(mg.zeros(2, 4), mg.tensor([0, 3]))
    for method in ("reset", "compute"):
        with pytest.raises(NotImplementedError, match=rf"Metric does not define {method}\(\)"):
            getattr(Metric(), method)()
