"""Channels rearranged to pixels, and back."""

from __future__ import annotations

from typing import Any

from minigrad.errors import ShapeError
from minigrad.ops.arguments import need_tensor
from minigrad.ops.dims import as_int

__all__ = ["pixel_shuffle", "pixel_unshuffle"]
METHODS: list[str] = []


def pixel_shuffle(x: Any, upscale_factor: int) -> Any:
    """Channels become pixels: (..., C r r, H, W) -> (..., C, H r, W r) for upscale_factor r.

        y[..., c, h r + i, w r + j] = x[..., c r r + i r + j, h, w]

    Gradient: pixel_unshuffle of gy.
    Errors: ShapeError if r r does not divide the channels, or there are fewer than 3 dimensions.
    Source: Shi et al. 2016, Real-Time Single Image and Video Super-Resolution, section 3.2, equation 4.

    >>> import minigrad as mg
    >>> mg.nn.functional.pixel_shuffle(mg.arange(4.0).reshape(4, 1, 1), 2)
    tensor([[[0., 1.],
             [2., 3.]]])
    """
    r = _factor("pixel_shuffle", "upscale_factor", upscale_factor, x)
    *lead, C, H, W = x.shape
    if C % (r * r):
        raise ShapeError(
            f"pixel_shuffle: upscale_factor {r} needs a number of channels that {r * r} divides; x is {list(x.shape)}"
        )
    n = len(lead)
    # (..., C, H, r, W, r)
    y = x.reshape((*lead, C // (r * r), r, r, H, W)).permute((*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return y.reshape((*lead, C // (r * r), H * r, W * r))


def pixel_unshuffle(x: Any, downscale_factor: int) -> Any:
    """The inverse of pixel_shuffle: (..., C, H r, W r) -> (..., C r r, H, W) for downscale_factor r.

    >>> import minigrad as mg
    >>> mg.nn.functional.pixel_unshuffle(mg.arange(4.0).reshape(1, 2, 2), 2).flatten()
    tensor([0., 1., 2., 3.])
    """
    r = _factor("pixel_unshuffle", "downscale_factor", downscale_factor, x)
    *lead, C, H, W = x.shape
    if H % r or W % r:
        raise ShapeError(
            f"pixel_unshuffle: downscale_factor {r} must divide both sides of the image; x is {list(x.shape)}"
        )
    n = len(lead)
    # (..., C, r, r, H, W)
    y = x.reshape((*lead, C, H // r, r, W // r, r)).permute((*range(n), n, n + 2, n + 4, n + 1, n + 3))
    return y.reshape((*lead, C * r * r, H // r, W // r))


def _factor(op: str, name: str, value: Any, x: Any) -> int:
    need_tensor(op, x)
    r = as_int(value, name)
    if r < 1 or x.ndim < 3:
        raise ShapeError(f"{op}: {name} must be 1 or more and x (..., C, H, W); got {r} and {list(x.shape)}")
    return r
