"""Instance normalisation layers."""

from __future__ import annotations

from typing import Any

from minigrad import ops
from minigrad.nn.batchnorm import ChannelNorm
from minigrad.tensor import Tensor


class _InstanceNorm(ChannelNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, ...) to y of the same shape, each channel of each sample normalised."""
        single = x.ndim == min(self.dims)  # without N
        self._check(x, channels_at=0 if single else 1)
        y = ops.instance_norm(
            x.reshape((1, *x.shape)) if single else x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return y.reshape(x.shape) if single else y


class InstanceNorm1d(_InstanceNorm):
    """Instance normalisation of sequences, (N, C, L) or (C, L); everything else is as in `InstanceNorm2d`.

    >>> import minigrad as mg
    >>> mg.nn.InstanceNorm1d(2, eps=0.0)(mg.tensor([[1.0, 3.0], [-5.0, 5.0]]))
    tensor([[-1.,  1.],
            [-1.,  1.]])
    """

    dims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Instance normalisation of images: each channel of each image to mean 0 and variance 1, by itself.

    y = (x - mean) / sqrt(var + eps) * weight + bias; see `minigrad.nn.functional.instance_norm` for the gradient.

    num_features, eps, momentum, device, dtype, bias: as for `BatchNorm2d`.
    affine:              whether weight and bias, (C,), are learnt; not unless asked for.
    track_running_stats: whether running averages are kept, and used in evaluation; not unless asked for.

    Shapes: x (N, C, H, W) or (C, H, W); y likewise. Raises ShapeError for others, or a single value per channel.
    Source: Ulyanov, Vedaldi & Lempitsky 2016, equation 4.

    >>> import minigrad as mg
    >>> mg.nn.InstanceNorm2d(1, eps=0.0)(mg.tensor([[[[1.0, 3.0]]], [[[-5.0, 5.0]]]])).flatten()
    tensor([-1.,  1., -1.,  1.])
    """

    dims = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Instance normalisation of volumes, (N, C, D, H, W) or (C, D, H, W); else as `InstanceNorm2d`.

    >>> import minigrad as mg
    >>> mg.nn.InstanceNorm3d(2)(mg.ones(1, 2, 2, 2, 2)).shape
    (1, 2, 2, 2, 2)
    """

    dims = (4, 5)
