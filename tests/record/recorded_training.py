"""Small networks that are trained in a loop of one's own, recorded or not."""

from __future__ import annotations

import minigrad as mg
from minigrad import nn, record
from minigrad.nn import functional as F
from minigrad.optim import SGD
from minigrad.record import RecorderConfiguration

ALL = ("taylor", "fisher", "weight_gradient", "snip", "loss_change")
WITHOUT_PROBE = ALL[:4]


def everything(**changes):
    return RecorderConfiguration.everything(**{"influence": WITHOUT_PROBE, **changes})


def train(model, x, t, folder=None, configuration=None, steps=3, loss=F.cross_entropy, lr=0.1, **options):
    """Train; recorded if there is a folder. `x` may be a function of the step."""
    optimizer = SGD(model.parameters(), lr=lr, momentum=0.9)

    def one(i):
        optimizer.zero_grad()
        value = loss(model(x(i) if callable(x) and not isinstance(x, mg.Tensor) else x), t)
        value.backward()
        optimizer.step()
        return value.item()

    if folder is None:
        return [one(i) for i in range(steps)]
    with record.Recorder(
        folder, configuration, model=model, optimizer=optimizer, loss=loss, **options
    ) as recorder:
        for i in range(steps):
            with recorder.step() as step:
                step.loss = one(i)
            if i == 1:
                recorder.end_epoch({"i": i})
    return record.open(folder)


def network(dtype=mg.float32):
    return nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)).to(dtype=dtype)
