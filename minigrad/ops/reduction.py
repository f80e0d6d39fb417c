"""What losses share: one number per sample, or their sum, or their mean; and checks of what they are given."""

from __future__ import annotations

from typing import Any

from minigrad.errors import ArgumentError, ShapeError
from minigrad.ops.arguments import count, need_floating, need_tensor


def reduced(xp: Any, losses: Any, reduction: str) -> Any:
    """The losses themselves ("none"), their "sum", their "mean", or their sum per sample of the batch ("batchmean").

    The mean of nothing is NaN. With tensors, xp is `minigrad.ops`.
    """
    if reduction == "mean":
        return xp.sum(losses) / count(losses.shape)
    if reduction == "batchmean":
        return xp.sum(losses) / losses.shape[0]
    return xp.sum(losses) if reduction == "sum" else losses


def spread(gy: Any, shape: tuple[int, ...], reduction: str) -> Any:
    """The gradient that arrives at each of the losses, which have this shape: gy, or a share of the one gy."""
    if reduction == "mean":
        return gy / count(shape)
    return gy / shape[0] if reduction == "batchmean" else gy


def check_reduction(name: str, reduction: str, allowed: tuple[str, ...] = ("none", "mean", "sum")) -> None:
    """Refuse a reduction that does not exist."""
    if reduction not in allowed:
        raise ArgumentError(f"{name}: reduction must be {' or '.join(map(repr, allowed))}, not {reduction!r}")


def check_pair(name: str, x: Any, target: Any) -> None:
    """Refuse a prediction that is not floating-point, and a target of another shape.

    Broadcasting is refused too: (N, 1) beside (N,) would compare every prediction with every target.
    """
    need_floating(name, x)
    need_tensor(name, target)
    if x.shape != target.shape:
        raise ShapeError(
            f"{name}: x has shape {list(x.shape)} and target {list(target.shape)}; they must be equal. "
            "Bring one to the shape of the other with reshape, unsqueeze or expand"
        )


def check_weight(name: str, label: str, weight: Any, x: Any) -> None:
    """Refuse a weight that does not broadcast to the shape of x."""
    if weight is None:
        return
    need_tensor(name, weight)
    lead = x.ndim - weight.ndim
    if lead < 0 or any(n not in (1, m) for n, m in zip(weight.shape, x.shape[lead:], strict=True)):
        raise ShapeError(
            f"{name}: {label} of shape {list(weight.shape)} does not broadcast to that of x, {list(x.shape)}"
        )
