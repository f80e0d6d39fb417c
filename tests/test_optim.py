"""Optimisers and schedules follow PyTorch's numbers step by step."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad.errors import ArgumentError, StateError
from minigrad.optim import SGD, AdamW
from minigrad.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

SGD_OPTIONS = [
    {"lr": 0.1},
    {"lr": 0.1, "momentum": 0.9},
    {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01},
    {"lr": 0.1, "momentum": 0.9, "dampening": 0.3},
    {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
]
ADAMW_OPTIONS = [{"lr": 0.01}, {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1}]


def _steps(make, library, start, targets):
    """Parameters after each step of minimising 0.02 sum (w - target)^4 in one library."""
    w = library.tensor(start, requires_grad=True)
    optimizer = make([w])
    seen = []
    for target in targets:
        optimizer.zero_grad()
        (((w - library.tensor(target)) ** 4).sum() * 0.02).backward()
        optimizer.step()
        seen.append(np.array(w.detach().numpy()))
    return seen


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("name", "options"), [("SGD", o) for o in SGD_OPTIONS] + [("AdamW", o) for o in ADAMW_OPTIONS]
)
def test_ten_steps_follow_pytorch(torch, rng, name, options):
    start, targets = rng.standard_normal((3, 4)), rng.standard_normal((10, 3, 4))
    ours = _steps(lambda p: getattr(mg.optim, name)(p, **options), mg, start, targets)
    theirs = _steps(lambda p: getattr(torch.optim, name)(p, **options), torch, start, targets)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10)


def _rates(scheduler, optimizer, steps):
    seen = []
    for _ in range(steps):
        group = optimizer.param_groups[0]
        seen.append((group["lr"], group.get("momentum", group.get("betas", (0,))[0])))
        optimizer.step()
        scheduler.step()
    return seen


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("CosineAnnealingLR", {"T_max": 30, "eta_min": 0.01}),
        ("OneCycleLR", {"max_lr": 0.5, "total_steps": 40}),
        (
            "OneCycleLR",
            {
                "max_lr": 0.5,
                "epochs": 4,
                "steps_per_epoch": 10,
                "pct_start": 0.25,
                "anneal_strategy": "linear",
            },
        ),
        (
            "OneCycleLR",
            {
                "max_lr": 0.5,
                "total_steps": 41,
                "three_phase": True,
                "div_factor": 10,
                "final_div_factor": 100,
            },
        ),
        ("OneCycleLR", {"max_lr": 0.5, "total_steps": 40, "cycle_momentum": False}),
    ],
)
@pytest.mark.parametrize("optimizer_name", ["SGD", "AdamW"])
def test_a_full_cycle_follows_pytorch(torch, optimizer_name, name, options):
    make = {"lr": 0.1, **({"momentum": 0.9} if optimizer_name == "SGD" else {})}
    ours = getattr(mg.optim, optimizer_name)([mg.zeros(1, requires_grad=True)], **make)
    theirs = getattr(torch.optim, optimizer_name)([torch.zeros(1, requires_grad=True)], **make)
    ours_seen = _rates(getattr(mg.optim.lr_scheduler, name)(ours, **options), ours, 40)
    theirs_seen = _rates(getattr(torch.optim.lr_scheduler, name)(theirs, **options), theirs, 40)
    np.testing.assert_allclose(ours_seen, theirs_seen, rtol=0, atol=1e-12)


def test_sgd_by_hand():
    w = mg.tensor([1.0, -2.0], requires_grad=True)
    optimizer = SGD([w], lr=0.5, momentum=0.5)
    for expected in (
        [0.0, -1.0],
        [-0.5, -0.5],
    ):  # gradients (2, -2), then (0, 0) leave velocity (1, -1) x rate
        w.grad = mg.tensor([2.0, -2.0]) if expected[0] == 0.0 else mg.zeros(2)
        optimizer.step()
        assert w.tolist() == expected


def test_state_round_trip(rng):
    def run(steps, state=None):
        w = mg.tensor(start, requires_grad=True)
        optimizer = AdamW([w], lr=0.1)
        if state is not None:
            w.data.copy_(state[0])
            optimizer.load_state_dict(state[1])
        for _ in range(steps):
            optimizer.zero_grad()
            (w**4).sum().backward()
            optimizer.step()
        return w.detach(), optimizer.state_dict()

    start = rng.standard_normal(5)
    half = run(4)
    assert run(3, half)[0].tolist() == run(7)[0].tolist()


def test_clear_errors():
    w = mg.zeros(2, requires_grad=True)
    for make, message in [
        (lambda: SGD([], lr=0.1), "no parameters"),
        (lambda: SGD([w], lr=-1), "lr must be"),
        (lambda: SGD([w], momentum=1.5), "momentum must lie"),
        (lambda: SGD([w], nesterov=True), "nesterov needs"),
        (lambda: SGD([w, w]), "twice"),
        (lambda: SGD([w * 2]), "leaf tensors"),
        (lambda: SGD([{"params": [w], "rate": 1}]), "no option rate"),
        (lambda: AdamW([w], betas=(1.0, 0.9)), "betas must lie"),
        (lambda: OneCycleLR(SGD([w]), 0.1), "needs total_steps"),
        (lambda: CosineAnnealingLR(SGD([w]), 0), "T_max"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            make()
    with pytest.raises(StateError, match=r"groups of \[1\]"):
        SGD([w, mg.zeros(1, requires_grad=True)]).load_state_dict(SGD([w]).state_dict())
    scheduler = OneCycleLR(SGD([w], lr=0.1), 0.1, total_steps=2)
    scheduler.step()
    scheduler.step()
    with pytest.raises(ArgumentError, match="made for 2 steps"):
        scheduler.step()
