"""What a recorded run tells: the sentences' numbers, against runs whose numbers are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from common.finding import Finding
from common.findings import dead_units, findings, largest_moves, loss_fell_most, noticed
from minigrad.record import Note
from tests.experiments.fake_run import FakeRun, layers, weights

# ------------------------------------------------ loss


def test_when_the_loss_fell():
    losses = np.concatenate([np.full(50, 3.0), np.full(50, 1.0)])
    found = loss_fell_most(FakeRun(losses), parts=10)
    assert found.sentences == (
        "The loss fell from 3 (mean of steps 1 to 10) to 1 (mean of steps 91 to 100).",
        "It fell most between steps 41 and 60: from 3 to 1, which is 100% of all.",
        "Half of the fall was behind it by step 60 of 100.",
    )
    assert [row["mean_loss"] for row in found.rows] == [3.0] * 5 + [1.0] * 5
    assert found.rows[0]["steps"] == "1 to 10"


def test_a_loss_that_did_not_fall_or_is_not_finite():
    rose = loss_fell_most(FakeRun([1.0, 2.0, np.nan, 3.0]), parts=3)
    assert str(rose) == "The loss did not fall: it went from 1 (step 1) to 3 (step 4)."
    for losses in ([np.nan, 1.0], []):
        found = loss_fell_most(FakeRun(losses))
        assert str(found) == "This cannot be told: there are fewer than two steps with a finite loss."
        assert not found.told


# ------------------------------------------------ moves


def test_which_weights_moved_most():
    # There and back again: a long way, and a short distance
    signals, series, tensors = weights(
        still=([[3.0, 4.0]], [[3.0, 4.5]], [0.5, 0.5, 0.5]),
        busy=([[0.0, 2.0]], [[0.0, 6.0]], [2.0, 2.0, 4.0]),
        third=([[1.0, 0.0]], [[1.0, 1.0]], [0.5, 0.5, 0.0]),
        vector=([1.0], [9.0], [8.0, 0.0, 0.0]),  # begins at a value that is no size to compare with
    )
    found = largest_moves(FakeRun(signals=signals, series=series, tensors=tensors))
    assert found.sentences == (
        "From step 0 to step 3, busy moved most: 2 times its norm at the beginning (2; at the end 6).",
        "Its updates add up to 4 times that norm: the way was 2 times as long as the straight line.",
        "After it comes third (1).",
        "still moved least: 0.1 times its norm.",
    )
    rows = {row["weight"]: row for row in found.rows}
    assert list(rows) == ["busy", "third", "still"]
    assert [row["moved"] for row in found.rows] == pytest.approx([2, 1, 0.1])
    assert [row["way"] for row in found.rows] == pytest.approx([4, 1, 0.3])


def test_moves_are_counted_between_the_snapshots_only():
    signals, series, tensors = weights(one=([[1.0, 0.0]], [[1.0, 2.0]], [1.0, 1.0, 50.0]))
    (found,) = largest_moves(
        FakeRun(signals=signals, series=series, tensors={0: tensors[0], 2: tensors[3]})
    ).rows
    assert (found["moved"], found["way"]) == (2.0, 2.0)


def test_weights_without_a_size_or_without_changes():
    signals, series, tensors = weights(
        zero=([[0.0, 0.0]], [[1.0, 1.0]], [0, 0, 0]),
        one=([[1.0, 0.0]], [[1.5, 0.0]], [0.5, np.inf, 0.0]),
        lost=([[1.0, 0.0]], [[np.nan, 0.0]], [0, 0, 0]),
    )
    found = largest_moves(FakeRun(signals=signals, series=series, tensors=tensors))
    assert [row["weight"] for row in found.rows] == ["one"]
    assert "way" not in found.rows[0]
    assert len(found.sentences) == 1
    assert "fewer than two snapshots" in str(largest_moves(FakeRun(signals=signals, tensors={0: tensors[0]})))
    assert "no matrix" in str(largest_moves(FakeRun(signals=[], tensors=tensors)))


# ------------------------------------------------ dead units


def test_which_units_fell_silent():
    fc1 = np.array([[1.0, 0.5, 0.2, 1.0], [1.0, 1.0, 0.2, 0.9], [1.0, 1.0, 0.2, 0.5]])
    fc2 = np.full((3, 6), 0.5)
    run = FakeRun(signals=layers("fc1", "fc2"), shares={"fc1": fc1, "fc2": fc2}, every=10)
    found = dead_units(run)
    assert found.sentences == (
        "2 of 10 units were zero for all examples of the last batch looked at (step 30).",
        "fc1: 2 of 4, of which 1 from the first step looked at; the first fell silent at step 10.",
    )
    (row,) = found.rows
    assert (row["silent_at_the_end"], row["silent_at_some_step"]) == (2, 3)
    late = dead_units(FakeRun(signals=layers("fc1"), shares={"fc1": fc1[:, 1:]}, every=10))
    assert "1 of 3, of which 0 from the first step looked at; the first fell silent at step 20." in str(late)


def test_a_unit_must_be_silent_for_a_tenth_of_the_looks():
    shares = np.full((30, 2), 0.5)
    shares[-2:, 0] = 1.0  # in the last two of thirty
    run = FakeRun(signals=layers("fc"), shares={"fc": shares})
    assert str(dead_units(run)) == (
        "None of 2 units was zero for all examples of the last 3 batches looked at (steps 28 to 30); 1 gave only zeros "
        "in some batch, but not in all of these."
    )
    shares[-3:, 0] = 1.0
    run = FakeRun(signals=layers("fc"), shares={"fc": shares})
    assert "fc: 1 of 2, of which 0 from the first step looked at; the first fell silent at step 28." in str(
        dead_units(run)
    )


def test_a_layer_without_shares_is_passed_over():
    run = FakeRun(signals=layers("embedding", "fc"), shares={"fc": np.full((2, 4), 1.0)})
    assert str(dead_units(run)).startswith("4 of 4 units were zero for all examples of the last batch")


def test_no_unit_is_silent():
    run = FakeRun(signals=layers("fc1"), shares={"fc1": np.full((2, 4), 0.9)})
    assert str(dead_units(run)) == (
        "None of 4 units was zero for all examples of the last batch looked at (step 2), nor for any batch before."
    )
    found = dead_units(FakeRun(signals=layers("fc1")))
    assert (str(found), found.told) == ("This cannot be told: no shares of zeros were recorded.", False)


# ------------------------------------------------ rules


def note(step: int, rule: str, severity: str = "warning") -> Note:
    return Note(step, 0.0, severity, rule, None, None, f"step {step}: the {rule} text.")


def test_what_the_rules_noticed():
    notes = [
        note(7, "loss spike"),
        note(9, "dead units"),
        note(12, "loss spike"),
        note(1, "loss change", "note"),
    ]
    found = noticed(FakeRun(notes=notes, rules=["dead units", "loss spike", "frozen layer"]))
    assert found.sentences == (
        "The rule on loss spike spoke 2 times, first at step 7: the loss spike text.",
        "The rule on dead units spoke once at step 9: the dead units text.",
        "Never broken: the rule on frozen layer.",
    )
    assert [row["step"] for row in found.rows] == [7, 9, 12]
    assert str(noticed(FakeRun(rules=["a", "b", "c"]))) == "Never broken: the rules on a, b and c."
    assert str(noticed(FakeRun())) == "This cannot be told: no rules were set."


# ------------------------------------------------ all of them


def test_all_questions_and_what_was_not_recorded():
    run = FakeRun([2.0, 1.0], signals=layers("fc1", "fc2"))
    answers: dict[str, Finding] = {finding.name: finding for finding in findings(run)}
    assert str(answers["loss"]).startswith("The loss fell from 2 (step 1) to 1 (step 2).")
    problem = "This cannot be told: not recorded: ('output_gradient'"
    assert str(answers["shrinking_gradients"]).startswith(problem)
    untold = {name: str(answer) for name, answer in answers.items() if not answer.told}
    assert set(untold) == {
        *("important_first", "trust", "shrinking_gradients", "largest_moves", "dead_units", "noticed")
    }
    assert all(text.startswith("This cannot be told: ") for text in untold.values())
    for finding in answers.values():
        section: Any = finding.section()
        assert (section.name, section.text, section.figure) == (finding.name, str(finding), None)
