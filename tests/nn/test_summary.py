"""A model's summary: numbers worked out by hand, and a model that is as before afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.fusing import without_composites
from minigrad.nn.summary import Summary, summary
from models.cnn import SimpleCNN
from models.resnet import resnet18, resnet20


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2, bias=False))


class TestByHand:
    def test_linear_layers(self):
        s = summary(mlp(), (4,), batch_size=10)
        assert [(row.name, row.kind) for row in s.rows] == [
            ("", "Sequential"), ("0", "Linear"), ("1", "ReLU"), ("2", "Linear"),
        ]  # fmt: skip
        assert s.input_shapes == [(10, 4)]
        assert [row.output_shapes for row in s.rows] == [[(10, 2)], [(10, 8)], [(10, 8)], [(10, 2)]]
        assert [row.trainable for row in s.rows] == [0, 4 * 8 + 8, 0, 8 * 2]
        assert [row.flops for row in s.rows] == [0, 2 * 10 * 4 * 8, 10 * 8, 2 * 10 * 8 * 2]
        assert [row.output_bytes for row in s.rows] == [0, 4 * 10 * 8, 4 * 10 * 8, 4 * 10 * 2]
        # The first layer keeps its input, relu its output; the last layer keeps the same memory, counted at relu
        assert [row.kept_bytes for row in s.rows] == [0, 4 * 10 * 4, 4 * 10 * 8, 0]
        assert (s.parameters, s.flops) == (56, 640 + 80 + 320)

    def test_a_convolution(self):
        s = summary(nn.Conv2d(6, 8, (3, 2), stride=2, padding=1, groups=2), (6, 9, 7), batch_size=5)
        (row,) = s.rows
        height, width = (9 + 2 - 3) // 2 + 1, (7 + 2 - 2) // 2 + 1
        assert row.output_shapes == [(5, 8, height, width)]
        assert row.trainable == 8 * 3 * 3 * 2 + 8
        assert row.flops == 2 * 5 * 8 * height * width * (3 * 3 * 2)
        assert row.output_bytes == 4 * 5 * 8 * height * width
        assert row.kept_bytes == 4 * 5 * 6 * 9 * 7

    def test_views_take_no_memory(self):
        s = summary(nn.Sequential(nn.Flatten(), nn.Linear(12, 1)), (3, 4))
        assert s["0"].output_shapes == [(1, 12)]
        assert (s["0"].output_bytes, s["0"].kept_bytes) == (0, 0)
        assert s["1"].kept_bytes == 48

    @pytest.mark.parametrize(("dtype", "itemsize"), [("float64", 8), ("float16", 2), ("bfloat16", 2)])
    def test_the_memory_of_other_dtypes(self, dtype, itemsize):
        s = summary(mlp().to(dtype=mg.as_dtype(dtype)), (4,), batch_size=3)
        assert [row.output_bytes for row in s.rows] == [0, itemsize * 24, itemsize * 24, itemsize * 6]
        assert s.total("kept_bytes") == itemsize * (12 + 24)


def convolutions_and_linear_layers(model: nn.Module, s: Summary) -> int:
    """The FLOPs of these layers by the formula, from their weights and output shapes."""
    total = 0
    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            (shape,) = s[name].output_shapes
            positions = shape[0] * int(np.prod(shape[2:]))
            total += 2 * positions * module.weight.array.size
    return total


class TestResNets:
    def test_resnet18(self):
        """At 224 pixels, 1,814,073,344 multiply-adds are known; those of convolutions shrink with the area."""
        model = resnet18()
        s = summary(model, (3, 32, 32))
        counted = sum(row.flops for row in s.rows if row.kind in ("Conv2d", "Linear"))
        linear = 512 * 1000
        assert counted == 2 * ((1_814_073_344 - linear) * 32 * 32 // (224 * 224) + linear)
        assert counted == convolutions_and_linear_layers(model, s)
        assert s.parameters == 11_689_512
        assert s["layer3.0.downsample.0"].output_shapes == [(1, 256, 2, 2)]
        assert s[""].output_shapes == [(1, 1000)]

    def test_every_model_agrees_with_the_formula(self):
        for model, shape in [(resnet20(), (3, 16, 16)), (SimpleCNN(), (1, 28, 28))]:
            s = summary(model, shape, batch_size=2)
            counted = sum(row.flops for row in s.rows if row.kind in ("Conv2d", "Linear"))
            assert counted == convolutions_and_linear_layers(model, s)
            assert s.parameters == sum(p.array.size for p in model.parameters())

    def test_the_whole_is_what_an_observer_counts(self):
        model = resnet20().eval()
        x = mg.ones(2, 3, 16, 16)
        with mg.profile() as p:
            model(x)
        s = summary(model, (3, 16, 16), batch_size=2)
        assert s.flops == sum(row[2] for row in p.rows.values())

    def test_kept_memory_is_what_the_graph_holds(self):
        """Counted another way: all different arrays that nodes keep, those of the model aside."""
        model = resnet20()
        with without_composites():  # as a summary runs it, to tell the layers apart
            y = model(mg.ones(2, 3, 16, 16))
        own = {id(_base(t.array)) for t in (*model.parameters(), *model.buffers())}
        kept, waiting, seen = {}, [y._node], set()
        while waiting:
            node = waiting.pop()
            if node in seen:
                continue
            seen.add(node)
            for array, _, _ in node.kept.values():
                if isinstance(array, np.ndarray) and id(_base(array)) not in own:
                    kept[id(_base(array))] = _base(array).nbytes
            waiting += [e[0] for e in node.edges if e is not None and not isinstance(e[0], mg.Tensor)]
        s = summary(model, (3, 16, 16), batch_size=2, training=True)
        assert s.total("kept_bytes") == sum(kept.values()) > 0


def _base(array: Any) -> Any:
    return array if array.base is None else _base(array.base)


class TestKindsOfModels:
    def test_shared_modules_and_parameters(self):
        class Twice(nn.Module):
            def __init__(self):
                self.first = nn.Linear(3, 3)
                self.again = self.first
                self.tied = nn.Linear(3, 3)
                self.tied.weight = self.first.weight
                self.unused = nn.Linear(3, 3)

            def forward(self, x):
                return self.tied(self.again(self.first(x)))

        s = summary(Twice(), (3,))
        assert [row.name for row in s.rows] == ["", "first", "tied", "unused"]
        assert s["first"].calls == 2
        assert s["first"].output_shapes == [(1, 3), (1, 3)]
        assert s["first"].flops == 2 * (2 * 3 * 3)
        assert [row.trainable for row in s.rows] == [0, 12, 3, 12]
        assert (s["unused"].calls, s["unused"].flops) == (0, 0)
        lines = str(s).splitlines()
        assert "(1, 3) x2" in lines[3]
        assert "not called" in lines[5]

    def test_several_inputs_and_outputs(self):
        class Pair(nn.Module):
            def __init__(self):
                self.a, self.b = nn.Linear(3, 4), nn.Linear(5, 4)

            def forward(self, x, y, n):
                return {"sum": self.a(x) + self.b(y), "both": (x, n)}

        s = summary(Pair(), [(3,), (5,), ()], batch_size=2, dtype=[None, "float32", "int64"])
        assert s.input_shapes == [(2, 3), (2, 5), (2,)]
        assert s[""].output_shapes == [(2, 4), (2, 3), (2,)]
        assert s[""].flops == 8
        assert s.flops == 8 + 2 * 2 * 4 * (3 + 5)

    def test_shapes_that_are_complete(self):
        s = summary(nn.Linear(3, 4), (7, 2, 3), batch_size=None)
        assert s.rows[0].output_shapes == [(7, 2, 4)]

    def test_frozen_layers(self):
        model = mlp()
        model[0].requires_grad_(False)
        s = summary(model, (4,), batch_size=10)
        assert [(row.trainable, row.frozen) for row in s.rows] == [(0, 0), (0, 40), (0, 0), (16, 0)]
        assert s.parameters == 56
        assert [row.kept_bytes for row in s.rows] == [0, 0, 0, 4 * 10 * 8], (
            "nothing goes back beyond the last layer"
        )

    def test_operations_outside_of_layers_are_the_models(self):
        class Residual(nn.Module):
            def __init__(self):
                self.inner = nn.Linear(3, 3)

            def forward(self, x):
                return mg.relu(self.inner(x) + x)

        s = summary(Residual(), (3,))
        assert (s[""].flops, s["inner"].flops) == (3 + 3, 18)
        assert s[""].output_bytes == 2 * 12
        assert s[""].kept_bytes == 12

    def test_a_layer_that_fails_and_is_replaced(self):
        class Fails(nn.Module):
            def forward(self, x):
                raise ShapeError("no")

        class Careful(nn.Module):
            def __init__(self):
                self.fails, self.works = Fails(), nn.Linear(3, 3)

            def forward(self, x):
                try:
                    return self.fails(x)
                except ShapeError:
                    return self.works(x)

        class Outer(nn.Module):
            def __init__(self):
                self.careful = Careful()

            def forward(self, x):
                return mg.relu(self.careful(x))

        s = summary(Outer(), (3,))
        assert [(row.name, row.calls, row.flops) for row in s.rows] == [
            ("", 1, 3), ("careful", 1, 0), ("careful.fails", 0, 0), ("careful.works", 1, 18),
        ]  # fmt: skip

    def test_training_mode(self):
        model = nn.Sequential(nn.Dropout(0.5), nn.Linear(100, 2))
        assert summary(model, (100,))["0"].output_bytes == 0
        assert summary(model, (100,), training=True)["0"].output_bytes == 400


class TestTheModelIsAsBefore:
    def state(self, model: nn.Module) -> dict[str, np.ndarray]:
        return {name: t.numpy().copy() for name, t in model.state_dict().items()}

    @pytest.mark.parametrize("training", [True, False])
    def test_everything(self, training):
        class Counts(nn.Module):
            def __init__(self):
                self.layers = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Dropout(0.5), nn.ReLU())
                self.calls = 0
                self.register_buffer("last", mg.zeros(1))

            def forward(self, x):
                self.calls += 1
                self.last = x[:1, 0, 0, 0].detach() + mg.rand(1)
                return self.layers(x)

        model = Counts()
        model.layers[1].eval()
        seen = []
        handle = model.layers[0].register_forward_hook(lambda module, args, y: seen.append(1))
        arrays = [t.array for t in (*model.parameters(), *model.buffers())]
        before, attributes = self.state(model), [dict(vars(m)) for m in model.modules()]
        kept = (model.layers[1].running_mean * mg.ones(3, requires_grad=True)).sum()  # a graph from before
        rng = mg.get_backend().rng
        expected = np.random.Generator(type(rng.bit_generator)())
        expected.bit_generator.state = rng.bit_generator.state

        summary(model, (2, 5, 5), batch_size=4, training=training)

        assert all(t.array is a for t, a in zip((*model.parameters(), *model.buffers()), arrays, strict=True))
        after = self.state(model)
        assert all(np.array_equal(before[name], after[name]) for name in before)
        assert [dict(vars(m)) for m in model.modules()] == attributes
        assert [m.training for m in model.modules()] == [True, True, True, False, True, True]
        assert mg.get_backend().rng is rng
        assert np.array_equal(rng.random(5), expected.random(5))
        assert all(p.grad is None for p in model.parameters())
        kept.backward()  # nothing was written to that it needs
        handle.remove()
        assert not model.layers[0]._forward_hooks
        assert len(seen) == 1

    def test_after_an_error_too(self):
        model = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(3, 2))
        before, hooks = self.state(model), [dict(vars(m)) for m in model.modules()]
        with pytest.raises(ShapeError):
            summary(model, (4,), batch_size=3, training=True)
        after = self.state(model)
        assert all(np.array_equal(before[name], after[name]) for name in before)
        assert [dict(vars(m)) for m in model.modules()] == hooks

    def test_gradients_are_recorded_where_they_were_switched_off(self):
        with mg.no_grad():
            assert summary(mlp(), (4,)).total("kept_bytes") > 0
            assert not mg.is_grad_enabled()


class TestText:
    def test_the_table(self):
        text = str(summary(mlp(), (4,), batch_size=1000))
        lines = text.splitlines()
        assert lines[0].split() == [
            "layer",
            "kind",
            "output",
            "shape",
            "trainable",
            "frozen",
            "FLOPs",
            "output",
            "kept",
            "for",
            "backward",
        ]
        assert lines[3].split("  ")[0] == "0"
        assert "Linear" in lines[3]
        assert "(1000, 8)" in lines[3]
        assert "64.0 K" in lines[3]
        assert "31.2 KiB" in lines[3]
        assert lines[7].split()[:4] == ["total", "56", "0", "104"]
        assert "(1000, 4) in evaluation mode" in lines[8]
        assert repr(summary(mlp(), (4,), batch_size=1000)) == text

    def test_rows_by_name(self):
        assert summary(mlp(), (4,))["2"].kind == "Linear"
        with pytest.raises(ArgumentError, match=r"no module '3'.*'0', '1', '2'"):
            summary(mlp(), (4,))["3"]


@pytest.mark.parametrize(
    ("arguments", "options", "match"),
    [
        ((mlp(), 4), {}, "shape of one example"),
        ((mlp(), (4.0,)), {}, "shape of one example"),
        ((mlp(), (-1,)), {}, "shape of one example"),
        ((mlp(), [(4,), 3]), {}, "shape of one example"),
        ((mlp(), (4,)), {"batch_size": 0}, "batch_size"),
        ((mlp(), [(4,)]), {"dtype": ["float32", "float32"]}, "2 dtypes were given for 1 inputs"),
        ((mg.ones(3), (4,)), {}, "takes a Module, not Tensor"),
    ],
)
def test_bad_arguments(arguments, options, match):
    with pytest.raises(ArgumentError, match=match):
        summary(*arguments, **options)
