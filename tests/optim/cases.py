"""Which optimisers, with which options, and which schedules the tests go through."""

from __future__ import annotations

from typing import Any

OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "maximize": True, "weight_decay": 0.3}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "maximize": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("Adam", {}),
    ("Adam", {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.01, "amsgrad": True, "betas": (0.5, 0.6)}),
    ("Adam", {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("Adam", {"lr": 0.01, "maximize": True, "amsgrad": True, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.01}),
    ("AdamW", {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.1}),
    ("AdamW", {"lr": 0.01, "amsgrad": True, "betas": (0.5, 0.6), "maximize": True}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.05, "alpha": 0.9, "eps": 1e-4, "weight_decay": 0.1}),
    ("RMSprop", {"centered": True, "alpha": 0.9}),
    ("RMSprop", {"momentum": 0.8, "maximize": True}),
    ("RMSprop", {"momentum": 0.8, "centered": True, "weight_decay": 0.1}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.3, "weight_decay": 0.1, "eps": 1e-4}),
    ("Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.5, "maximize": True}),
    ("NAdam", {}),
    ("NAdam", {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.1, "momentum_decay": 0.1}),
    ("NAdam", {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
]

# Each long enough for its cycles to end and begin again
SCHEDULES: list[tuple[str, dict[str, Any], int]] = [
    ("StepLR", {"step_size": 7, "gamma": 0.5}, 40),
    ("StepLR", {"step_size": 1}, 10),
    ("MultiStepLR", {"milestones": [20, 5, 5, 33], "gamma": 0.3}, 40),
    ("MultiStepLR", {"milestones": [0, 3]}, 10),
    ("ConstantLR", {}, 10),
    ("ConstantLR", {"factor": 0.7, "total_iters": 1}, 5),
    ("LinearLR", {}, 10),
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 12}, 20),
    ("LinearLR", {"start_factor": 0.01, "end_factor": 0.9, "total_iters": 30}, 40),
    ("ExponentialLR", {"gamma": 0.93}, 40),
    ("PolynomialLR", {}, 10),
    ("PolynomialLR", {"total_iters": 30, "power": 2.5}, 40),
    ("CosineAnnealingLR", {"T_max": 30, "eta_min": 0.01}, 30),
    ("CosineAnnealingLR", {"T_max": 8, "eta_min": 0.2}, 40),
    ("CosineAnnealingLR", {"T_max": 1}, 6),
    ("CosineAnnealingWarmRestarts", {"T_0": 7}, 40),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.01}, 50),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 6}, 40),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 6, "step_size_down": 3}, 40),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 5, "mode": "triangular2"}, 40),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 5, "mode": "exp_range", "gamma": 0.97}, 40),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 5, "scale_fn": lambda c: 1 / c}, 40),
    (
        "CyclicLR",
        {
            "base_lr": 0.01,
            "max_lr": 0.2,
            "step_size_up": 5,
            "scale_fn": lambda t: 0.9**t,
            "scale_mode": "iterations",
            "base_momentum": 0.6,
            "max_momentum": 0.99,
        },
        40,
    ),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 5, "cycle_momentum": False}, 20),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 40}, 40),
    (
        "OneCycleLR",
        {"max_lr": 0.5, "epochs": 4, "steps_per_epoch": 10, "pct_start": 0.25, "anneal_strategy": "linear"},
        40,
    ),
    (
        "OneCycleLR",
        {"max_lr": 0.5, "total_steps": 41, "three_phase": True, "div_factor": 10, "final_div_factor": 100},
        41,
    ),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 40, "cycle_momentum": False, "pct_start": 0.0}, 40),
    ("LambdaLR", {"lr_lambda": lambda t: 0.9**t + 0.01 * t}, 20),
]


def ident(value: Any) -> str | None:
    """A short name of a case for pytest."""
    if isinstance(value, dict):
        return ",".join(f"{k}={v}" for k, v in value.items() if not callable(v)) or "defaults"
    return None
