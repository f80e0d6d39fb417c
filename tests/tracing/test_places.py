"""Where an operation ran: module, line of the user's code, batch; and finding records by them."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import minigrad as mg
import models
from minigrad import nn, observe
from minigrad.errors import ArgumentError
from minigrad.nn import functional as F
from minigrad.tracing.source_line import users_line


def modules(trace) -> list[tuple[str, ...]]:
    return [record.modules for record in trace]


def test_operations_outside_of_modules_have_no_path():
    with mg.trace("meta") as t:
        mg.exp(mg.ones(2))
    assert (modules(t), t[0].module, t[0].batch, t.modules) == ([()], None, None, {})


def test_paths_are_those_of_the_tree_that_was_called():
    net = models.resnet8(in_channels=1)
    with mg.trace("meta") as t:
        net(mg.ones(2, 1, 8, 8)).sum()
    paths = {m for r in t for m in r.modules}
    assert {"conv1", "bn1", "layer1.0.conv1", "layer1.0.bn2", "layer2.0.downsample.0", "fc"} <= paths
    assert t.modules[""] == "ResNet"
    assert t.modules["layer1.0.conv1"] == "Conv2d"
    assert t["layer1.0.conv1"].modules == ("layer1.0.conv1", "layer1.0.bn1")
    assert t["layer1.0.bn1"] is t["layer1.0.conv1"]
    assert t["layer1.0.conv1"].input("w").parameter == "layer1.0.conv1.weight"
    assert t["fc"].module == "fc"
    assert [r.modules for r in t][-1] == ()  # the sum
    assert {r.batch for r in t} == {0}


class Holder(nn.Module):
    """Layers in an attribute, in a list that is no ModuleList, and one that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(3, 3)
        self.again = self.shared
        self.hidden = [nn.Linear(3, 3), nn.Tanh()]
        self.listed = nn.ModuleList([nn.Linear(3, 3)])

    def forward(self, x, deeper=True):
        x = self.again(self.shared(x)) * 2.0
        for layer in [*self.hidden, *self.listed]:
            x = layer(x)
        return self(x, deeper=False) if deeper else x


def test_shared_layers_lists_and_recursion():
    net = Holder()
    with mg.trace("meta") as t:
        net(mg.ones(1, 3))
    once = [("shared",), ("shared",), ("",), ("Linear",), ("Tanh",), ("listed.0",)]
    assert modules(t) == once * 2
    assert len(t["shared"]) == 4
    assert len(t[""]) == 2
    assert {r.batch for r in t} == {0}


def test_a_second_model_and_a_loss_go_by_their_class():
    first, second, third = nn.Linear(2, 3), nn.Linear(3, 2), nn.Linear(2, 2)
    loss, labels = nn.CrossEntropyLoss(), mg.tensor([0, 1])
    with mg.trace("meta") as t:
        for _ in range(2):
            x = first(mg.ones(2, 2))
            mg.exp(x)
            loss(third(second(x)), labels)
    one = [("",), (), ("Linear",), ("Linear_2",), *[("CrossEntropyLoss",)] * (len(t) // 2 - 4)]
    assert modules(t) == one * 2
    assert t.modules == {
        "": "Linear",
        "Linear": "Linear",
        "Linear_2": "Linear",
        "CrossEntropyLoss": "CrossEntropyLoss",
    }
    parameters = [r.input("w").parameter for r in t.find(op="linear")]
    assert parameters == ["weight", "Linear.weight", "Linear_2.weight"] * 2
    half = len(t) // 2
    assert [r.batch for r in t] == [0] * half + [1] * half


def test_a_gradient_belongs_to_the_module_of_its_forward():
    seen = []

    class Look:
        def before(self, call):
            pass

        def after(self, call):
            seen.append((call.op.name, call.phase, call.modules))

    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    with observe.observe(Look()):
        net(mg.ones(1, 2)).sum().backward()
    assert seen[0][2] == ("0",)
    assert seen[-1] == (seen[0][0], "gradient", ("0",))


def test_attention_embedding_and_dropout_have_their_places():
    net = models.CharTransformer(vocab_size=11, context_length=6, n_layer=1, n_head=2, n_embd=8, dropout=0.5)
    tokens = mg.tensor(np.arange(12).reshape(2, 6) % 11)
    with mg.trace("full") as t:
        F.cross_entropy(net(tokens).flatten(0, 1), tokens.flatten()).backward()
    assert t.modules["h.0.attn"] == "CausalSelfAttention"
    assert "wte" in {r.module for r in t}
    assert t["h.0.attn.c_attn"].op.name == "linear"
    inside = t.find(module="h.0")
    assert {r.module for r in inside} >= {"h.0.attn.c_attn", "h.0.ln_1", "h.0.mlp.c_fc", "h.0"}
    assert any(r.random_state is not None for r in t.find(module="h.0.attn.resid_dropout"))
    # The head's weight is the embedding's: one tensor, under the first of its names
    readers = [x.parameter for r in t for x in r.inputs if getattr(x, "parameter", None) == "wte.weight"]
    assert len(readers) == 2
    assert t.replay() == []


def test_two_threads_have_paths_of_their_own():
    nets = {n: nn.Sequential(nn.Linear(n, n), nn.Linear(n, n)) for n in (2, 3)}
    threads = [threading.Thread(target=lambda n=n: nets[n](mg.ones(1, n))) for n in nets]
    with mg.trace("meta") as t:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {p.rpartition(".")[2] for (p,) in modules(t)} == {"0", "1"}
    assert len({p.rpartition(".")[0] for (p,) in modules(t)}) == 2


# ---------------------------------------------------------------- lines


def helper(x):
    return mg.exp(x)  # HERE


def test_the_line_is_the_innermost_of_the_users_own():
    with mg.trace("meta") as t:
        helper(mg.ones(2))
        nn.Linear(2, 2)(mg.ones(1, 2))
        F.cross_entropy(mg.zeros(1, 2), mg.tensor([0]))
    own, layer, *loss = t
    assert own.source.file == __file__
    assert (own.source.function, own.source.text) == ("helper", "return mg.exp(x)  # HERE")
    assert "nn.Linear(2, 2)" in layer.source.text
    assert {r.source.text for r in loss} == {"F.cross_entropy(mg.zeros(1, 2), mg.tensor([0]))"}
    assert str(own.source).endswith(f"test_places.py:{own.source.line} in helper")


def test_generators_and_code_without_a_file():
    def batches():
        for _ in range(2):
            yield mg.exp(mg.ones(2))

    with mg.trace("meta") as t:
        list(batches())
        exec("mg.log(mg.ones(2))", {"mg": mg})
    assert t[0].source.function.endswith("batches")
    assert (t[2].source.file, t[2].source.line, t[2].source.text) == ("<string>", 1, "")


def test_no_line_where_there_is_none(monkeypatch):
    from minigrad.tracing import source_line

    monkeypatch.setattr(source_line, "_NOT_THE_USERS", ("",))  # every file's name begins with that
    monkeypatch.setattr(source_line, "_is_own", {})
    assert users_line() is None
    with mg.trace("meta") as t:
        mg.exp(mg.ones(2))
    assert t[0].source is None
    assert t.as_dict()["records"][0]["source"] is None
    assert "exp_1" in str(t[0])


def test_lines_of_equal_functions_in_different_files(tmp_path):
    """Functions that differ in nothing but their file are told apart, one of them being minigrad's."""
    text = "def f(users_line):\n    return users_line()\n"
    own: dict = {}
    users: dict = {}
    exec(compile(text, mg.__file__, "exec"), own)
    exec(compile(text, str(tmp_path / "mine.py"), "exec"), users)
    assert own["f"](users_line).file == __file__
    assert users["f"](users_line).file == str(tmp_path / "mine.py")
    assert own["f"](users_line).file == __file__


# ---------------------------------------------------------------- asking


@pytest.fixture
def trace():
    net = nn.Sequential(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), nn.ReLU())
    with mg.trace("stats") as t:
        mg.relu(net(mg.ones(2, 2)))
    return t


def test_records_are_found_by_number_name_and_path(trace):
    assert trace["relu_3"] is trace[3] is trace[-1] is trace[np.int64(3)]
    assert trace["0.0"] is trace[0]
    assert trace["0.1"].name == "relu_1"
    assert len(trace) == 4
    assert list(trace) == trace.records


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (4, "records 0 to 3, not 4"),
        (-5, "records 0 to 3"),
        ("relu_4", "no operation or module 'relu_4'; close to it: relu_3"),
        ("zzz", "there are linear_1"),
        (1.0, "by number or name, not by 1.0"),
        (None, "by number or name"),
    ],
)
def test_what_is_not_there(trace, key, message):
    with pytest.raises(ArgumentError, match=message):
        trace[key]


def test_filters_of_find(trace):
    def found(*args, **kwargs):
        return [r.name for r in trace.find(*args, **kwargs)]

    assert found("relu_*") == ["relu_1", "relu_2", "relu_3"]
    assert found(op="linear") == ["linear_1"]
    assert found(module="0") == ["linear_1", "relu_1"]
    assert found(module="0.*") == ["linear_1", "relu_1"]
    assert found(module="1") == ["relu_2"]
    assert found("relu*", module="0", where=lambda r: r.number > 0) == ["relu_1"]
    assert found("nothing") == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": "everything"}, "one of meta, stats, full, not 'everything'"),
        ({"budget": -1}, "bytes from 0, not -1"),
        ({"names": [3]}, "names takes patterns"),
        ({"modules": [None]}, "modules takes patterns"),
    ],
)
def test_bad_options_are_refused_at_once(options, message):
    with pytest.raises(ArgumentError, match=message), mg.trace(**options):
        pass
    assert observe.observers == ()
