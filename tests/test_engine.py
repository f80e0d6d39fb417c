"""The engine: graphs, backward, modes, memory, in-place changes, observers."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

import minigrad as mg
from minigrad import observe
from minigrad.backend import Kernel
from minigrad.errors import DeviceError, DtypeError, GraphError, MinigradError, ShapeError
from minigrad.op import REGISTRY, operation


@pytest.fixture
def x():
    return mg.tensor(np.array([1.0, -2.0, 3.0]), requires_grad=True)


class Seen:
    """An observer that writes down what passes."""

    def __init__(self):
        self.calls = []

    def before(self, call):
        self.calls.append(("before", call.op.name, call.phase))

    def after(self, call):
        self.calls.append(
            ("after", call.op.name, call.phase, [np.shape(o) for o in call.outputs if o is not None])
        )


def test_gradients_add_up_over_paths_and_calls(x):
    y = x * x + 3 * x
    (y + y).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * (2 * x.numpy() + 3))
    (x * 1.0).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * (2 * x.numpy() + 3) + 1)


def test_leaves_never_share_a_gradient():
    a, b = mg.ones(3, requires_grad=True), mg.ones(3, requires_grad=True)
    (a + b).sum().backward()  # add hands the same array to both
    a.grad.mul_(5.0)
    assert b.grad.tolist() == [1, 1, 1]


@pytest.mark.parametrize("length", [10_000, 100_000])
def test_a_graph_may_be_deep(length):
    x = mg.tensor(2.0, requires_grad=True)
    y = x
    for _ in range(length):
        y = y * 1.0
    y.backward()
    assert x.grad.item() == 1.0
    del y  # freeing the chain must not recurse either


def test_second_backward_needs_retain_graph(x):
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), 4 * x.numpy())
    with pytest.raises(GraphError, match="freed by an earlier backward"):
        y.backward()


def test_higher_derivatives(x):
    y = (x * x * x * x).sum()
    expected = [lambda v: 4 * v**3, lambda v: 12 * v**2, lambda v: 24 * v, lambda v: 24 + 0 * v]
    for f in expected:
        (g,) = mg.grad(y, x, create_graph=True)
        np.testing.assert_allclose(g.numpy(), f(x.numpy()), rtol=1e-14)
        y = g.sum()


def test_backward_with_create_graph_gives_differentiable_grad(x):
    (x * x * x).sum().backward(create_graph=True)
    assert x.grad.requires_grad
    x_grad, x.grad = x.grad, None
    x_grad.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 6 * x.numpy())


def test_grad_of_intermediate_and_unused(x):
    h = x * x
    y = (h * 3.0).sum()
    unused = mg.ones(2, requires_grad=True)
    gh, gx = mg.grad(y, [h, x], retain_graph=True)
    np.testing.assert_array_equal(gh.numpy(), [3, 3, 3])
    np.testing.assert_array_equal(gx.numpy(), 6 * x.numpy())
    assert x.grad is None
    with pytest.raises(GraphError, match=r"do not depend on inputs \[1\]"):
        mg.grad(y, [x, unused], retain_graph=True)
    assert mg.grad(y, [x, unused], allow_unused=True)[1] is None


def test_grad_computes_only_what_leads_to_the_inputs(x):
    w = mg.ones(3, requires_grad=True)
    branch = w * w * w  # two multiplications that x does not need
    y = (x * branch).sum()
    seen = Seen()
    with observe.observe(seen):
        mg.grad(y, x)
    gradients = [c[1] for c in seen.calls if c[0] == "after" and c[2] == "gradient"]
    assert gradients == ["sum", "mul"]


def test_grad_outputs_weight_the_outputs(x):
    y = x * x
    (g,) = mg.grad(y, x, grad_outputs=mg.tensor(np.array([1.0, 10.0, 100.0])))
    np.testing.assert_array_equal(g.numpy(), 2 * x.numpy() * [1, 10, 100])
    with pytest.raises(ShapeError, match="must agree"):
        (x * x).backward(mg.ones(2))
    with pytest.raises(GraphError, match="one element"):
        (x * x).backward()


def test_no_grad_detach_and_enable_grad(x):
    with mg.no_grad():
        assert not (x * 2).requires_grad
        with mg.enable_grad():
            assert (x * 2).requires_grad
    assert not (x.detach() * 2).requires_grad
    with pytest.raises(GraphError, match="nothing to differentiate"):
        (x.detach() * 2).sum().backward()

    @mg.no_grad()
    def inside():
        return x * 2

    assert not inside().requires_grad
    assert (x * 2).requires_grad


def test_no_grad_is_a_matter_of_one_thread(x):
    seen = []
    with mg.no_grad():
        thread = threading.Thread(target=lambda: seen.append((x * 2).requires_grad))
        thread.start()
        thread.join()
    assert seen == [True]


def test_hooks_see_the_complete_gradient_once_and_may_replace_it(x):
    h = x * 2.0
    seen = []
    handle = h.register_hook(lambda g: seen.append(g.tolist()) or g * 10)
    (h + h).sum().backward()
    assert seen == [[2, 2, 2]]
    np.testing.assert_array_equal(x.grad.numpy(), [40, 40, 40])
    handle.remove()
    x.grad = None
    x.register_hook(lambda g: g * 0 + 7)
    (x * 2.0 + x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [7, 7, 7])


def test_retain_grad_and_accumulated_hooks(x):
    h = x * 2.0
    h.retain_grad()
    order = []
    x.register_post_accumulate_grad_hook(lambda leaf: order.append(leaf.grad.tolist()))
    (h * h).sum().backward()
    np.testing.assert_array_equal(h.grad.numpy(), 2 * h.numpy())
    assert order == [(8 * x.numpy()).tolist()]


def test_memory_is_freed_as_backward_passes():
    """When the gradient of an early node runs, what later nodes kept is gone."""
    x = mg.ones(4, requires_grad=True)
    alive = []
    first = x * 2.0
    first.register_hook(lambda g: alive.append(kept() is not None))
    second = first * first
    kept = weakref.ref(second.array)
    third = (second * second).sum()
    del second
    assert kept() is not None  # the last product needs it
    third.backward()
    gc.collect()
    assert alive == [False]


def test_only_what_a_gradient_needs_is_kept():
    data, w = mg.ones(100, 50), mg.ones(50, 3, requires_grad=True)
    y = data.matmul(w)
    assert y.grad_fn.kept_bytes == data.nbytes  # gw needs data; w itself would only serve gx
    frozen, x = mg.ones(50, 3), mg.ones(100, 50, requires_grad=True)
    assert x.matmul(frozen).grad_fn.kept_bytes == frozen.nbytes
    assert x.sum().grad_fn.kept_bytes == 0
    assert (x * 2.0).grad_fn.kept_bytes == 0


# ---------------------------------------------------------------- in place


def test_a_kept_array_changed_in_place_is_an_error(x):
    h = x * 1.0
    y = (h * h).sum()
    with mg.no_grad():
        h.add_(1.0)
    with pytest.raises(GraphError, match="changed in place since"):
        y.backward()


def test_a_kept_array_changed_through_a_view_is_an_error(x):
    h = x * 1.0
    y = (h * h).sum()
    with mg.no_grad():
        h.reshape(3, 1).fill_(0.0)
    with pytest.raises(GraphError, match="changed in place since"):
        y.backward()


def test_memory_from_outside_changed_is_an_error(x):
    memory = np.ones(3)
    y = (x * mg.from_numpy(memory)).sum()
    memory[1] = 5
    with pytest.raises(GraphError, match="changed in place since"):
        y.backward()
    memory = np.ones(3)
    y = (x * memory).sum()  # an array as an operand is outside memory too
    memory *= 2
    with pytest.raises(GraphError, match="changed in place since"):
        y.backward()


def test_an_unneeded_array_may_change(x):
    h = x * 2.0
    y = h.sum()
    with mg.no_grad():
        h.zero_()
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2, 2, 2])


def test_tracked_tensors_refuse_writes_but_rebind_augmented_assignment(x):
    h = x * 2.0
    for write in (
        lambda: h.add_(1.0),
        lambda: h.zero_(),
        lambda: h.__setitem__(0, 1.0),
        lambda: mg.zeros(3).copy_(h),
    ):
        with pytest.raises(GraphError, match="not recorded"):
            write()
    before = h
    h += 1.0
    assert before is not h
    h.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2, 2, 2])
    with pytest.raises(GraphError, match="not recorded"):
        x += 1.0


def test_untracked_tensors_are_written_in_place():
    t = mg.zeros(3)
    same = t
    t += 1
    t *= 4
    t -= 1
    t /= 2
    t[1:] = 0
    assert same is t
    assert t.tolist() == [1.5, 0, 0]
    assert t.clamp_(max=1.0).tolist() == [1.0, 0, 0]
    with pytest.raises(ShapeError, match="cannot become"):
        t.add_(mg.ones(2, 3))
    with pytest.raises(ShapeError, match="cannot be copied"):
        t.copy_(mg.ones(4))
    with pytest.raises(DtypeError, match="cannot take"):
        mg.arange(3).add_(0.5)


# ---------------------------------------------------------------- observers and interceptors


def test_observers_see_forward_and_gradient(x):
    seen = Seen()
    with observe.observe(seen):
        (x * 2.0).sum().backward()
    assert [c for c in seen.calls if c[0] == "after"] == [
        ("after", "mul", "forward", [(3,)]),
        ("after", "sum", "forward", [()]),
        ("after", "sum", "gradient", [(3,)]),
        ("after", "mul", "gradient", [(3,)]),
    ]
    seen.calls.clear()
    x * 2.0
    assert seen.calls == []


def test_an_observers_own_error_is_not_blamed_on_the_operation(x):
    class Failing(Seen):
        def before(self, call):
            raise ValueError("no more room")

    with pytest.raises(ValueError, match=r"^no more room$"), observe.observe(Failing()):
        x * 2.0


def test_the_same_observer_may_look_on_from_nested_blocks(x):
    seen = Seen()
    with observe.observe(seen):
        with observe.observe(seen):
            x * 2.0
        assert len(seen.calls) == 4
        x * 2.0
        assert len(seen.calls) == 6


def test_observing_changes_no_bits(x):
    def run():
        x.grad = None
        (x * x * 0.3).sum().backward()
        return x.grad.numpy().tobytes()

    plain = run()
    with observe.observe(Seen()):
        assert run() == plain


def test_interceptors_change_calls_before_observers_see_them(x):
    def double(op, inputs, params, proceed):
        return proceed((inputs[0], 2 * inputs[1]) if op.name == "mul" else inputs, params)

    with observe.intercept(double):
        y = x * 3.0
    np.testing.assert_array_equal(y.numpy(), 6 * x.numpy())


# ---------------------------------------------------------------- clear errors


def test_errors_name_what_was_given(x):
    with pytest.raises(ShapeError, match=r"add\(float64\[3\], float32\[4\]\)"):
        x + mg.ones(4)
    with pytest.raises(DtypeError, match="takes tensors and numbers, not str"):
        x + "1"
    with pytest.raises(DtypeError, match="one dtype"):
        mg.ones(2, 2).matmul(mg.ones(2, 2, dtype="float64"))
    with pytest.raises(DeviceError, match="unknown device 'tpu'"):
        mg.ones(2, device="tpu")
    with pytest.raises(TypeError, match="by position"):
        mg.mul(x)
    with pytest.raises(TypeError, match="exp has no option out; it has none"):
        mg.exp(x, out=None)
    with pytest.raises(DtypeError, match="only floating-point tensors"):
        mg.arange(3).requires_grad_()


def test_a_gradient_of_the_wrong_shape_is_an_error(x):
    @operation(name="_wrong", formula="", source="test", samples=lambda draw: [])
    def wrong(xp, x):
        return x * 1

    try:

        @wrong.gradient
        def wrong_gradient(xp, gy):
            return xp.sum(gy)

        with pytest.raises(GraphError, match=r"shape \[\] for input 0 of shape \[3\]"):
            wrong(x).sum().backward()
        with pytest.raises(MinigradError, match="asks for z"):
            wrong.gradient(lambda xp, gy, z: gy)
    finally:
        REGISTRY.pop("_wrong")


def test_a_kernel_stands_in_for_the_plain_definition_or_declines(x, monkeypatch):
    ran = []

    def forward(xp, a, b):
        ran.append("forward")
        return None if isinstance(b, float) and b == 2.0 else xp.multiply(a, b)

    def gradient(xp, gy, a, b, needs):
        ran.append("gradient")
        return None if b == 2.0 else (gy * b, None)

    monkeypatch.setitem(x.backend.kernels, "mul", Kernel(forward, gradient))
    for factor in (2.0, 3.0):
        x.grad = None
        (x * factor).sum().backward()
        assert x.grad.tolist() == [factor] * 3
    assert ran == ["forward", "gradient"] * 2
    (g,) = mg.grad(
        (x * x).sum(), x, create_graph=True
    )  # what is to be differentiated again runs the plain gradient
    assert "gradient" not in ran[4:]
    np.testing.assert_array_equal(g.numpy(), 2 * x.numpy())
