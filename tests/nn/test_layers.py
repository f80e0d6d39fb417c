"""Each layer against PyTorch's of the same name with the same weights; initialisers; what layers refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn import functional as F
from minigrad.nn import init

RTOL = 1e-9


def assert_close(got, expected, what: str) -> None:
    """Largest difference relative to the largest magnitude, shapes and dtypes included."""
    got, expected = got.detach().numpy(), expected.detach().numpy()
    assert (got.shape, str(got.dtype)) == (expected.shape, str(expected.dtype)), what
    np.testing.assert_allclose(
        got, expected, rtol=0, atol=RTOL * np.abs(expected).max(initial=1e-300), err_msg=what
    )


def compare(torch, ours, theirs, x: np.ndarray, *, target=None, mode: str = "train") -> None:
    """Output, gradients of input and parameters, and the buffers afterwards; weights are copied by name."""
    ours, theirs = ours.double(), theirs.double()
    with torch.no_grad():
        for name, value in theirs.state_dict().items():
            if (
                value.is_floating_point()
            ):  # not their initial values: those of two layers could agree by chance
                value.copy_(
                    torch.from_numpy(np.random.default_rng(len(name)).uniform(0.5, 1.5, tuple(value.shape)))
                )
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    getattr(ours, mode)()
    getattr(theirs, mode)()
    a, b = mg.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    extra = ([], []) if target is None else ([mg.tensor(target)], [torch.tensor(target)])
    y, z = ours(a, *extra[0]), theirs(b, *extra[1])
    assert_close(y, z, "output")
    seed = np.random.default_rng(1).standard_normal(tuple(z.shape))
    y.backward(mg.tensor(seed))
    z.backward(torch.tensor(seed))
    assert_close(a.grad, b.grad, "gradient of the input")
    for (name, p), (_, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert_close(p.grad, q.grad, f"gradient of {name}")
    for (name, p), (_, q) in zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True):
        assert_close(p, q, f"{name} afterwards")


LAYERS = {
    "Linear": (lambda lib: lib.Linear(5, 3), (4, 5)),
    "Linear of sequences": (lambda lib: lib.Linear(5, 3, bias=False), (2, 4, 5)),
    "Linear of one vector": (lambda lib: lib.Linear(5, 3), (5,)),
    "Conv2d": (lambda lib: lib.Conv2d(3, 4, 3), (2, 3, 6, 5)),
    "Conv2d with all options": (
        lambda lib: lib.Conv2d(4, 6, (3, 2), (2, 1), (2, 0), (1, 2), 2, bias=False),
        (2, 4, 7, 6),
    ),
    "Conv2d same": (lambda lib: lib.Conv2d(2, 4, (4, 3), padding="same", groups=2), (2, 2, 5, 6)),
    "Conv2d valid": (lambda lib: lib.Conv2d(2, 3, 2, padding="valid"), (2, 5, 6)),
    "BatchNorm1d of vectors": (lambda lib: lib.BatchNorm1d(3), (6, 3)),
    "BatchNorm1d of sequences": (lambda lib: lib.BatchNorm1d(3, eps=1e-2, momentum=0.5), (2, 3, 4)),
    "BatchNorm2d": (lambda lib: lib.BatchNorm2d(3), (2, 3, 4, 5)),
    "BatchNorm2d without weights": (lambda lib: lib.BatchNorm2d(3, affine=False), (2, 3, 4, 5)),
    "BatchNorm2d without memory": (
        lambda lib: lib.BatchNorm2d(3, track_running_stats=False),
        (2, 3, 4, 5),
    ),
    "MaxPool2d": (lambda lib: lib.MaxPool2d(2), (2, 3, 5, 6)),
    "MaxPool2d with all options": (
        lambda lib: lib.MaxPool2d((3, 2), 2, (1, 0), (1, 2), False, True),
        (2, 3, 6, 7),
    ),
    "AvgPool2d": (lambda lib: lib.AvgPool2d(2), (2, 3, 5, 6)),
    "AvgPool2d with all options": (lambda lib: lib.AvgPool2d(3, (2, 1), (1, 1), True, False), (2, 3, 6, 7)),
    "AvgPool2d with a divisor": (lambda lib: lib.AvgPool2d(2, divisor_override=3), (2, 3, 4, 4)),
    "AdaptiveAvgPool2d": (lambda lib: lib.AdaptiveAvgPool2d((3, None)), (2, 3, 7, 5)),
    "ReLU": (lambda lib: lib.ReLU(), (3, 4)),
    "Flatten": (lambda lib: lib.Flatten(1, 2), (2, 3, 4, 5)),
    "Identity": (lambda lib: lib.Identity(7), (2, 3)),
    "Dropout of nothing": (lambda lib: lib.Dropout(0.0), (2, 3)),
    "Dropout of everything": (lambda lib: lib.Dropout(1.0), (2, 3)),
}


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore:Using padding='same'")  # PyTorch on its own speed
@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("name", LAYERS)
def test_layer(torch, rng, name, mode):
    make, shape = LAYERS[name]
    compare(torch, make(nn), make(torch.nn), rng.standard_normal(shape), mode=mode)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight": True, "ignore_index": 1, "label_smoothing": 0.2},
        {"weight": True, "reduction": "sum"},
        {"reduction": "none"},
    ],
)
def test_cross_entropy_loss(torch, rng, options):
    weight = np.array([0.5, 2.0, 1.0])
    target = np.array([[0, 2], [1, 1], [2, 0], [2, 2]])
    ours, theirs = dict(options), dict(options)
    if options.get("weight"):
        ours["weight"], theirs["weight"] = mg.tensor(weight), torch.tensor(weight)
    x = rng.standard_normal((4, 3, 2))
    compare(
        torch, nn.CrossEntropyLoss(**ours), torch.nn.CrossEntropyLoss(**theirs), x, target=target, mode="eval"
    )


@pytest.mark.oracle
@pytest.mark.parametrize("momentum", [None, 0.3])
def test_running_averages_over_several_batches(torch, rng, momentum):
    """With momentum None they are plain averages over the batches, which the mean of batch means shows directly."""
    ours = nn.BatchNorm2d(2, momentum=momentum).double()
    theirs = torch.nn.BatchNorm2d(2, momentum=momentum).double()
    batches = rng.standard_normal((5, 3, 2, 4, 4)) * 2 + 1
    for batch in batches:
        ours(mg.tensor(batch))
        theirs(torch.tensor(batch))
    assert ours.num_batches_tracked.item() == 5
    for name in ("running_mean", "running_var"):
        assert_close(getattr(ours, name), getattr(theirs, name), name)
    if momentum is None:
        np.testing.assert_allclose(ours.running_mean.numpy(), batches.mean(axis=(0, 1, 3, 4)), rtol=1e-12)
        variances = batches.transpose(0, 2, 1, 3, 4).reshape(5, 2, -1).var(axis=2, ddof=1)
        np.testing.assert_allclose(ours.running_var.numpy(), variances.mean(axis=0), rtol=1e-12)
    state = ours.state_dict()
    before = {name: value.tolist() for name, value in state.items()}
    y = ours.eval()(mg.tensor(batches[0]))
    assert {name: value.tolist() for name, value in ours.state_dict().items()} == before
    assert_close(y, theirs.eval()(torch.tensor(batches[0])), "evaluation")


def test_max_pooling_tells_where_its_maxima_were():
    y, indices = nn.MaxPool2d(2, return_indices=True)(mg.tensor([[[1.0, 5.0], [2.0, 3.0]]]))
    assert (y.tolist(), indices.tolist()) == ([[[5]]], [[[1]]])


def test_dropout_drops_in_training_only():
    layer, x = nn.Dropout(0.25), mg.ones(20000)
    y = layer(x).numpy()
    assert set(y.tolist()) == {0.0, np.float32(4 / 3)}
    assert abs((y == 0).mean() - 0.25) < 0.015
    assert layer.eval()(x) is x


def test_a_dtype_is_kept():
    layer = nn.Sequential(
        nn.Conv2d(1, 2, 3, dtype="float64"), nn.BatchNorm2d(2, dtype="float64"), nn.Flatten()
    )
    head = nn.Linear(18, 1, dtype="float64")
    assert {str(t.dtype) for t in [*layer.parameters(), *head.parameters()]} == {"float64"}
    assert head(layer(mg.randn(2, 1, 5, 5, dtype="float64"))).dtype == mg.float64


# ------------------------------------------------ initialisers


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("uniform_", {"a": -2.0, "b": 3.0}),
        ("normal_", {"mean": 1.0, "std": 0.5}),
        ("xavier_uniform_", {"gain": 2.0}),
        ("xavier_normal_", {}),
        ("kaiming_uniform_", {"a": math.sqrt(5)}),
        ("kaiming_uniform_", {"mode": "fan_out", "nonlinearity": "relu"}),
        ("kaiming_normal_", {"nonlinearity": "tanh"}),
        ("kaiming_normal_", {"mode": "fan_out", "nonlinearity": "relu"}),
    ],
)
@pytest.mark.parametrize("shape", [(200, 100), (64, 32, 3, 5)])
def test_initialisers_have_pytorchs_distribution(torch, name, options, shape):
    torch.manual_seed(0)
    tensor = mg.empty(shape, requires_grad=True)
    assert getattr(init, name)(tensor, **options) is tensor
    ours = tensor.detach().numpy()
    theirs = getattr(torch.nn.init, name)(torch.empty(shape), **options).numpy()
    standard_error = theirs.std() / math.sqrt(theirs.size)
    assert abs(ours.mean() - theirs.mean()) < 6 * standard_error
    assert abs(ours.std() / theirs.std() - 1) < 0.03
    if (
        "uniform" in name
    ):  # then the largest magnitudes tell the bounds; of 20,000 numbers they lie within a thousandth
        span = theirs.max() - theirs.min()
        assert abs(ours.max() - theirs.max()) < 2e-3 * span
        assert abs(ours.min() - theirs.min()) < 2e-3 * span


def test_layers_begin_in_bounds_of_their_fan_in():
    for layer, fan_in in [(nn.Linear(50, 400), 50), (nn.Conv2d(8, 400, (3, 5), groups=4), 30)]:
        bound = 1 / math.sqrt(fan_in)
        for parameter in layer.parameters():
            values = np.abs(parameter.detach().numpy())
            assert values.max() <= bound
            assert values.max() > 0.98 * bound
            assert abs(values.mean() - bound / 2) < 0.1 * bound
    assert nn.Linear(3, 2, bias=False).bias is None


def test_initialisers_follow_the_seed():
    def weights():
        mg.manual_seed(3)
        return nn.Conv2d(2, 3, 3).weight.tolist()

    assert weights() == weights() != nn.Conv2d(2, 3, 3).weight.tolist()


def test_constants_and_gains(torch):
    assert init.constant_(mg.empty(2), 3).tolist() == [3, 3]
    assert init.zeros_(mg.empty(2, dtype="bfloat16")).tolist() == [0, 0]
    assert init.ones_(mg.empty(2)).tolist() == [1, 1]
    for name in ("linear", "conv2d", "sigmoid", "tanh", "relu", "selu", "leaky_relu"):
        assert init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name), rel=1e-15)
    gain = torch.nn.init.calculate_gain("leaky_relu", 0.3)
    assert init.calculate_gain("leaky_relu", 0.3) == pytest.approx(gain, rel=1e-15)


# ------------------------------------------------ errors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Linear(0, 3), "at least one feature on each side, not 0 and 3"),
        (
            lambda: nn.Conv2d(3, 4, 3, groups=2),
            "3 input and 4 output channels cannot be divided into 2 groups",
        ),
        (lambda: nn.Conv2d(3, 0, 3), "0 output channels"),
        (lambda: nn.Conv2d(3, 4, 0), "kernel_size must be an int or 2 of them, 1 or more; got 0"),
        (lambda: nn.Conv2d(3, 4, (3, 3, 3)), r"kernel_size must .* got \(3, 3, 3\)"),
        (lambda: nn.Conv2d(3, 4, 3, stride=0), "stride must .* got 0"),
        (lambda: nn.Conv2d(3, 4, 3, padding=-1), "padding must .* 0 or more; got -1"),
        (lambda: nn.Conv2d(3, 4, 3, padding="full"), "padding must be ints, .* not 'full'"),
        (lambda: nn.Conv2d(3, 4, 3, stride=2, padding="same"), r"stride 1 .* with stride \(2, 2\)"),
        (lambda: nn.BatchNorm2d(0), "BatchNorm2d needs at least one channel, not 0"),
        (lambda: nn.BatchNorm1d(3, momentum=2), "momentum in .* not 1e-05 and 2"),
        (lambda: nn.Dropout(1.5), "p must be a probability, 0 to 1, not 1.5"),
        (lambda: nn.MaxPool2d(0), "MaxPool2d: kernel_size must .* got 0"),
        (lambda: nn.AvgPool2d(2, stride=(1, 0)), r"AvgPool2d: stride must .* got \(1, 0\)"),
        (lambda: init.normal_(mg.zeros(2), std=-1), "std >= 0, not -1"),
        (lambda: init.uniform_(mg.zeros(2), 1, 0), "a <= b, not 1 and 0"),
        (
            lambda: init.kaiming_normal_(mg.zeros(2, 2), mode="fan"),
            "mode must be fan_in or fan_out, not 'fan'",
        ),
        (lambda: init.calculate_gain("relu7"), "no gain is known for 'relu7'"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.Linear(3, 2)(mg.ones(4, 5)), r"4, 5"),
        (lambda: nn.Conv2d(3, 2, 3)(mg.ones(1, 4, 5, 5)), "has 4 channels"),
        (
            lambda: nn.BatchNorm2d(3)(mg.ones(2, 3)),
            r"BatchNorm2d\(3\) takes 4-dimensional inputs with 3 channels, not shape \[2, 3\]",
        ),
        (
            lambda: nn.BatchNorm1d(3)(mg.ones(2, 4)),
            r"takes 2-dimensional or 3-dimensional inputs with 3 channels, not shape \[2, 4\]",
        ),
        (lambda: nn.BatchNorm1d(3)(mg.ones(1, 3)), "two values per channel"),
        (lambda: init.xavier_uniform_(mg.zeros(3)), r"at least 2 dimensions, not shape \[3\]"),
    ],
)
def test_wrong_shapes(call, message):
    with pytest.raises(ShapeError, match=message):
        call()


# ------------------------------------------------ functional


@pytest.mark.oracle
def test_functional_is_what_pytorch_has_there(torch):
    """Every operation that PyTorch keeps in torch.nn.functional is there; of our own, layers in a row and no more."""
    theirs = {name for name in dir(torch.nn.functional) if callable(getattr(torch.nn.functional, name))}
    rows_of_layers = {"batch_norm_act", "conv_bn_act", "linear_act"}
    ours = {name for name in vars(F) if not name.startswith("_")} - rows_of_layers
    assert not rows_of_layers & theirs
    assert ours <= theirs
    assert {name for name in mg.ops.PUBLIC if name in theirs} == ours
    for name in ours:
        assert getattr(F, name) is getattr(mg, name)
