"""The models: shapes, sizes, names, and residual networks against PyTorch with its weights given by name."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
import models
from minigrad.errors import ArgumentError, ShapeError
from tests.torch_resnet import torch_resnet

RESNET18 = {"blocks": (2, 2, 2, 2), "widths": (64, 128, 256, 512)}


def size(model) -> int:
    return sum(p.numel() for p in model.parameters())


def norm_names(name: str) -> list[str]:
    return [
        f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    ]


def torchvision_names(stages: int, blocks: int, projected: set[int]) -> list[str]:
    """State names by torchvision's rule: in a stage that changes shapes, the first block has a downsample."""
    names = ["conv1.weight", *norm_names("bn1")]
    for stage in range(1, stages + 1):
        for block in range(blocks):
            path = f"layer{stage}.{block}"
            for i in (1, 2):
                names += [f"{path}.conv{i}.weight", *norm_names(f"{path}.bn{i}")]
            if block == 0 and stage in projected:
                names += [f"{path}.downsample.0.weight", *norm_names(f"{path}.downsample.1")]
    return [*names, "fc.weight", "fc.bias"]


def expected_size(depth: int, in_channels: int, classes: int, projection: bool) -> int:
    """Weights and two numbers per channel of each batch norm, layer by layer."""
    n, total, before = (depth - 2) // 6, 9 * in_channels * 16 + 2 * 16, 16
    for width in (16, 32, 64):
        for _ in range(n):
            total += 9 * before * width + 2 * width + 9 * width * width + 2 * width
            if before != width and projection:
                total += before * width + 2 * width
            before = width
    return total + before * classes + classes


# ------------------------------------------------ sizes, names, shapes


def test_resnet18_has_torchvisions_size_and_names():
    model = models.resnet18()
    assert size(model) == 11_689_512
    names = torchvision_names(4, 2, {2, 3, 4})
    assert len(names) == 122
    assert list(model.state_dict()) == names
    assert size(models.resnet18(num_classes=10, stem="small")) == 11_173_962  # its usual form for CIFAR
    plain = models.resnet18(residual=False)
    assert list(plain.state_dict()) == torchvision_names(4, 2, set())


@pytest.mark.parametrize("depth", [8, 14, 20])
@pytest.mark.parametrize("shortcut", ["projection", "pad"])
def test_small_networks_have_the_papers_size(depth, shortcut):
    projection = shortcut == "projection"
    for in_channels, classes in ((1, 10), (3, 100)):
        model = getattr(models, f"resnet{depth}")(classes, in_channels, shortcut=shortcut)
        assert size(model) == expected_size(depth, in_channels, classes, projection)
        assert list(model.state_dict()) == torchvision_names(
            3, (depth - 2) // 6, {2, 3} if projection else set()
        )
    plain = models.small_resnet(depth, residual=False)
    assert size(plain) == expected_size(depth, 3, 10, False)


def test_resnet20_for_cifar():
    """0.27 million parameters: He et al. 2016, table 6. The shortcut that they used there has none of its own."""
    assert size(models.resnet20(shortcut="pad")) == 269_722
    assert size(models.resnet20()) == 272_474


def test_a_cnn():
    model = models.simple_cnn(num_classes=7, in_channels=2, image_size=14)
    assert model(mg.zeros(3, 2, 14, 14)).shape == (3, 7)
    assert size(model) == 9 * 2 * 16 + 32 + 9 * 16 * 32 + 64 + 32 * 3 * 3 * 128 + 128 + 128 * 7 + 7
    assert size(models.simple_cnn()) == 206_970


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: models.resnet8(in_channels=1), (2, 1, 28, 28)),
        (lambda: models.resnet14(shortcut="pad"), (1, 3, 9, 13)),
        (lambda: models.resnet20(residual=False), (1, 3, 8, 8)),
        (lambda: models.resnet18(10, stem="small"), (1, 3, 8, 8)),
        (lambda: models.resnet18(10, stem="imagenet", shortcut="pad"), (1, 3, 33, 40)),
        (lambda: models.simple_cnn(), (2, 1, 28, 28)),
    ],
)
def test_any_image_gives_logits(make, shape):
    with mg.no_grad():
        y = make().eval()(mg.randn(shape))
    assert y.shape == (shape[0], 10)
    assert np.isfinite(y.numpy()).all()


def test_convolutions_begin_as_he_et_al_have_it():
    weight = models.resnet18().layer3[1].conv1.weight.numpy()
    assert weight.std() == pytest.approx(np.sqrt(2 / (256 * 9)), rel=0.01)
    assert abs(weight.mean()) < 1e-4


# ------------------------------------------------ PyTorch's weights, by name


def oracle(torch, model, *arguments, seed: int = 0, **options):
    """PyTorch's twin with unlike numbers everywhere, running averages included, and our model with its weights."""
    torch.manual_seed(seed)
    twin = torch_resnet(torch, *arguments, **options)
    with torch.no_grad():
        for name, value in twin.state_dict().items():
            if ".bn" in name or name.startswith("bn") or ".downsample.1" in name:
                if name.endswith("num_batches_tracked"):
                    value.fill_(3)
                else:
                    value.uniform_(0.5, 1.5)
    state = {name: value.numpy().copy() for name, value in twin.state_dict().items()}
    model.load_state_dict(state)
    return twin


def assert_near(got, expected, rtol: float, what: str) -> None:
    got, expected = got.numpy(), expected.detach().numpy()
    assert got.shape == expected.shape, what
    worst, scale = np.abs(got - expected).max(), np.abs(expected).max()
    assert worst <= rtol * scale, f"{what} differs by {worst:.2e}, largest magnitude {scale:.2e}"


def check_training(torch, model, twin, shape, rtol: float = 1e-9) -> None:
    """Logits, the gradients of image and parameters, and the running averages after a training step, in float64."""
    rng = np.random.default_rng(5)
    image, target = rng.standard_normal(shape), rng.integers(0, 10, shape[0])
    ours, theirs = mg.tensor(image, requires_grad=True), torch.tensor(image, requires_grad=True)
    model.double().train()
    twin.double().train()
    y, z = model(ours), twin(theirs)
    assert_near(y.detach(), z, rtol, "logits")
    mg.nn.functional.cross_entropy(y, mg.tensor(target)).backward()
    torch.nn.functional.cross_entropy(z, torch.tensor(target)).backward()
    assert_near(ours.grad, theirs.grad, rtol, "gradient of the image")
    expected = dict(twin.named_parameters())
    assert [name for name, _ in model.named_parameters()] == list(expected)
    for name, p in model.named_parameters():
        assert_near(p.grad, expected[name].grad, rtol, f"gradient of {name}")
    for (name, got), value in zip(model.state_dict().items(), twin.state_dict().values(), strict=True):
        assert_near(got, value, rtol, f"{name} afterwards")


def check_evaluation(torch, model, twin, shape) -> None:
    """float32 logits in evaluation mode."""
    image = np.random.default_rng(6).standard_normal(shape).astype(np.float32)
    with mg.no_grad():
        y = model.float().eval()(mg.tensor(image))
    assert y.dtype == mg.float32
    assert_near(y, twin.float().eval()(torch.tensor(image)), 1e-4, "float32 logits")


@pytest.mark.oracle
@pytest.mark.parametrize(("stem", "shape"), [("imagenet", (2, 3, 64, 64)), ("small", (2, 3, 32, 32))])
def test_resnet18_with_pytorchs_weights(torch, stem, shape):
    model = models.resnet18(stem=stem)
    twin = oracle(torch, model, **RESNET18, num_classes=1000, in_channels=3, stem=stem)
    assert list(model.state_dict()) == list(twin.state_dict())
    check_evaluation(torch, model, twin, shape)
    check_training(torch, model, twin, shape)


@pytest.mark.oracle
@pytest.mark.parametrize("options", [{}, {"shortcut": "pad"}, {"residual": False}])
def test_resnet20_with_pytorchs_weights(torch, options):
    model = models.resnet20(in_channels=1, **options)
    twin = oracle(torch, model, (3, 3, 3), (16, 32, 64), 10, 1, "small", **options)
    check_evaluation(torch, model, twin, (4, 1, 28, 28))
    check_training(torch, model, twin, (4, 1, 28, 28))


def test_without_its_shortcuts_a_block_forgets_its_input():
    """The plain twin differs from the residual network in the shortcuts only: with the last norm of a block at 0."""
    x = mg.randn(2, 16, 8, 8)
    for residual in (True, False):
        block = models.resnet8(residual=residual).layer1[0].eval()
        block.bn2.weight.data.fill_(0)
        y = block(x)
        expected = mg.relu(x) if residual else mg.zeros_like(x)
        assert y.tolist() == expected.tolist()


# ------------------------------------------------ errors


@pytest.mark.parametrize("depth", [2, 9, 18, 0, -4])
def test_depth_must_be_6n_plus_2(depth):
    with pytest.raises(ArgumentError, match=rf"depth must be 6n \+ 2 \(8, 14, 20, 26, \.\.\.\), not {depth}"):
        models.small_resnet(depth)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: models.resnet18(stem="large"),
            'stem must be "imagenet", "small" or "strided", not \'large\'',
        ),
        (lambda: models.resnet20(shortcut="none"), 'shortcut must be "projection" or "pad", not \'none\''),
        (lambda: models.ResNet([1, 1], [16], 10, 3), "not 2 and 1"),
        (lambda: models.ResNet([], [], 10, 3), "not 0 and 0"),
        (lambda: models.simple_cnn(image_size=3), "at least 4 x 4 pixels, not 3"),
        (lambda: models.resnet8(in_channels=0), "0 input and 16 output channels"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_an_image_with_other_channels():
    with pytest.raises(ShapeError, match=r"\[1, 1, 28, 28\] has 1 channels"):
        models.resnet8()(mg.zeros(1, 1, 28, 28))
