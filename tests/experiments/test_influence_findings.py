"""Which units became important first, and whether that is to be trusted."""

from __future__ import annotations

import numpy as np
import pytest

from common.influence_findings import hidden_shares, important_first, trust
from minigrad.record import Agreement
from tests.experiments.fake_run import FakeRun, layers


def influences() -> dict[str, np.ndarray]:
    """40 steps: of fc1, unit 1 matters from the beginning, unit 0 from step 21 on; of fc2, unit 2 always a little."""
    fc1, fc2 = np.full((40, 3), 1.0), np.full((40, 3), 1.0)
    fc1[:, 1] = 6
    fc1[20:, 0] = -8  # a score's sign does not matter
    fc2[:, 2] = 4
    return {"fc1": fc1, "fc2": fc2, "out": np.full((40, 2), 100.0)}


def test_which_units_became_important_first():
    run = FakeRun(signals=layers("fc1", "fc2", "out"), influences=influences(), every=10)
    found = important_first(run, n=2, parts=4)
    assert found.sentences == (
        "The 2 of 6 hidden units that mattered most in steps 310 to 400 (by taylor) hold 67% of all influence; 2 of "
        "them are in fc1.",
        "The first to be among them was unit 1 of fc1: from the beginning (rank 1 in steps 10 to 100).",
        "The last to join was unit 0 of fc1, at step 210; at the beginning its rank was 3.",
    )
    assert [(row["layer"], row["unit"]) for row in found.rows] == [("fc1", 0), ("fc1", 1)]
    assert [row["share_at_end"] for row in found.rows] == pytest.approx([8 / 21, 6 / 21])
    assert [row["in_first_2_since_step"] for row in found.rows] == [210, 10]


def test_an_absence_counts_from_its_end():
    scores = influences()
    scores["fc1"][12:16, 1] = 0  # away in the second quarter
    run = FakeRun(signals=layers("fc1", "fc2", "out"), influences=scores)
    found = important_first(run, n=2, parts=10)
    since = {row["unit"]: row["in_first_2_since_step"] for row in found.rows}
    assert since == {0: 21, 1: 17}


def test_one_batch_does_not_make_a_unit_important():
    scores = influences()
    scores["fc2"][-1, 0] = 7.5  # the second of all in the last batch only
    run = FakeRun(signals=layers("fc1", "fc2", "out"), influences=scores)
    assert [(row["layer"], row["unit"]) for row in important_first(run, n=2).rows] == [("fc1", 0), ("fc1", 1)]


def test_shares_leave_out_steps_that_tell_nothing():
    scores = {"fc": np.array([[1.0, 3.0], [0.0, 0.0], [np.nan, 1.0], [1.0, 1.0]]), "out": np.ones((4, 2))}
    units, steps, shares = hidden_shares(FakeRun(signals=layers("fc", "out"), influences=scores), "taylor")
    assert units == [("fc", 0), ("fc", 1)]
    assert steps.tolist() == [1, 4]
    assert shares.tolist() == [[0.25, 0.75], [0.5, 0.5]]


def test_no_influence_or_too_little():
    untold = important_first(FakeRun(signals=layers("fc", "out")))
    assert str(untold) == "This cannot be told: no influence of hidden units was recorded."
    dead = {"fc": np.zeros((3, 2)), "out": np.ones((3, 2))}
    assert not important_first(FakeRun(signals=layers("fc", "out"), influences=dead)).told
    once = {"fc": np.array([[1.0, 3.0]]), "out": np.ones((1, 2))}
    found = important_first(FakeRun(signals=layers("fc", "out"), influences=once))
    assert found.sentences[1:] == ("Influence was looked at too seldom to tell since when.",)


# ------------------------------------------------ trust

TRUTH = [
    {"layer": "fc", "unit": 0, "score": 0.1, "increase": 0.5},
    {"layer": "fc", "unit": 1, "score": -0.3, "increase": 0.2},
    {"layer": "fc", "unit": 2, "score": 0.2, "increase": -0.1},
]


def test_how_far_the_ranking_can_be_trusted():
    run = FakeRun(agreements=[Agreement(0, "taylor", 0.4, 3, TRUTH), Agreement(8, "taylor", 0.9, 3, TRUTH)])
    found = trust(run)
    assert found.sentences == (
        "At step 8 3 units were removed one by one: the ranking by taylor and the change of the loss have a rank "
        "correlation of 0.90 (1: the same order, 0: none in common). The ranking is close to the truth.",
        "The lowest of 2 such checks was 0.40, at step 0.",
        "Without unit 0 of fc the loss on the probe set rises most, by 0.5: in the ranking it is at place 3 of 3.",
        "Without 1 of the 3 the loss does not rise at all.",
    )
    assert [row["rank_correlation"] for row in found.rows] == [0.4, 0.9]


@pytest.mark.parametrize(
    ("correlation", "words"),
    [
        (0.8, "The ranking is close to the truth."),
        (0.79, "roughly right"),
        (0.5, "roughly right"),
        (0.49, "not to be relied on"),
        (-1.0, "not to be relied on"),
        (float("nan"), "has no order to compare"),
    ],
)
def test_the_words_for_a_correlation(correlation, words):
    assert words in str(trust(FakeRun(agreements=[Agreement(3, "taylor", correlation, 2, [])])))


def test_no_agreement():
    assert str(trust(FakeRun())) == "This cannot be told: the ranking was not held against removing units."
