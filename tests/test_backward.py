"""The way back: in which order gradients are handed on, what a gradient sees, and which memory sums are made in."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import minigrad as mg
from minigrad import observe
from minigrad.backend import get_backend
from minigrad.op import REGISTRY, operation

# ---------------------------------------------------------------- order


def test_nodes_are_passed_from_the_newest_to_the_oldest():
    """Whatever the shape of the graph; and a leaf's gradient is there as soon as its last contribution is."""
    seen = []
    x, w = mg.ones(3, requires_grad=True), mg.ones(3, requires_grad=True)
    x.register_post_accumulate_grad_hook(lambda _: seen.append("x"))
    w.register_post_accumulate_grad_hook(lambda _: seen.append("w"))
    values = [x * 2.0]
    for i in range(6):  # each uses the last and the first
        values.append(
            (values[-1] * 0.5 + values[0]) if i % 2 else values[-1] * w if i == 2 else values[-1] - 1.0
        )
    for i, value in enumerate(values):
        value.register_hook(lambda _, i=i: seen.append(i))
    sum(values, mg.zeros(3)).sum().backward()
    assert seen == [6, 5, 4, 3, "w", 2, 1, 0, "x"]


def test_two_roots_of_one_graph_walk_together():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    h = x * x
    y, z = (h * 3.0).sum(), h.sum()
    (g,) = mg.grad([y, z, y], x, retain_graph=True)
    assert g.tolist() == [14.0, 28.0]
    (g,) = mg.grad([h.sum(), x.sum()], x)
    assert g.tolist() == [3.0, 5.0]


def test_branches_without_a_gradient_let_the_others_through():
    """What `detach`, integer results and outputs that nobody used leave open must not hold a leaf back."""
    x = mg.tensor([[3.0, 1.0], [2.0, 5.0]], requires_grad=True)
    values, order = mg.sort(x, dim=1)
    first, _ = mg.unbind(x * 2.0, 0)
    (values.sum() + first.sum() + order.sum()).backward()
    assert x.grad.tolist() == [[3.0, 3.0], [1.0, 1.0]]


# ---------------------------------------------------------------- missing gradients


@pytest.fixture
def scaled():
    """y = x m with m = x^2, where m is put out as well; makes the operation, with m an intermediate or not."""
    made = []

    def make(intermediates):
        @operation(
            name="_scaled",
            formula="y = x m, m = x^2",
            source="test",
            samples=lambda draw: [],
            outputs=("y", "m"),
            intermediates=intermediates,
        )
        def scaled(xp, x):
            m = x * x
            return x * m, m

        made.append(scaled)
        seen = []

        @scaled.gradient
        def scaled_gradient(xp, gy, x, m):
            gy, gm = gy
            seen.append((gy, gm))
            gx = 0 if gy is None else 3 * gy * m
            return gx if gm is None else gx + 2 * gm * x

        return scaled, seen

    yield make
    for op in made:
        REGISTRY.pop(op.name, None)
        delattr(type(mg.ones(1).backend.xp), op.name)


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("intermediates", [(), ("m",)])
def test_a_missing_gradient_is_zero_or_none_for_an_intermediate(scaled, intermediates, create_graph):
    op, seen = scaled(intermediates)
    x = mg.tensor([1.0, -2.0], requires_grad=True)
    for used, expected in [("y", [3.0, 12.0]), ("m", [2.0, -4.0]), ("ym", [5.0, 8.0])]:
        y, m = op(x)
        (g,) = mg.grad(
            [{"y": y, "m": m}[u] for u in used], x, [mg.ones(2)] * len(used), create_graph=create_graph
        )
        assert g.tolist() == expected
    (_, gm), (gy, _), both = seen
    assert (gm is None) == (intermediates == ("m",))
    assert gm is None or gm.tolist() == [0.0, 0.0]
    assert gy.tolist() == [0.0, 0.0]  # y is a result as any other
    assert [g.tolist() for g in both] == [[1.0, 1.0]] * 2
    if not create_graph:
        return
    y, _ = op(x)
    (first,) = mg.grad(y, x, mg.ones(2), create_graph=True)
    (second,) = mg.grad(first, x, mg.ones(2))
    assert second.tolist() == [6.0, -12.0]


def test_an_intermediate_must_be_an_output():
    with pytest.raises(ValueError, match="not in"):
        operation(
            name="_none", formula="", source="", samples=lambda draw: [], outputs=("y",), intermediates=("m",)
        )(lambda xp, x: x)


# ---------------------------------------------------------------- memory that is used again

LARGE = (
    128,
    160,
)  # large enough for kernels, whose results take the memory of arrays that nobody sees any more


class Keeping:
    """An observer that keeps all it is shown."""

    def __init__(self):
        self.kept = []

    def before(self, call):
        pass

    def after(self, call):
        self.kept += [(a, a.copy()) for a in (*call.arrays, *call.outputs) if isinstance(a, np.ndarray)]


COMBINE = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a * b,
    lambda a, b: a.relu() + 0.5 * b,
    lambda a, b: a.T.reshape(*LARGE) * b,
    lambda a, b: a,
]
steps = st.lists(
    st.tuples(st.integers(0, len(COMBINE) - 1), st.integers(0, 30), st.integers(0, 30), st.booleans()),
    min_size=1,
    max_size=10,
)


@given(steps, st.booleans(), st.booleans())
def test_what_hooks_and_observers_keep_stays_and_the_bits_are_the_same(steps, observed, retained):
    kept, observer = [], Keeping()

    def run():
        data = np.random.default_rng(0).standard_normal(LARGE).astype(np.float32)
        x = mg.tensor(data, requires_grad=True)
        values = [x, x * 1.5]
        for combine, i, j, hooked in steps:
            values.append(COMBINE[combine](values[i % len(values)], values[j % len(values)]))
            if hooked:
                values[-1].register_hook(lambda g: kept.append((g.numpy(), g.numpy().copy())))
            if retained and hooked:
                values[-1].retain_grad()
        sum(values).sum().backward()
        return [None if v.grad is None else v.grad.numpy().tobytes() for v in values]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(get_backend("cpu"), "kernels", {})  # and so no memory that is used again
        expected = run()
    assert run() == expected
    if observed:
        with observe.observe(observer):
            assert run() == expected
    for array, copy in kept + observer.kept:
        np.testing.assert_array_equal(array, copy)
