"""Batch normalisation layers."""

from __future__ import annotations

from typing import Any

from minigrad import creation, dtypes, ops
from minigrad.errors import ShapeError
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.tensor import Tensor


class _BatchNorm(Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, per channel; see `minigrad.nn.functional.batch_norm`.

    In training, mean and (biased) variance are those of the batch, and running averages of them move by `momentum` (None: the
    plain average of all batches seen); in evaluation the running averages are used.

    Parameters
        num_features: number of channels C.
        eps: added to the variance.
        momentum: weight of the newest batch in the running averages, in [0, 1], or None.
        affine: whether weight and bias, shape (C,), are learnt.
        track_running_stats: whether running_mean, running_var, num_batches_tracked are kept.
    Source: Ioffe & Szegedy 2015, algorithms 1 and 2.
    """

    dims: tuple[int, ...] = ()

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight = Parameter(creation.ones(num_features, device=device, dtype=dtype)) if affine else None
        self.bias = Parameter(creation.zeros(num_features, device=device, dtype=dtype)) if affine else None
        self.running_mean: Tensor | None
        self.running_var: Tensor | None
        self.num_batches_tracked: Tensor | None
        track = track_running_stats
        self.register_buffer("running_mean", creation.zeros(num_features, device=device, dtype=dtype) if track else None)
        self.register_buffer("running_var", creation.ones(num_features, device=device, dtype=dtype) if track else None)
        self.register_buffer("num_batches_tracked", creation.full((), 0, dtype=dtypes.int64, device=device) if track else None)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x (N, C, ...) per channel."""
        if x.ndim not in self.dims or x.shape[1] != self.num_features:
            wanted = " or ".join(f"{d}-D" for d in self.dims)
            raise ShapeError(f"{type(self).__name__}({self.num_features}) takes {wanted} inputs with {self.num_features} channels, not shape {list(x.shape)}")
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                momentum = 1.0 / float(self.num_batches_tracked)
        use_batch = self.training or self.running_mean is None
        return ops.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, use_batch, momentum, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    __doc__ = f"Batch normalisation of (N, C) or (N, C, L).\n\n    {_BatchNorm.__doc__}"
    dims = (2, 3)


class BatchNorm2d(_BatchNorm):
    __doc__ = f"Batch normalisation of images (N, C, H, W).\n\n    {_BatchNorm.__doc__}"
    dims = (4,)
