"""One flat array for many gradients: it must never show, except in being there."""

from __future__ import annotations

import copy
import gc
import weakref

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import minigrad as mg
from minigrad import gradient_buffer

SHAPES = [(3, 4), (), (5,), (5,), (0, 2), (2, 1, 3)]


def make_leaves():
    rng = np.random.default_rng(0)
    return [mg.tensor(rng.integers(-4, 5, s), dtype="float32", requires_grad=True) for s in SHAPES]


def run_backward(leaves, factor=1.0, **options):
    total = sum((((x * x + x) * factor).sum() for x in leaves), mg.tensor(0.0))
    total.backward(**options)


def step(leaves, optimizer, factor=1.0):
    """zero_grad, then backward."""
    optimizer.zero_grad()
    run_backward(leaves, factor)


@pytest.fixture
def leaves():
    return make_leaves()


@pytest.fixture
def optimizer(leaves):
    return mg.optim.SGD(leaves, lr=0.1, momentum=0.9)


def lies_flat(optimizer):
    pairs = optimizer.flat_gradients()
    if pairs is None:
        return False
    for flat, params in pairs:
        assert np.array_equal(flat, np.concatenate([p.grad.numpy().reshape(-1) for p in params]))
        assert all(np.shares_memory(flat, p.grad.array) for p in params if p.numel())
    return True


def test_gradients_lie_side_by_side_in_reverse_order(leaves, optimizer):
    run_backward(leaves)
    assert optimizer.flat_gradients() is None  # nothing was arranged yet
    step(leaves, optimizer)
    assert lies_flat(optimizer)
    ((flat, params),) = optimizer.flat_gradients()
    assert [id(p) for p in params] == [id(p) for p in reversed(leaves)]
    flat *= 2
    np.testing.assert_array_equal(leaves[0].grad.numpy(), 2 * (2 * leaves[0].numpy() + 1))


def test_the_same_array_serves_every_step(leaves, optimizer):
    addresses = set()
    for _ in range(4):
        step(leaves, optimizer)
        addresses.add(optimizer.flat_gradients()[0][0].ctypes.data)
        optimizer.step()
    assert len(addresses) == 1


HOLDERS = {
    "tensor": lambda t: t,
    "detached": lambda t: t.detach(),
    "array": lambda t: t.numpy(),
    "view of a view": lambda t: t.numpy().reshape(-1)[1:][::-1],
    "memoryview": lambda t: memoryview(t.numpy()),
    "view of a memoryview": lambda t: np.asarray(memoryview(t.numpy())),
    "dlpack": lambda t: np.from_dlpack(t),
    "iterator": lambda t: t.numpy().flat,
    "operation's view": lambda t: t.reshape(-1)[1:],
    "graph": lambda t: (mg.ones(3, 4, requires_grad=True) * t).grad_fn,
}


def seen(held):
    if isinstance(held, mg.engine.Node):
        return next(iter(held.kept.values()))[0].tobytes()
    if isinstance(held, np.flatiter):
        return held[:].tobytes()
    return np.asarray(held).tobytes()


@pytest.mark.parametrize("holder", HOLDERS)
def test_step_1s_gradients_are_kept_through_step_5(leaves, optimizer, holder):
    step(leaves, optimizer)
    held = HOLDERS[holder](leaves[0].grad)
    before = seen(held)
    for factor in (2.0, 3.0, 4.0, 5.0):
        step(leaves, optimizer, factor)
        assert lies_flat(optimizer)  # in another array
        optimizer.step()
        assert seen(held) == before


def test_keeping_a_gradient_of_every_step_holds_two_arrays_at_most(leaves, optimizer):
    held, flat = [], []
    for _ in range(6):
        step(leaves, optimizer)
        flat.append(lies_flat(optimizer))
        held.append(leaves[2].grad)
    assert flat == [True, True, False, False, False, False]
    del held[0]
    step(leaves, optimizer)
    assert lies_flat(optimizer)
    held.clear()
    for _ in range(2):
        step(leaves, optimizer)
    assert len(optimizer._buffers[0]._arrays) == 1


def test_the_gradient_before_may_always_be_kept(leaves, optimizer):
    last = None
    for factor in (1.0, 2.0, 3.0, 4.0):
        step(leaves, optimizer, factor)
        assert lies_flat(optimizer)
        if last is not None:
            np.testing.assert_array_equal(last.numpy(), (factor - 1) * (2 * leaves[0].numpy() + 1))
        last = leaves[0].grad


def test_what_does_not_fit_lives_on_its_own(leaves, optimizer):
    x = leaves[0]
    step(leaves, optimizer)
    run_backward(leaves)  # adds in place
    assert lies_flat(optimizer)
    x.grad = None
    run_backward(leaves)  # its slot has been filled: somebody may hold it
    assert not lies_flat(optimizer)
    step(leaves, optimizer)
    x.grad = x.grad.clone()
    assert not lies_flat(optimizer)
    optimizer.zero_grad()
    run_backward(leaves[1:])
    assert not lies_flat(optimizer)  # one is missing
    optimizer.zero_grad()
    run_backward(leaves, create_graph=True)
    assert not lies_flat(optimizer)
    optimizer.zero_grad()
    x.requires_grad_(False)
    x.grad = mg.ones(3, 4)
    run_backward(leaves[1:])
    assert not lies_flat(optimizer)  # it would be updated too, but is not among those arranged


def test_leaves_that_change_are_arranged_anew(leaves, optimizer):
    step(leaves, optimizer)
    leaves[0].grad, leaves[0].requires_grad = None, False
    step(leaves[1:], optimizer)
    assert lies_flat(optimizer)
    optimizer.zero_grad()
    with mg.no_grad():  # after the slots were made free for what they had been
        leaves[1].set_(mg.ones(7))
        leaves[2].set_(leaves[2].double())
    run_backward(leaves[1:2])
    run_backward(leaves[2:3])
    assert leaves[2].grad.dtype == mg.float64
    optimizer.zero_grad()
    run_backward(leaves[1:2] + leaves[3:])
    mg.sum(leaves[2]).backward()
    assert lies_flat(optimizer)
    assert len(optimizer.flat_gradients()) == 2  # one for each dtype
    optimizer.add_param_group({"params": [late := mg.ones(2, requires_grad=True)]})
    optimizer.zero_grad()
    run_backward(leaves[1:2] + leaves[3:] + [late])
    mg.sum(leaves[2]).backward()
    assert lies_flat(optimizer)
    assert late.grad.tolist() == [3, 3]


def test_the_newest_optimiser_of_a_leaf_arranges_it(leaves, optimizer):
    step(leaves, optimizer)
    other = mg.optim.Adam(leaves[:2])
    step(leaves, other)  # zero_grad of the other leaves' optimiser is not called: they add up
    assert lies_flat(other)
    assert not lies_flat(optimizer)
    np.testing.assert_array_equal(leaves[2].grad.numpy(), 2 * (2 * leaves[2].numpy() + 1))
    for _ in range(2):
        step(leaves, optimizer)
        for x in leaves:
            np.testing.assert_array_equal(x.grad.numpy(), 2 * x.numpy() + 1)


def test_a_buffer_lives_as_long_as_its_optimiser(leaves):
    optimizer = mg.optim.SGD(leaves, lr=0.1)
    step(leaves, optimizer)
    buffer = weakref.ref(optimizer._buffers[0])
    del optimizer
    gc.collect()
    assert buffer() is None
    for x in leaves:
        x.grad = None
    run_backward(leaves)
    np.testing.assert_array_equal(leaves[0].grad.numpy(), 2 * leaves[0].numpy() + 1)


def test_copies_have_gradients_of_their_own(leaves, optimizer):
    step(leaves, optimizer)
    before = [x.grad.numpy().copy() for x in leaves]
    optimizer.zero_grad()
    twins, shallow = copy.deepcopy(leaves), copy.copy(leaves[0])
    run_backward([*twins, shallow], 10.0)
    run_backward(leaves)
    assert lies_flat(optimizer)
    for x, twin, expected in zip(leaves, twins, before, strict=True):
        np.testing.assert_array_equal(x.grad.numpy(), expected)
        np.testing.assert_array_equal(twin.grad.numpy(), 10 * expected)
    np.testing.assert_array_equal(shallow.grad.numpy(), 10 * before[0])


def test_a_copied_optimiser_arranges_its_own_leaves(leaves, optimizer):
    step(leaves, optimizer)
    model = {"leaves": leaves, "optimizer": optimizer}
    twin = copy.deepcopy(model)
    step(twin["leaves"], twin["optimizer"], 10.0)
    assert lies_flat(optimizer)
    assert lies_flat(twin["optimizer"])
    np.testing.assert_array_equal(leaves[0].grad.numpy(), 2 * leaves[0].numpy() + 1)


# ---------------------------------------------------------------- the same as if there were none


class World:
    """Leaves, an optimiser and what somebody holds; with buffers, or as if there were none."""

    def __init__(self):
        self.leaves = make_leaves()
        self.optimizer = mg.optim.SGD(self.leaves, lr=0.1, momentum=0.9)
        self.held = []

    def backward(self, some, factor, mode):
        some = [self.leaves[i] for i in some]
        if mode == "twice":
            total = sum((((x * x + x) * factor).sum() for x in some), mg.tensor(0.0))
            total.backward(retain_graph=True)
            total.backward()
        else:
            run_backward(some, factor, create_graph=mode == "create")

    def keep(self, i, how):
        x = self.leaves[i]
        if x.grad is not None and (x.shape == (3, 4) or how in ("tensor", "array")):
            self.held.append(HOLDERS[how](x.grad.detach()))

    def drop(self, i):
        if self.held:
            del self.held[i % len(self.held)]

    def forget(self, i):
        self.leaves[i].grad = None

    def assign(self, i, j):
        x, y = self.leaves[i], self.leaves[j]
        x.grad = y.grad if x.shape == y.shape else mg.full(x.shape, 0.5)

    def write(self, i):
        if (g := self.leaves[i].grad) is not None and not g.requires_grad:
            g.mul_(3.0)

    def zero_grad(self, set_to_none):
        self.optimizer.zero_grad(set_to_none)

    def module_zero_grad(self):
        for x in self.leaves:
            x.grad = None

    def step(self):
        self.optimizer.step()

    def other_optimizer(self, some):
        self.other = mg.optim.SGD([self.leaves[i] for i in some], lr=0.1)
        self.other.zero_grad()

    def replace_optimizer(self):
        self.optimizer = mg.optim.SGD(self.leaves, lr=0.05)

    def seen(self):
        grads = [None if x.grad is None else x.grad.numpy().tobytes() for x in self.leaves]
        return grads, [x.numpy().tobytes() for x in self.leaves], [seen(h) for h in self.held]


index = st.integers(0, len(SHAPES) - 1)
some = st.lists(index, min_size=1, unique=True)
factors = st.sampled_from([1.0, 0.3, -2.0, 5.0])
all_of_them = list(range(len(SHAPES)))
training = st.tuples(
    st.one_of(st.tuples(st.just("zero_grad"), st.just(True)), st.tuples(st.just("module_zero_grad"))),
    st.tuples(st.just("backward"), st.just(all_of_them), factors, st.just("once")),
    st.one_of(
        st.tuples(st.just("step")), st.tuples(st.just("keep"), index, st.sampled_from(sorted(HOLDERS)))
    ),
)
anything = st.one_of(
    st.tuples(st.just("backward"), some, factors, st.sampled_from(["once", "twice", "create"])),
    st.tuples(st.just("zero_grad"), st.booleans()),
    st.tuples(st.just("keep"), index, st.sampled_from(sorted(HOLDERS))),
    st.tuples(st.just("drop"), st.integers(0, 9)),
    st.tuples(st.just("forget"), index),
    st.tuples(st.just("assign"), index, index),
    st.tuples(st.just("write"), index),
    st.tuples(st.just("module_zero_grad")),
    st.tuples(st.just("other_optimizer"), some),
    st.tuples(st.just("replace_optimizer")),
)
sequences = st.lists(st.one_of(training, st.tuples(anything)), max_size=16).map(
    lambda rounds: sum(rounds, ())
)


@settings(max_examples=150)
@given(sequences)
def test_whatever_is_done_is_as_if_there_were_no_buffer(sequence):
    world, plain = World(), World()
    for name, *arguments in sequence:
        getattr(world, name)(*arguments)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(gradient_buffer.GradientBuffer, "reclaim", lambda self: None)  # takes nothing in
            getattr(plain, name)(*arguments)
        assert world.seen() == plain.seen()
        assert plain.optimizer.flat_gradients() is None
        lies_flat(world.optimizer)
