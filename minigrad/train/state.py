"""The whole state of a training run as one nested dictionary, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from minigrad.backend import get_backend
from minigrad.errors import MinigradError, StateError
from minigrad.nn import Module
from minigrad.train.callback import Callback

if TYPE_CHECKING:
    from minigrad.train.trainer import Trainer

PARTS = ("model", "optimizer", "scheduler", "random", "loader", "trainer", "totals", "callbacks")
COUNTERS = ("next_epoch", "next_batch", "global_step", "batches_per_epoch", "seconds", "logs")


def training_state(trainer: Trainer) -> dict[str, Any]:
    """All that decides how training goes on. Arrays share memory with what they describe: save or copy them at once."""
    scheduler, loader = trainer.scheduler, trainer.loader
    return {
        "model": dict(trainer.model.state_dict()),
        "optimizer": trainer.optimizer.state_dict(),
        "scheduler": None if scheduler is None else scheduler.state_dict(),
        "random": random_state(trainer.model),
        "loader": loader.state_dict() if hasattr(loader, "state_dict") else None,
        "trainer": {name: getattr(trainer, name) for name in COUNTERS},
        "totals": trainer.totals.state_dict(),
        "callbacks": {name: callback.state_dict() for name, callback in stateful(trainer.callbacks).items()},
    }


def restore(trainer: Trainer, state: Mapping[str, Any]) -> None:
    """Put a trainer into a state that `training_state` gave. Raises StateError where it does not fit."""
    if not isinstance(state, Mapping) or set(state) != set(PARTS):
        given = ", ".join(map(str, state)) if isinstance(state, Mapping) else type(state).__name__
        raise StateError(f"the state of a training run has the parts {', '.join(PARTS)}; got {given}")
    callbacks = stateful(trainer.callbacks)
    if set(state["callbacks"]) != set(callbacks):
        saved, present = (", ".join(sorted(names)) or "none" for names in (state["callbacks"], callbacks))
        raise StateError(
            f"the run was made with other callbacks: those with a state were {saved}, here they are {present}"
        )
    if (state["scheduler"] is None) != (trainer.scheduler is None):
        has, lacks = ("run", "trainer") if trainer.scheduler is None else ("trainer", "run")
        raise StateError(f"the {has} has a scheduler, the {lacks} has none")
    try:
        trainer.model.load_state_dict(state["model"])
        trainer.optimizer.load_state_dict(state["optimizer"])
        if trainer.scheduler is not None:
            trainer.scheduler.load_state_dict(state["scheduler"])
        load_random_state(state["random"])
        trainer.totals.load_state_dict(state["totals"])
        for name, callback in callbacks.items():
            callback.load_state_dict(state["callbacks"][name])
        for name in COUNTERS:
            setattr(trainer, name, state["trainer"][name])
        trainer.loader_state = state["loader"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        if isinstance(error, MinigradError):
            raise
        raise StateError(f"this is not the state of such a training run: {error!r:.100}") from error


def restore_loader(trainer: Trainer) -> None:
    """Put the trainer's loader where the run's stood. Raises StateError for a loader that differs."""
    loader, state = trainer.loader, trainer.loader_state
    if trainer.batches_per_epoch != len(loader):
        raise StateError(
            f"the run's epochs had {trainer.batches_per_epoch} batches, those of this loader have {len(loader)}"
        )
    if (state is not None) != hasattr(loader, "load_state_dict"):
        raise StateError(f"the run had another kind of loader than this {type(loader).__name__}")
    if state is not None:
        loader.load_state_dict(state)


def random_state(model: Module) -> dict[str, Any]:
    """Where the random streams stand, of the CPU and of the devices that the model lies on."""
    devices = {"cpu", *(p.backend.name for p in model.parameters())}
    return {name: get_backend(name).rng.bit_generator.state for name in sorted(devices)}


def load_random_state(state: Mapping[str, Any]) -> None:
    """Let the random streams go on from where `random_state` found them."""
    for name, stream in state.items():
        get_backend(name).rng.bit_generator.state = stream


def stateful(callbacks: list[Callback]) -> dict[str, Callback]:
    """The callbacks that have a state, by the names of their classes, numbered from the second of a kind on."""
    found: dict[str, Callback] = {}
    for callback in callbacks:
        if type(callback).state_dict is not Callback.state_dict:
            kind = type(callback).__name__
            number = sum(type(other).__name__ == kind for other in found.values()) + 1
            found[kind if number == 1 else f"{kind} {number}"] = callback
    return found
