"""The tree of modules: names, parameters, state, modes, placement and text."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import DeviceError, DtypeError, StateError


class Block(nn.Module):
    """A buffer before the parameters, a child, one that is None, a parameter of its own, and what is no part."""

    def __init__(self, features: int = 3) -> None:
        self.register_buffer("steps", mg.tensor([4]))
        self.register_buffer("cache", mg.zeros(2), persistent=False)
        self.register_buffer("absent", None)
        self.fc = nn.Linear(features, features)
        self.skipped = None
        self.scale = nn.Parameter(mg.full((features,), 2.0))
        self.constant, self.number = mg.ones(2), 3

    def forward(self, x):
        return self.fc(x) * self.scale


class Net(nn.Module):
    def __init__(self) -> None:
        self.layers = nn.Sequential(Block(), nn.ReLU(), Block())
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x):
        return self.norm(self.layers(x))


def names(pairs) -> list[str]:
    return [name for name, _ in pairs]


# ------------------------------------------------ names


def test_names_are_dotted_paths_of_attributes():
    net = Net()
    block = ["scale", "fc.weight", "fc.bias"]
    parameters = [f"layers.{i}.{name}" for i in (0, 2) for name in block] + ["norm.weight", "norm.bias"]
    assert names(net.named_parameters()) == parameters
    assert [p.shape for p in net.parameters()] == [(3,), (3, 3), (3,)] * 2 + [(3,), (3,)]
    running = ["norm.running_mean", "norm.running_var", "norm.num_batches_tracked"]
    assert names(net.named_buffers()) == [
        "layers.0.steps",
        "layers.0.cache",
        "layers.2.steps",
        "layers.2.cache",
        *running,
    ]
    assert len(list(net.buffers())) == 7
    assert names(net.named_modules()) == [
        "",
        "layers",
        "layers.0",
        "layers.0.fc",
        "layers.1",
        "layers.2",
        "layers.2.fc",
        "norm",
    ]
    assert names(net.named_children()) == ["layers", "norm"]
    assert names(Block().named_parameters(prefix="b")) == ["b.scale", "b.fc.weight", "b.fc.bias"]


def test_state_holds_parameters_and_persistent_buffers():
    block = Block()
    assert list(block.state_dict()) == ["scale", "steps", "fc.weight", "fc.bias"]
    state = block.state_dict()
    assert not any(tensor.requires_grad for tensor in state.values())
    state["scale"].fill_(7)
    assert block.scale.tolist() == [7, 7, 7]  # the same memory


def test_submodules_are_found_by_name():
    net = Net()
    assert net.get_submodule("layers.2.fc") is net.layers[2].fc
    assert net.get_submodule("") is net
    with pytest.raises(
        StateError, match=r"no module 'layers\.0\.conv': Block has no child 'conv'; it has fc$"
    ):
        net.get_submodule("layers.0.conv")


def test_what_is_shared_is_listed_once_and_saved_under_each_name():
    net = Net()
    net.layers[2].fc = net.layers[0].fc  # a shared module
    net.norm.bias = net.layers[0].scale  # a shared parameter
    assert names(net.named_parameters()) == [
        "layers.0.scale",
        "layers.0.fc.weight",
        "layers.0.fc.bias",
        "layers.2.scale",
        "norm.weight",
    ]
    assert names(net.named_modules()).count("layers.2.fc") == 0
    assert {"layers.0.fc.weight", "layers.2.fc.weight", "norm.bias"} <= set(net.state_dict())
    assert net.get_submodule("layers.2.fc") is net.layers[0].fc
    other = Net()
    net.load_state_dict(
        {**other.state_dict(), "layers.2.fc.weight": other.state_dict()["layers.0.fc.weight"]}
    )
    assert net.layers[2].fc.weight.tolist() == other.layers[0].fc.weight.tolist()


def test_a_shared_layer_is_applied_each_time_it_stands_in_a_sequence():
    double = nn.Linear(1, 1, bias=False)
    double.weight.data.fill_(2.0)
    net = nn.Sequential(double, double, double)
    assert net(mg.ones(1, 1)).item() == 8
    assert (len(net), len(list(net.children())), len(list(net.parameters()))) == (3, 1, 1)


def test_a_module_may_know_its_parent():
    parent, child = nn.Sequential(nn.ReLU()), nn.ReLU()
    parent.append(child)
    child.parent = parent
    assert names(parent.named_modules()) == ["", "0", "1"]


def test_replacing_an_attribute_changes_the_tree():
    block = Block()
    block.fc = nn.Identity()
    assert names(block.named_parameters()) == ["scale"]
    del block.fc, block.steps
    assert names(block.named_modules()) == [""]
    assert list(block.state_dict()) == ["scale"]
    block.scale = None
    assert not list(block.parameters())


def test_a_plain_tensor_does_not_take_a_parameters_place():
    block = Block()
    with pytest.raises(
        StateError, match=r"scale of Block is a parameter.*nn\.Parameter\(tensor\).*\.scale\.data\.copy_"
    ):
        block.scale = mg.ones(3)
    assert isinstance(block.scale, nn.Parameter)
    block.scale = nn.Parameter(mg.ones(3))
    block.steps = mg.tensor([9])  # a buffer may be replaced by any tensor
    assert block.state_dict()["steps"].tolist() == [9]


# ------------------------------------------------ parameters


def test_a_parameter_is_a_leaf_on_the_memory_it_was_given():
    source = mg.ones(2)
    parameter = nn.Parameter(source)
    assert parameter.requires_grad
    assert parameter.is_leaf
    y = (parameter * parameter).sum()
    source.fill_(3)  # the memory is shared, and so is the count of writes to it
    assert parameter.tolist() == [3, 3]
    with pytest.raises(mg.errors.GraphError, match="changed in place"):
        y.backward()
    assert not nn.Parameter([1.0], requires_grad=False).requires_grad
    with pytest.raises(DtypeError, match="int64"):
        nn.Parameter([1, 2])
    assert repr(nn.Parameter([1.0])) == "Parameter containing:\ntensor([1.], requires_grad=True)"


# ------------------------------------------------ loading


def snapshot(module) -> dict[str, list]:
    return {name: tensor.tolist() for name, tensor in module.state_dict().items()}


def test_state_goes_from_one_module_to_another():
    one, other = Net(), Net()
    one.layers[0].steps.fill_(11)
    weight = other.layers[0].fc.weight
    assert snapshot(one) != snapshot(other)
    result = other.load_state_dict(one.state_dict())
    assert snapshot(one) == snapshot(other)
    assert other.layers[0].fc.weight is weight
    assert weight.requires_grad
    assert result == ([], [])
    one.layers[0].steps.fill_(0)
    assert other.layers[0].steps.tolist() == [11]  # a copy


def test_numpy_arrays_are_loaded_and_cast():
    layer = nn.Linear(2, 1)
    layer.load_state_dict({"weight": np.array([[1.0, 2.0]]), "bias": mg.tensor([3])})
    assert layer.weight.dtype == layer.bias.dtype == mg.float32
    assert snapshot(layer) == {"weight": [[1, 2]], "bias": [3]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("0.bias"), r"^the state does not fit Sequential: 0\.bias is missing$"),
        (lambda s: s.update(extra=mg.ones(1)), r"extra is not expected$"),
        (
            lambda s: s.update({"1.weight": mg.ones(4)}),
            r"1\.weight has shape \[4\], expected \[1, 2\]$",
        ),
        (
            lambda s: (s.pop("1.bias"), s.update(more=mg.ones(1))),
            r"1\.bias is missing; more is not expected$",
        ),
    ],
)
def test_nothing_is_loaded_unless_everything_fits(change, message):
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    before, state = snapshot(net), {name: mg.zeros_like(t) for name, t in net.state_dict().items()}
    change(state)
    with pytest.raises(StateError, match=message):
        net.load_state_dict(state)
    assert snapshot(net) == before


def test_loading_in_part():
    layer = nn.Linear(2, 1)
    bias = layer.bias.tolist()
    result = layer.load_state_dict({"weight": mg.zeros(1, 2), "other": mg.ones(1)}, strict=False)
    assert result.missing_keys == ["bias"]
    assert result.unexpected_keys == ["other"]
    assert (layer.weight.tolist(), layer.bias.tolist()) == ([[0, 0]], bias)
    with pytest.raises(StateError, match=r"weight has shape \[2\]"):
        layer.load_state_dict({"weight": mg.zeros(2)}, strict=False)
    with pytest.raises(StateError, match=r"not str; read a file with mg\.load"):
        layer.load_state_dict("weights.safetensors")


# ------------------------------------------------ modes and gradients


def test_training_mode_goes_down_the_tree():
    net = Net()
    assert all(module.training for module in net.modules())
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    net.layers[0].train()
    assert [module.training for module in net.modules()] == [
        False,
        False,
        True,
        True,
        False,
        False,
        False,
        False,
    ]
    net.train()
    assert all(module.training for module in net.modules())


def test_freezing():
    net = Net()
    assert net.layers[0].requires_grad_(False) is net.layers[0]
    net(mg.randn(4, 3)).square().sum().backward()
    frozen = {name for name, p in net.named_parameters() if p.grad is None}
    assert frozen == {"layers.0.scale", "layers.0.fc.weight", "layers.0.fc.bias"}
    assert "layers.0.scale" in net.state_dict()
    net.requires_grad_()
    assert all(p.requires_grad for p in net.parameters())


def test_gradients_are_forgotten_or_set_to_zero():
    layer = nn.Linear(2, 1)
    layer(mg.ones(1, 2)).sum().backward(create_graph=True)
    layer.zero_grad(set_to_none=False)
    assert [p.grad.tolist() for p in layer.parameters()] == [[[0, 0]], [0]]
    layer.zero_grad()
    assert [p.grad for p in layer.parameters()] == [None, None]
    layer.zero_grad(set_to_none=False)
    assert layer.weight.grad is None


# ------------------------------------------------ placement


def test_to_converts_floating_point_in_place():
    net = Net()
    parameter = net.layers[0].scale
    net(mg.randn(4, 3)).sum().backward()
    assert net.to(mg.float64) is net
    assert net.layers[0].scale is parameter
    assert (
        {str(t.dtype) for t in net.parameters()}
        == {str(p.grad.dtype) for p in net.parameters()}
        == {"float64"}
    )
    assert net.norm.running_mean.dtype == mg.float64
    assert net.norm.num_batches_tracked.dtype == net.layers[0].steps.dtype == mg.int64
    assert net(mg.randn(4, 3, dtype="float64")).dtype == mg.float64
    optimizer = mg.optim.SGD(net.parameters(), lr=1.0)
    before = snapshot(net)
    optimizer.step()  # the optimiser holds the same objects
    assert snapshot(net) != before
    assert net.float().layers[0].scale.dtype == mg.float32
    assert net.double().to("cpu").to(device="cpu", dtype="float16").layers[0].scale.dtype == mg.float16
    assert all(p.requires_grad and p.is_leaf for p in net.parameters())


def test_to_refuses_what_cannot_be():
    net = Net()
    before = snapshot(net)
    with pytest.raises(DtypeError, match="floating-point types only, not to int64"):
        net.to(mg.int64)
    with pytest.raises(DeviceError, match="tpu"):
        net.to("tpu")
    assert snapshot(net) == before


def test_a_deep_copy_is_independent():
    net = Net()
    net.norm.bias = net.layers[0].scale
    twin = copy.deepcopy(net)
    assert snapshot(twin) == snapshot(net)
    assert twin.norm.bias is twin.layers[0].scale
    x, before = mg.randn(4, 3), snapshot(net)
    twin.eval()
    assert net.training
    net.eval()
    assert twin(x).tolist() == net(x).tolist()
    twin.layers[0].scale.data.fill_(0)
    assert snapshot(net) == before


# ------------------------------------------------ text


@pytest.mark.oracle
def test_repr_is_pytorchs(torch):
    def build(lib):
        return lib.Sequential(
            lib.Conv2d(3, 8, 3, padding=1, bias=False),
            lib.Conv2d(8, 8, (1, 3), (2, 1), "valid", 2, 4),
            lib.Sequential(lib.MaxPool2d(3, 2, padding=1), lib.AvgPool2d(2)),
            lib.ModuleList([lib.Linear(2, 3), lib.Identity()]),
            lib.AdaptiveAvgPool2d((1, None)),
            lib.Flatten(),
            lib.ReLU(),
        )

    ours, theirs = repr(build(nn)), repr(build(torch.nn))
    assert ours == theirs


def test_repr_shows_own_facts_before_children():
    class Scaled(nn.Sequential):
        def extra_repr(self):
            return "scale=2"

    assert repr(Scaled(nn.ReLU())) == "Scaled(\n  scale=2\n  (0): ReLU()\n)"
    assert repr(nn.BatchNorm2d(4)) == (
        "BatchNorm2d(4, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)"
    )
    assert repr(nn.Dropout(0.2)) == "Dropout(p=0.2)"
