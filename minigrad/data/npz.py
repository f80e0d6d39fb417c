"""Archives of arrays in NumPy's format (.npz), read without pickles and without surprises."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from minigrad.errors import DataError


def parse_npz(content: bytes, name: str, keys: Sequence[str]) -> dict[str, npt.NDArray]:
    """The arrays named `keys` of an .npz file, in that order.

    Parameters: `content`, the whole file; `name`, how errors call it. Raises DataError when it is damaged, holds
    anything but plain arrays, or lacks one of them.
    """
    try:
        archive = np.load(io.BytesIO(content), allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise DataError(f"{name} is no .npz file, but a single array")
        with archive:
            if missing := set(keys) - set(archive.files):
                raise DataError(f"{name} lacks the arrays {', '.join(sorted(missing))}")
            arrays = {key: archive[key] for key in keys}
    except DataError:
        raise
    except Exception as error:  # a damaged archive can fail in any way: every one of them means this
        raise DataError(f"{name} is damaged or no .npz file ({type(error).__name__}: {error})") from None
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray):  # NumPy hands out a member without its magic number as bytes
            raise DataError(f"{name} is damaged: {key} is no array")
    return arrays
