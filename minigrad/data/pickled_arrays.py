"""The one reader of pickled data: it can build NumPy arrays inside tuples and lists, and nothing else.

A pickle is a program. This reader refuses every name such a program asks for except the three that NumPy's
own arrays are rebuilt with, so no code can run, whatever the file says. minigrad itself never writes pickles.
"""

from __future__ import annotations

import pickle
from gzip import GzipFile
from typing import IO, Any

import numpy as np

from minigrad.errors import DataError

# NumPy 2 moved `numpy.core` to `numpy._core`; files carry the name of the version that wrote them. Rebuilding an array
# means making an empty one, which ndarray.__new__ does: built in, so a pickle cannot change its attributes either.
_ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): np.ndarray.__new__,
    ("numpy._core.multiarray", "_reconstruct"): np.ndarray.__new__,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise DataError(
                f"the pickle asks for {module}.{name}; only NumPy arrays are admitted. It was not run any further."
            ) from None

    def persistent_load(self, pid: Any) -> Any:
        raise DataError(f"the pickle refers to an outside object ({pid!r}); only NumPy arrays are admitted")


def load_arrays(file: IO[bytes] | GzipFile) -> Any:
    """The nested tuples and lists of arrays that a pickle holds, Python 2's pickles included.

    Raises DataError when the pickle is damaged or asks for anything but arrays.
    """
    try:
        # Latin-1 keeps each byte of a Python 2 string, which is what array contents are in those files.
        return _ArraysOnly(file, encoding="latin1").load()
    except DataError:
        raise
    except Exception as error:  # a damaged pickle can fail in any way: every one of them means this
        raise DataError(f"the pickle is damaged ({type(error).__name__}: {error})") from None
