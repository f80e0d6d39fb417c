"""What a trace writes down of each operation: identity, sizes, arguments, relations, time, memory, work."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import dtypes
from minigrad.errors import ArgumentError
from minigrad.nn import functional as F
from minigrad.tracing import TensorRecord, ValueRecord


def names(trace) -> list[str]:
    return [record.name for record in trace]


def test_a_small_network_by_hand():
    """y = relu(x W^T + b), its sum, and back: each number worked out on paper."""
    layer = mg.nn.Linear(3, 2)
    with mg.no_grad():
        layer.weight.copy_(mg.tensor([[1.0, 0.0, 2.0], [0.0, -1.0, 0.0]]))
        layer.bias.copy_(mg.tensor([0.5, 0.5]))
    x = mg.tensor([[1.0, 2.0, 3.0], [0.0, 1.0, 0.0], [1.0, 0.0, -1.0], [0.0, 0.0, 0.0]])
    with mg.trace("full") as t:
        mg.relu(layer(x)).sum().backward()
    linear, relu, total = t
    assert names(t) == ["linear_1", "relu_1", "sum_1"]
    assert [(r.parents, r.children) for r in t] == [([], [1]), ([0], [2]), ([1], [])]
    given, w, b = linear.inputs
    assert [i.name for i in linear.inputs] == ["x", "w", "b"]
    assert [i.parameter for i in linear.inputs] == [None, "weight", "bias"]
    assert (given.shape, given.dtype, given.device, given.strides) == ((4, 3), np.float32, "cpu", (12, 4))
    assert (w.version, b.version, given.nbytes, w.nbytes) == (2, 2, 48, 24)  # set, then copied to
    # 7.5 -1.5 | 0.5 -0.5 | -0.5 0.5 | 0.5 0.5
    np.testing.assert_array_equal(linear.output().value, [[7.5, -1.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]])
    s = relu.output().statistics
    assert (s.count, s.zeros, s.minimum, s.maximum, s.mean) == (8, 3, 0.0, 7.5, 9.5 / 8)
    assert total.output().value == 9.5
    # The gradient of the loss by the linear's output is 1 where relu let it pass
    g = linear.output().gradient
    assert (g.count, g.zeros, g.mean) == (8, 3, 5 / 8)
    np.testing.assert_array_equal(linear.input("w").gradient_value, [[1, 3, 3], [1, 0, -1]])
    assert linear.input("b").gradient.count == 2
    assert linear.input("b").gradient.mean == 2.5
    assert (linear.flops, relu.flops) == (2 * 4 * 3 * 2, 8)  # a bias is not counted
    assert relu.intensity == 8 / (32 + 32)
    assert [r.bytes_allocated for r in t] == [32, 32, 4]
    assert linear.bytes_saved == linear.bytes_freed
    assert linear.bytes_saved == 48  # x, for the weight's gradient; nobody asks for that of x
    assert relu.bytes_saved == relu.bytes_freed == 32
    assert linear.formula == linear.op.formula != ""
    assert "def linear_gradient" in linear.gradient_code
    assert "def " in linear.forward_code
    for record in t:
        assert 0 < record.forward_seconds < 10
        assert 0 < record.gradient_seconds < 10


def test_operands_that_are_no_tensors():
    with mg.trace("full") as t:
        mg.ones(2) * 3.0
        mg.clamp(mg.ones(2), None, 2.0)
    x, three = t["mul_1"].inputs
    assert isinstance(x, TensorRecord)
    assert (type(three), three.value) == (ValueRecord, 3.0)
    given = {**t["clamp_1"].params, **{i.name: i.value for i in t["clamp_1"].inputs[1:]}}
    assert list(given.values()) == [None, 2.0]
    with pytest.raises(ArgumentError, match=r"mul_1 has no input 'c'.*it has a"):
        t["mul_1"].input("c")


def test_options_are_those_of_the_call_and_the_defaults():
    with mg.trace("meta") as t:
        F.conv2d(mg.ones(1, 2, 5, 5), mg.ones(4, 2, 3, 3), None, 2, 1)
        mg.ones(2, 3).sum(1)
    assert t["conv2d_1"].params["stride"] == (2, 2)
    assert t["conv2d_1"].params["groups"] == 1
    assert t["sum_1"].params == {"dim": (1,), "keepdim": False}


def test_the_same_array_has_one_identity():
    x = mg.ones(3)
    with mg.trace("meta") as t:
        y = x * x
        y.detach() + y
        y.reshape(1, 3)
    mul, add, reshape = t
    assert mul.inputs[0].tensor == mul.inputs[1].tensor
    assert mul.outputs[0].tensor == add.inputs[0].tensor == add.inputs[1].tensor == reshape.inputs[0].tensor
    assert reshape.outputs[0].tensor != reshape.inputs[0].tensor
    assert add.parents == [0]
    assert mul.children == [1, 2]  # each reader once, whatever it reads it for
    assert reshape.bytes_allocated == 0  # a view
    assert add.bytes_allocated == 12


def test_identities_are_not_those_of_arrays_that_are_gone():
    with mg.trace("meta") as t:
        for _ in range(50):
            mg.exp(mg.ones(3))
    seen = [r.inputs[0].tensor for r in t] + [r.outputs[0].tensor for r in t]
    assert len(set(seen)) == 100
    assert all(not r.parents for r in t)


def test_views_tell_their_strides_and_where_they_came_from():
    x = mg.arange(6.0).reshape(2, 3)
    with mg.trace("meta") as t:
        y = x.transpose(0, 1)
        mg.exp(y)
    view, exp = t
    assert (view.outputs[0].shape, view.outputs[0].strides) == ((3, 2), (4, 12))
    assert exp.inputs[0].strides == (4, 12)
    assert exp.parents == [0]


def test_writes_in_place_are_seen_as_versions():
    x = mg.zeros(3)
    with mg.trace("meta") as t:
        mg.exp(x)
        x.fill_(2.0)
        view = x[:2]
        view.zero_()
        mg.exp(x)
    first, second = [r for r in t if r.op.name == "exp"]
    assert (first.inputs[0].version, second.inputs[0].version) == (0, 2)
    assert first.inputs[0].tensor == second.inputs[0].tensor


def test_nothing_is_saved_without_a_gradient():
    x = mg.ones(3, requires_grad=True)
    with mg.trace("stats") as t:
        with mg.no_grad():
            mg.exp(x)
        mg.exp(mg.ones(3))
        mg.exp(x).sum().backward()
    unseen, constant, seen, _ = t
    for record in (unseen, constant):
        assert (record.bytes_saved, record.bytes_freed, record.gradient_seconds) == (0, 0, None)
        assert record.outputs[0].gradient is None
    assert seen.bytes_saved == seen.bytes_freed == 12


def test_a_graph_that_is_retained_is_not_freed():
    x = mg.ones(3, requires_grad=True)
    with mg.trace() as t:
        y = mg.exp(x).sum()
        y.backward(retain_graph=True)
        mg.ones(1) * 1.0
        assert (t[0].bytes_saved, t[0].bytes_freed) == (12, 0)
        seconds = t[0].gradient_seconds
        y.backward()
    assert t[0].bytes_freed == 12
    assert t[0].gradient_seconds > seconds  # of both


def test_the_gradient_of_an_input_has_its_shape():
    """A sum undoes broadcasting: statistics are of what the leaf receives."""
    x, b = mg.ones(4, 3), mg.zeros(3, requires_grad=True)
    with mg.trace("full") as t:
        (x + b).sum().backward()
    kept = t["add_1"].inputs[1]
    assert (kept.gradient.count, kept.gradient.mean) == (3, 4.0)
    np.testing.assert_array_equal(kept.gradient_value, [4, 4, 4])


def test_gradients_of_an_output_are_complete():
    """What several readers send back is added up; of a leaf, each reader shows its own part."""
    x = mg.ones(2, requires_grad=True)
    with mg.trace("stats") as t:
        h = x * 3.0
        (h * 2.0 + h * 5.0).sum().backward()
    assert t["mul_1"].output().gradient.mean == 7
    assert t["mul_1"].inputs[0].gradient.mean == 21
    assert t["mul_2"].output().gradient.mean == 1


def test_an_output_that_nothing_reads_has_no_gradient_or_zeros():
    x = mg.ones(4, requires_grad=True)
    with mg.trace("full") as t:
        a, b = x.chunk(2)
        a.sum().backward()
        mg.exp(b)
    first = t[0]
    assert first.outputs[0].gradient.mean == 1
    assert t.replay() == []


def test_half_precision_counts_its_own_bytes():
    x = mg.ones(8, dtype=mg.float16, requires_grad=True)
    with mg.trace("full") as t:
        mg.exp(x).sum().backward()
    exp = t["exp_1"]
    assert exp.outputs[0].dtype == np.float16
    assert (exp.bytes_allocated, exp.outputs[0].nbytes, exp.bytes_saved) == (16, 16, 16)
    assert exp.inputs[0].gradient_value.dtype == np.float16
    assert t.replay() == []


def test_random_numbers_can_be_drawn_again():
    x = mg.ones(64, 4)
    backend = x.backend
    with mg.trace("full") as t:
        F.dropout(x, 0.5)
        mg.exp(x)
        F.dropout(x, 0.25)
    assert [r.random_state is not None for r in t] == [True, False, True]
    after = backend.rng.bit_generator.state
    for record, p in ((t[0], 0.5), (t[2], 0.25)):
        backend.rng.bit_generator.state = record.random_state
        again = F.dropout(x, p)
        np.testing.assert_array_equal(again.numpy(), record.output().value)
    assert backend.rng.bit_generator.state == after


def test_tracing_draws_no_random_numbers():
    state = mg.ones(1).backend.rng.bit_generator.state
    with mg.trace("stats", expand=True):
        mg.exp(mg.ones(10_000))
    assert mg.ones(1).backend.rng.bit_generator.state == state


@given(
    st.lists(st.integers(0, 4), max_size=4),
    st.sampled_from(["float32", "float64", "float16", "int64", "bool"]),
)
def test_any_shape_and_dtype(shape, dtype):
    x = (
        mg.zeros(*shape, dtype=dtypes.as_dtype(dtype))
        if shape
        else mg.tensor(0).to(dtype=dtypes.as_dtype(dtype))
    )
    with mg.trace("full") as t:
        y = x.reshape(-1)
    (record,) = t
    kept = record.outputs[0]
    assert (kept.shape, kept.dtype, kept.nbytes) == (y.shape, y.dtype, y.array.nbytes)
    assert record.inputs[0].strides == x.array.strides
    assert (kept.statistics is None) == (dtype == "bool")
    if kept.statistics is not None:
        assert kept.statistics.count == kept.statistics.zeros == y.numel()
    assert t.replay() == []
