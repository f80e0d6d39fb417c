"""Where gradients shrink: within layers and between them, in chains and where paths part."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from common.gradient_findings import neighbours, shrinking_gradients
from tests.experiments.fake_run import FakeRun, gradients, layers


def record(
    number: int, op: str, module: str | None, parents: list[int | None], children: list[int]
) -> dict[str, Any]:
    inputs = [{"name": "x", "parent": parent} for parent in parents]
    return {
        "number": number,
        "op": op,
        "module": module,
        "inputs": inputs,
        "children": children,
        "inside": None,
    }


def test_where_gradients_shrink():
    # fc1 -> fc2 -> (mean over 4) -> fc3: the gradient is lost in fc2 and in the mean
    run = FakeRun(
        signals=layers("fc1", "fc2", "fc3", sizes=(8, 16, 4)),
        series={
            **gradients(fc1=[0.1, 0.2, 0.1], fc2=[1.0, 2.0, 4.0], fc3=[8.0, 16.0, 32.0]),
            **gradients("input_gradient", fc2=[0.1, 0.2, 2.0], fc3=[4.0, 8.0, 16.0]),
        },
        graph=[
            record(0, "linear", "fc1", [None], [1]),
            record(1, "linear", "fc2", [0, None], [2]),
            record(2, "mean", "", [1], [3]),
            record(3, "reshape", "", [2], [4]),
            record(4, "linear", "fc3", [3], [5]),
            record(5, "cross_entropy", None, [4], []),
        ],
    )
    found = shrinking_gradients(run)
    assert found.sentences == (
        "An element of the gradient (root mean square, median over steps) is 16 at the output of fc3 and 0.1 at that "
        "of fc1, the first layer: 0.013 times as large.",
        "Within a layer it shrinks most on its way back through fc2: to 0.1 of its size.",
        "Between layers it shrinks most on its way back from fc3 to fc2, in reshape and mean: to 0.25 of its size.",
    )
    assert [row["layer"] for row in found.rows] == ["fc1", "fc2", "fc3"]
    inside = [row.get("left_through_layer") for row in found.rows]
    assert inside == pytest.approx([None, 0.1, 0.5])
    between = [row.get("left_through_what_follows") for row in found.rows]
    assert between == pytest.approx([None, 0.25, None])


def test_over_how_many_more_elements_it_is_spread():
    run = FakeRun(
        signals=layers("a", "b", sizes=(64, 4)),
        series={**gradients(a=[1.0], b=[4.0]), **gradients("input_gradient", b=[1.0])},
    )
    assert shrinking_gradients(run).sentences[1] == (
        "Within a layer it shrinks most on its way back through b: to 0.25 of its size, spread over 16 times as many "
        "elements."
    )


def test_gradients_that_grow_or_do_not_arrive():
    run = FakeRun(
        signals=layers("a", "b", "c", "d"),
        series={
            **gradients(a=[0, 0, 0], b=[9, 9, np.nan], c=[3, 3, 3], d=[2, 0, 2]),
            **gradients("input_gradient", b=[0, 0, 0], c=[9, 9, 9], d=[3, 3, 3]),
        },
    )
    found = shrinking_gradients(run)
    assert found.sentences[0] == "No gradient reaches a: it is 0 in most steps."
    assert found.sentences[1].endswith(
        "is 2 at the output of d and 9 at that of b, the first layer that it reaches: 4.5 times as large."
    )
    assert found.sentences[2].startswith(
        "Within a layer it shrinks most on its way back through b: to 0 of its size"
    )
    assert [row["layer"] for row in found.rows] == ["b", "c", "d"]
    grown = FakeRun(
        signals=layers("a", "b"), series={**gradients(a=[3], b=[1]), **gradients("input_gradient", b=[3])}
    )
    assert "it never shrinks, and grows least on its way back through b: to 3 of its size" in str(
        shrinking_gradients(grown)
    )


def test_too_few_layers():
    one = FakeRun(signals=layers("a"), series=gradients(a=[1]))
    for run in (one, FakeRun()):
        assert "fewer than two layers" in str(shrinking_gradients(run))
        assert not shrinking_gradients(run).told


def test_neighbours_are_those_with_nothing_else_between_them():
    # A residual block: the first layer's output goes to the branch and, past it, to the sum
    residual = [
        record(0, "conv", "stem", [None], [1, 3]),
        record(1, "conv", "branch", [0], [2]),
        record(2, "scale", "", [1], [3]),
        record(3, "add", "", [2, 0], [4]),
        record(4, "linear", "head", [3], []),
    ]
    assert neighbours(residual, {"stem", "branch", "head"}) == []
    # Attention: parted and joined between the same two
    attention = [
        record(0, "linear", "qkv", [None], [1, 1]),
        record(1, "split", "attn", [0], [2, 3]),
        record(2, "reshape", "attn", [1], [4]),
        record(3, "reshape", "attn", [1], [4]),
        record(4, "attention", "attn", [2, 3], [5]),
        record(5, "linear", "proj", [4], []),
    ]
    assert neighbours(attention, {"qkv", "proj"}) == [("qkv", "proj", ["attention", "reshape", "split"])]
    # Nothing between them
    assert (
        neighbours([record(0, "linear", "a", [None], [1]), record(1, "linear", "b", [0], [])], {"a", "b"})
        == []
    )
    # The loss reads a, too
    forked = [
        record(0, "linear", "a", [None], [1, 3]),
        record(1, "exp", "", [0], [2]),
        record(2, "linear", "b", [1], [3]),
        record(3, "linear", "c", [2, 0], []),
    ]
    assert neighbours(forked, {"a", "b", "c"}) == []
