"""ResNet-50 with PyTorch's weights, given by name: gradients in both precisions, and files."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
import models
from tests.models.torchvision_twin import bottleneck_resnet

RESNET50 = (3, 4, 6, 3)


@pytest.fixture(scope="module")
def pair(torch):
    """PyTorch's ResNet-50 with unlike numbers in its norms, and ours with its weights."""
    torch.manual_seed(0)
    twin = bottleneck_resnet(torch, RESNET50, num_classes=10)
    with torch.no_grad():
        for name, value in twin.state_dict().items():
            if "running" in name or (".bn" in name and value.is_floating_point()):
                value.uniform_(0.8, 1.2)
    ours = models.resnet50(num_classes=10)
    return ours, twin


def load(ours, twin) -> None:
    ours.load_state_dict({name: value.detach().numpy().copy() for name, value in twin.state_dict().items()})


def gradients_of_ours(model, x, target, dtype) -> dict[str, np.ndarray]:
    model.to(mg.float64 if dtype == "float64" else mg.float32).train().zero_grad()
    image = mg.tensor(x, dtype=dtype, requires_grad=True)
    logits = model(image)
    mg.nn.functional.cross_entropy(logits, mg.tensor(target)).backward()
    found = {"logits": logits.detach(), "image": image.grad}
    found |= {name: p.grad for name, p in model.named_parameters()}
    return {name: value.numpy().astype(np.float64) for name, value in found.items()}


def gradients_of_theirs(torch, model, x, target, dtype) -> dict[str, np.ndarray]:
    dtype = getattr(torch, dtype)
    model.to(dtype).train().zero_grad()
    image = torch.tensor(x, dtype=dtype, requires_grad=True)
    logits = model(image)
    torch.nn.functional.cross_entropy(logits, torch.tensor(target)).backward()
    found = {"logits": logits.detach(), "image": image.grad}
    found |= {name: p.grad for name, p in model.named_parameters()}
    return {name: value.double().numpy().copy() for name, value in found.items()}


def batch(seed: int):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((4, 3, 48, 48)).astype(np.float32), rng.integers(0, 10, 4)


@pytest.mark.oracle
def test_resnet50_in_double_precision(torch, pair):
    ours, twin = pair
    twin.double()
    load(ours.double(), twin)
    got = gradients_of_ours(ours, *batch(0), "float64")
    expected = gradients_of_theirs(torch, twin, *batch(0), "float64")
    assert list(got) == list(expected)
    state = {name: value.numpy() for name, value in twin.state_dict().items()}
    got |= {f"{name} afterwards": value.numpy() for name, value in ours.state_dict().items()}
    expected |= {f"{name} afterwards": value for name, value in state.items()}
    for name, value in expected.items():
        scale = np.abs(value).max(initial=0)
        np.testing.assert_allclose(got[name], value, rtol=0, atol=1e-9 * scale, err_msg=name)


@pytest.mark.oracle
def test_resnet50_in_single_precision(torch, pair):
    """Gradients lie no further from those in float64 than twice PyTorch's own.

    A relu or a maximum that rounding sends to the other side changes all errors of a batch severalfold, in either
    library: hence the median over several batches and all parameters.
    """
    ours, twin = pair
    load(ours, twin)
    errors: list[tuple[float, float]] = []
    for seed in range(5):
        x, target = batch(seed)
        exact = gradients_of_theirs(torch, twin, x, target, "float64")
        got = gradients_of_ours(ours, x, target, "float32")
        expected = gradients_of_theirs(torch, twin, x, target, "float32")
        errors += [
            (distance(got[name], exact[name]), distance(expected[name], exact[name])) for name in exact
        ]
    mine, pytorchs = np.median(errors, axis=0)
    assert mine <= 2 * pytorchs, f"relative errors: {mine:.2e}, PyTorch's {pytorchs:.2e}"


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


@pytest.mark.oracle
@pytest.mark.parametrize("counted", [True, False])
def test_a_safetensors_file_loads_unchanged(torch, pair, tmp_path, counted):
    """As torchvision's are, or as timm's, which lack num_batches_tracked; written by the format's own library."""
    from safetensors.torch import save_file

    _, twin = pair
    twin.float().eval()
    state = {
        name: value.contiguous()
        for name, value in twin.state_dict().items()
        if counted or "num_batches_tracked" not in name
    }
    assert len(state) == (320 if counted else 267)
    save_file(state, tmp_path / "model.safetensors")
    model = models.resnet50(num_classes=10)
    assert model.load_state_dict(mg.load(tmp_path / "model.safetensors")) == ([], [])
    x, _ = batch(3)
    with mg.no_grad(), torch.no_grad():
        y, z = model.eval()(mg.tensor(x)).numpy(), twin(torch.tensor(x)).numpy()
    np.testing.assert_allclose(y, z, rtol=0, atol=1e-4 * np.abs(z).max())
