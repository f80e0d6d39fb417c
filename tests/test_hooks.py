"""What hooks may do with a gradient, and who owns the memory of one."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import DtypeError, GraphError, ShapeError


@pytest.fixture
def leaves():
    return mg.ones(3, requires_grad=True), mg.ones(3, requires_grad=True)


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_hook_may_only_return_a_tensor_of_the_gradients_shape(leaves, create_graph):
    a, _ = leaves
    for wrong, error, message in [
        (lambda g: 5, GraphError, "must return a tensor, or None"),
        (lambda g: g.numpy(), GraphError, "must return a tensor, or None"),
        (lambda g: g.sum(), ShapeError, r"returned float32\[\] for a gradient of shape \[3\]"),
    ]:
        handle = a.register_hook(wrong)
        with pytest.raises(error, match=message):
            (a * a).sum().backward(create_graph=create_graph)
        handle.remove()
    assert a.grad is None
    a.register_hook(lambda g: g.double() * 3)
    (a * 2.0).sum().backward(create_graph=create_graph)
    assert a.grad.dtype == mg.float32  # back in the dtype of the leaf
    assert a.grad.tolist() == [6, 6, 6]


def test_a_hook_that_writes_to_its_gradient_is_an_error(leaves):
    a, b = leaves
    handle = a.register_hook(lambda g: g.mul_(10.0))
    with pytest.raises(GraphError, match="changed its gradient in place"):
        ((a + b) * 2.0).sum().backward()  # add hands the same array to both
    handle.remove()
    a.grad = b.grad = None
    ((a + b) * 2.0).sum().backward()  # the engine is as it was
    assert a.grad.tolist() == b.grad.tolist() == [2, 2, 2]


def test_gradients_that_are_returned_or_retained_own_their_memory(leaves):
    a, b = leaves
    ga, gb = mg.grad(((a + b) * 2.0).sum(), [a, b])
    ga.mul_(10.0)
    assert gb.tolist() == [2, 2, 2]
    (g,) = mg.grad(a.sum(), a)  # the gradient of sum is one number, expanded
    assert g.add_(1.0).tolist() == [2, 2, 2]
    c, d = a * 1.0, b * 1.0
    c.retain_grad()
    d.retain_grad()
    ((c + d) * 2.0).sum().backward()
    c.grad.mul_(10.0)
    assert d.grad.tolist() == [2, 2, 2]


@pytest.mark.parametrize("wrong", [mg.ones(2), np.ones(3, np.float32), 0.0])
def test_a_grad_of_another_shape_or_kind_is_refused(leaves, wrong):
    a, _ = leaves
    a.grad = wrong
    with pytest.raises(GraphError, match=r"a gradient of shape \[3\] arrived at a leaf whose .grad is"):
        (a * 2.0).sum().backward()


def test_setting_requires_grad_cannot_cut_a_graph():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    h = x * 2.0
    with pytest.raises(GraphError, match="leaves only"):
        h.requires_grad = False  # would lose half of the gradient without a word
    (h * x).sum().backward()
    assert x.grad.tolist() == [4.0, 8.0]
    with pytest.raises(DtypeError, match="only floating-point"):
        mg.arange(3).requires_grad = True
    x.requires_grad = False
    assert not (x * 2.0).requires_grad


def test_to_retain_a_gradient_twice_is_to_retain_it_once():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    y.retain_grad()
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad.tolist() == [6.0, 12.0]
