"""Batch normalisation layers."""

from __future__ import annotations

from typing import Any

from minigrad import communicator, creation, dtypes, ops
from minigrad.errors import ArgumentError, ShapeError
from minigrad.nn.module import Module
from minigrad.nn.parameter import Parameter
from minigrad.ops.batch_normalization import update_running_statistics
from minigrad.ops.moments import check_data, check_vectors
from minigrad.ops.sync_batch_norm import sync_batch_norm
from minigrad.tensor import Tensor


class ChannelNorm(Module):
    """What batch and instance norms share: weight and bias per channel, and running averages of the statistics.

    A subclass says which numbers of dimensions it takes.
    """

    dims: tuple[int, ...] = ()
    # Files may lack it, such as those of models older than the counter: it is left as it is then, as in PyTorch
    _optional_state = ("num_batches_tracked",)

    def __init__(
        self,
        num_features: int,
        eps: float,
        momentum: float | None,
        affine: bool,
        track_running_stats: bool,
        device: Any,
        dtype: Any,
        bias: bool,
    ) -> None:
        kind = type(self).__name__
        if num_features < 1:
            raise ArgumentError(f"{kind} needs at least one channel, not {num_features}")
        if not eps >= 0 or (momentum is not None and not 0 <= momentum <= 1):
            raise ArgumentError(
                f"{kind}: eps must be >= 0 and momentum in [0, 1] or None, not {eps} and {momentum}"
            )
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight: Parameter | None = None
        self.bias: Parameter | None = None
        if affine:
            self.weight = Parameter(creation.ones(num_features, device=device, dtype=dtype))
            self.bias = Parameter(creation.zeros(num_features, device=device, dtype=dtype)) if bias else None
        mean = variance = batches = None
        if track_running_stats:
            mean = creation.zeros(num_features, device=device, dtype=dtype)
            variance = creation.ones(num_features, device=device, dtype=dtype)
            batches = creation.full((), 0, dtype=dtypes.int64, device=device)
        self.running_mean: Tensor | None
        self.running_var: Tensor | None
        self.num_batches_tracked: Tensor | None
        self.register_buffer("running_mean", mean)
        self.register_buffer("running_var", variance)
        self.register_buffer("num_batches_tracked", batches)

    def _check(self, x: Tensor, channels_at: int) -> None:
        """Refuse another number of dimensions or channels."""
        if x.ndim not in self.dims or x.shape[channels_at] != self.num_features:
            wanted = " or ".join(f"{d}-dimensional" for d in self.dims)
            raise ShapeError(
                f"{type(self).__name__}({self.num_features}) takes {wanted} inputs with {self.num_features} channels, "
                f"not shape {list(x.shape)}"
            )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        ) + (", bias=False" if self.affine and self.bias is None else "")


class _BatchNorm(ChannelNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, ...) to y of the same shape, each channel normalised."""
        self._check(x, channels_at=1)
        momentum = self._count_batch()
        return ops.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self._uses_batch(),
            momentum,
            self.eps,
        )

    def _uses_batch(self) -> bool:
        """Whether it normalises by the statistics of the batch, not by the running averages."""
        return self.training or self.running_mean is None

    def _count_batch(self) -> float:
        """Count a batch, in training mode, and return its weight in the running averages."""
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked._write(lambda n: n.__iadd__(1))  # quicker than an operation
            if self.momentum is None:
                momentum = 1.0 / float(self.num_batches_tracked)
        return momentum


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of vectors (N, C) or sequences (N, C, L); everything else is as in `BatchNorm2d`.

    >>> import minigrad as mg
    >>> mg.nn.BatchNorm1d(1, eps=0)(mg.tensor([[1.0], [3.0]])).tolist()
    [[-1.0], [1.0]]
    """

    dims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images: y = (x - mean) / sqrt(var + eps) * weight + bias, per channel.

    See `minigrad.nn.functional.batch_norm` for the gradient. In training, mean and (biased) variance are those of
    the batch, and running averages of them, here with the unbiased variance, move by `momentum`; in evaluation the
    running averages are used.

    num_features:        number of channels C, 1 or more.
    eps:                 added to the variance, >= 0.
    momentum:            weight of the newest batch in the running averages, in [0, 1]; None for the plain mean over
                         all batches.
    affine:              whether weight and bias, (C,), are learnt; they begin as 1 and 0.
    track_running_stats: whether the buffers running_mean, running_var (C,) and num_batches_tracked () are kept;
                         without them the batch's own statistics are used in evaluation too.
    device, dtype:       of parameters and averages.
    bias:                False for a weight only.

    Shapes: x (N, C, H, W); y likewise. Raises ShapeError for other shapes, and in training for a single value per
    channel.
    Source: Ioffe & Szegedy 2015, algorithms 1 and 2.

    >>> import minigrad as mg
    >>> norm = mg.nn.BatchNorm2d(2)
    >>> norm(mg.ones(4, 2, 3, 3)).shape, norm.running_mean
    ((4, 2, 3, 3), tensor([0.1, 0.1]))
    """

    dims = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of volumes (N, C, D, H, W); everything else is as in `BatchNorm2d`.

    >>> import minigrad as mg
    >>> mg.nn.BatchNorm3d(2)(mg.ones(1, 2, 2, 2, 2)).shape
    (1, 2, 2, 2, 2)
    """

    dims = (5,)


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation, in training, by the statistics of the whole batch, of which every process has a part.

    Parameters as for `BatchNorm2d`; x is (N, C) or (N, C, ...), and N may differ between the processes, which all call
    it alike. The running averages are those of the whole batch, the same bits on all processes. One process alone, and
    evaluation, are as for `BatchNorm2d`. In functions such as `conv_bn_act` the layers run by themselves.

    Raises ShapeError where all processes together have a single value per channel.
    Source: as for `BatchNorm2d`; the statistics of the whole from those of its parts: Chan, Golub & LeVeque 1979.

    >>> import minigrad as mg
    >>> SyncBatchNorm(1, eps=0)(mg.tensor([[1.0], [3.0]])).tolist()
    [[-1.0], [1.0]]
    """

    dims = (2, 3, 4, 5)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, ...) to y of the same shape, each channel normalised."""
        if communicator.current().size == 1 or not self._uses_batch():
            return super().forward(x)
        self._check(x, channels_at=1)
        check_data("sync_batch_norm", x, 2)
        vectors = {name: getattr(self, name) for name in ("weight", "bias", "running_mean", "running_var")}
        check_vectors("sync_batch_norm", x, x.shape[1:2], **vectors)
        y, mean, var, counts = sync_batch_norm(x, self.weight, self.bias, eps=self.eps)
        m = int(counts.array.reshape(-1)[0])
        if m < 2:
            raise ShapeError(
                "SyncBatchNorm in training needs at least two values per channel; all ranks have 1"
            )
        momentum = self._count_batch()
        update_running_statistics(
            "sync_batch_norm", self.running_mean, self.running_var, mean, var, m, momentum
        )
        return y

    @classmethod
    def convert_sync_batchnorm(cls, module: Module) -> Module:
        """The module, with each batch norm in it replaced by a synchronised one that has its parameters and averages.

        Returns the module itself, or what replaces it. Parameters stay the same objects.

        >>> import minigrad as mg
        >>> SyncBatchNorm.convert_sync_batchnorm(mg.nn.Sequential(mg.nn.BatchNorm2d(3)))[0]
        SyncBatchNorm(3, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)
        """
        if isinstance(module, _BatchNorm):
            if not isinstance(module, cls):
                twin = cls.__new__(cls)
                twin.__dict__.update(module.__dict__)
                return twin
            return module
        for name, child in module._members():
            setattr(module, name, cls.convert_sync_batchnorm(child))
        return module
