"""All contestants run the same network: PyTorch's twins agree with minigrad's models, in training and in inference."""

from __future__ import annotations

import numpy as np
import pytest
from peers import minigrad_steps, workloads

import minigrad as mg
import models
from minigrad.errors import ArgumentError


def job(name: str, **options) -> dict:
    return {
        "workload": name,
        "tiny": True,
        "training": not name.endswith(workloads.INFERENCE),
        "plan": workloads.plan_of(workloads.make(name, tiny=True)),
        "lr": 0.01,
        "momentum": 0.9,
        "threads": 1,
        "options": options,
    }


def ours(name: str):
    arrays = workloads.arrays_of(name, tiny=True)
    inputs, labels = arrays.pop("inputs"), arrays.pop("labels")
    return minigrad_steps.make_step(job(name), arrays, inputs, labels)


def theirs(name: str, **options):
    from peers import pytorch_steps

    arrays = workloads.arrays_of(name, tiny=True)
    inputs, labels = arrays.pop("inputs"), arrays.pop("labels")
    return pytorch_steps.make_step(job(name, **options), arrays, inputs, labels)


@pytest.mark.oracle
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("name", list(workloads.WORKLOADS))
def test_pytorch_trains_the_same_network(name, channels_last):
    """Three steps: the first loss checks the forward, the others gradients and the optimiser."""
    step, twin = ours(name), theirs(name, channels_last=channels_last)
    mine, expected = [step() for _ in range(3)], [twin() for _ in range(3)]
    assert mine == pytest.approx(expected, abs=2e-4)
    assert mine[2] < 0.99 * mine[0]


@pytest.mark.oracle
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("name", [name for name in workloads.NAMES if name.endswith(workloads.INFERENCE)])
def test_pytorch_infers_the_same_logits(name, channels_last):
    mine, expected = ours(name)(), theirs(name, channels_last=channels_last)()
    assert mine.shape == expected.shape == (16, workloads.CLASSES)
    assert np.abs(mine - expected).max() < 1e-4 * np.abs(expected).max()


def test_statistics_of_an_inference_are_not_those_of_a_new_network():
    """Else a twin that used the batch's statistics wrongly, or none, could pass."""
    arrays = workloads.arrays_of("resnet20-inference", tiny=True)
    assert np.abs(arrays["bn1.running_mean"]).max() > 0.01
    assert np.abs(arrays["bn1.running_var"] - 1).max() > 0.1


def test_everybody_gets_the_same_batch_and_weights():
    first, second = (workloads.arrays_of("cnn", tiny=True) for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_plan_names_every_weight():
    """A layer forgotten in the plan would leave a weight over."""
    for name in workloads.WORKLOADS:
        model = workloads.make(name, tiny=True)
        text = str(workloads.plan_of(model))
        prefixes = {key.rpartition(".")[0] for key in model.state_dict()}
        assert prefixes
        assert all(f"'{prefix}'" in text for prefix in prefixes)


def test_a_network_without_a_plan_is_refused():
    for model in (mg.nn.Sequential(mg.nn.ReLU()), models.MLP(4, 2, batch_norm=True), models.lenet5(10, 1)):
        with pytest.raises(ArgumentError, match="no plan"):
            workloads.plan_of(model)


def test_tiny_changes_images_only():
    whole, tiny = workloads.workload("resnet18"), workloads.workload("resnet18", tiny=True)
    assert (whole.batch, whole.size) == (64, 32)
    assert (tiny.batch, tiny.size) == (16, 8)
    assert workloads.workload("resnet18-inference") == whole
    assert workloads.make("resnet18", tiny=True).count_parameters() == 11_173_962
