"""Hooks on modules in full: order, keyword arguments, and gradients as PyTorch shows them."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import GraphError


def make_mixer(lib):
    """Tensors and others in, tensors and others out."""

    class Mixer(lib.Module):
        def forward(self, a, b, number, c=None):
            return a * b * number, 5, a * 3 if c is None else a * c

    return Mixer()


def tensors(lib):
    make = mg.tensor if lib is mg else lib.tensor
    one, two = np.array([1.0, -2.0, 3.0]), np.array([0.5, 4.0, -1.0])
    return make(one, requires_grad=True), make(two, requires_grad=True)


def numbers(value):
    """Gradients as nested lists, whichever library they come from."""
    if isinstance(value, (tuple, list)):
        return tuple(numbers(v) for v in value)
    return None if value is None else value.tolist()


def both(torch, scenario):
    """What a scenario reports with each library."""
    ours, theirs = scenario(mg), scenario(torch)
    assert ours == theirs
    return ours


def test_gradients_of_inputs_and_outputs(torch):
    def scenario(lib):
        seen = []
        (a, b), module = tensors(lib), make_mixer(lib.nn)
        module.register_full_backward_hook(
            lambda m, gx, gy: seen.append(("hook", m is module, numbers(gx), numbers(gy)))
        )
        module.register_full_backward_pre_hook(lambda m, gy: seen.append(("pre", m is module, numbers(gy))))
        first, five, second = module(a, b, 2)
        assert five == 5
        (first * first.sum() + a * 7).sum().backward(
            retain_graph=True
        )  # a is used elsewhere too: not its business
        second.sum().backward()
        return seen, numbers(a.grad), numbers(b.grad)

    seen, _, _ = both(torch, scenario)
    assert [kind for kind, *_ in seen] == ["pre", "hook", "pre", "hook"]
    assert seen[0][2][1:] == (None, None)  # nothing arrived at the second tensor
    assert seen[3][2] == ([3, 3, 3], [0, 0, 0], None)  # b does not influence it


def test_hooks_replace_gradients_in_order(torch):
    def scenario(lib):
        (a, b), module, seen = tensors(lib), make_mixer(lib.nn), []

        def scale(name, factor):
            def hook(module, gx, gy):
                seen.append((name, numbers(gx)))
                return tuple(g if g is None else g * factor for g in gx)

            return hook

        module.register_full_backward_hook(scale("middle", 2))
        module.register_full_backward_hook(scale("last", 5))
        module.register_full_backward_hook(scale("first", 3), prepend=True)
        module.register_full_backward_pre_hook(lambda m, gy: (gy[0] * 10, None, None))
        module.register_full_backward_pre_hook(lambda m, gy: (gy[0] + 1, None, None), prepend=True)
        module(a, b, 2)[0].sum().backward()
        return seen, numbers(a.grad), numbers(b.grad)

    seen, _, gb = both(torch, scenario)
    assert [name for name, _ in seen] == ["first", "middle", "last"]
    assert gb == pytest.approx([30 * 20 * 2 * 1, 30 * 20 * 2 * -2, 30 * 20 * 2 * 3])


def test_no_input_requires_grad(torch):
    def scenario(lib):
        seen, layer = [], lib.nn.Linear(2, 1, bias=False)
        layer.register_full_backward_hook(lambda m, gx, gy: seen.append((numbers(gx), numbers(gy))))
        layer(lib.ones(1, 2)).sum().backward()
        return seen, numbers(layer.weight.grad)

    with pytest.warns(UserWarning, match="no inputs require gradients"):  # PyTorch's
        assert both(torch, scenario)[0] == [((None,), ([[1]],))]


@pytest.mark.parametrize("order", [1, 2])
def test_replaced_gradients_can_be_differentiated(torch, order):
    def scenario(lib):
        layer = lib.nn.Tanh()
        layer.register_full_backward_hook(lambda m, gx, gy: (gx[0] ** 2 + gy[0],))
        x, _ = tensors(lib)
        grad = mg.grad if lib is mg else lib.autograd.grad
        (g,) = grad((layer(x) * x.detach()).sum(), x, create_graph=True)
        if order == 2:
            (g,) = grad((g * g).sum(), x)
        return np.round(numbers(g), 12).tolist()

    both(torch, scenario)


def test_nested_modules_each_see_their_own(torch):
    def scenario(lib):
        seen, (x, _) = [], tensors(lib)
        net = lib.nn.Sequential(lib.nn.Sequential(lib.nn.ReLU(), lib.nn.LeakyReLU(0.5)), lib.nn.ReLU())
        for name, module in net.named_modules():
            module.register_full_backward_hook(lambda m, gx, gy, name=name: seen.append((name, numbers(gx))))
        net(x).sum().backward()
        return seen

    assert [name for name, _ in both(torch, scenario)] == ["1", "0.1", "0.0", "0", ""]


def test_a_module_called_twice_keeps_its_calls_apart(torch):
    def scenario(lib):
        seen, (x, _), layer = [], tensors(lib), lib.nn.LeakyReLU(0.5)
        layer.register_full_backward_hook(lambda m, gx, gy: seen.append((numbers(gx), numbers(gy))))
        layer(layer(x) + 1).sum().backward()
        return seen

    assert len(both(torch, scenario)) == 2


def test_values_pass_undisturbed():
    """Values pass the gates as they are, in memory too, and nothing is recorded without gradients."""
    layer = nn.Identity()
    layer.register_full_backward_hook(lambda *_: None)
    x = mg.ones(3)
    with mg.no_grad():
        assert layer(x) is x
    x.requires_grad_()
    y = layer(x)
    assert y.array is x.array
    z = (y * y).sum()
    x.detach().fill_(2)
    with pytest.raises(GraphError, match="changed in place"):
        z.backward()


def test_other_outputs_pass_unwatched():
    class Named(nn.Module):
        def forward(self, x):
            return {"y": x * 2}

    module, (x, _) = Named(), tensors(mg)
    handle = module.register_full_backward_hook(lambda *_: pytest.fail("there is no tensor to watch"))
    module(x)["y"].sum().backward()
    assert x.grad.tolist() == [2, 2, 2]
    handle.remove()
    assert module(x)["y"].grad_fn is not None


def test_half_precision_is_shown_as_it_is():
    layer, seen = nn.ReLU(), []
    layer.register_full_backward_hook(lambda m, gx, gy: seen.extend([str(gx[0].dtype), str(gy[0].dtype)]))
    x = mg.ones(2, dtype="float16", requires_grad=True)
    layer(x).sum().backward()
    assert seen == ["float16", "float16"]
    assert x.grad.dtype == mg.float16


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ((None, None, None), "returned 3 gradients for a grad_input of 1"),
        (5, "returned 5 in grad_input, where a tensor of shape \\[3\\] or None was expected"),
        ((mg.ones(2),), r"returned float32\[2\] in grad_input, where a tensor of shape \[3\]"),
    ],
)
def test_hooks_that_return_something_else(returned, message):
    layer, (x, _) = nn.ReLU(), tensors(mg)
    layer.register_full_backward_hook(lambda *_: returned)
    with pytest.raises(GraphError, match=message):
        layer(x).sum().backward()


def test_a_hook_may_stop_a_gradient():
    layer, (x, _) = nn.ReLU(), tensors(mg)
    layer.register_full_backward_hook(lambda m, gx, gy: (None,))
    (layer(x) + x).sum().backward()
    assert x.grad.tolist() == [1, 1, 1]


# ------------------------------------------------ forward hooks with keyword arguments


def test_forward_hooks_with_keyword_arguments(torch):
    def scenario(lib):
        seen, (a, b), module = [], tensors(lib), make_mixer(lib.nn)

        def report(*values):
            seen.append([sorted(v) if isinstance(v, dict) else numbers(v) for v in values[1:]])

        module.register_forward_pre_hook(lambda m, args: (args[0] + 1, *args[1:]))
        module.register_forward_pre_hook(
            lambda m, args, kwargs: (args[:2], {"number": 3, **kwargs}), with_kwargs=True, prepend=True
        )
        module.register_forward_hook(lambda m, args, y: y[0] * 2)
        module.register_forward_hook(
            lambda m, args, kwargs, y: report(m, kwargs), with_kwargs=True, prepend=True
        )
        return numbers(module(a, b, c=b)), seen

    both(torch, scenario)


def test_a_pre_hook_with_kwargs_returns_both():
    layer = nn.ReLU()
    layer.register_forward_pre_hook(lambda m, args, kwargs: args, with_kwargs=True)
    with pytest.raises(GraphError, match=r"returns None or \(args, kwargs\)"):
        layer(mg.ones(1))
