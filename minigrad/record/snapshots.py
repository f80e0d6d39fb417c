"""Files beside the database, named by the SHA-256 of their bytes: weights, outputs on the probe set, graphs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.errors import DataError
from minigrad.serialization import decode, encode, read_file, write_file

_HASH = re.compile(r"[0-9a-f]{64}")
_GRAPH = "graph"
_PLACES = {True: ("graphs", ".json"), False: ("snapshots", ".safetensors")}


class SnapshotStore:
    """The folders `snapshots/` and `graphs/` of a run. A file is absent or whole, and equal contents are one file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, kind: str, digest: str) -> Path:
        """Where a file lies. Raises DataError for a hash that is none: it may come from a database made by others."""
        if not isinstance(digest, str) or not _HASH.fullmatch(digest):
            raise DataError(f"the record names a snapshot by {digest!r:.80}, which is no SHA-256")
        place, ending = _PLACES[kind == _GRAPH]
        return self.folder / place / f"{digest}{ending}"

    def write(self, kind: str, content: Mapping[str, np.ndarray] | bytes) -> str:
        """Write arrays by name, or for kind "graph" a JSON text; returns the hash, once the file is safe on the disk.

        Raises DataError if it cannot be written.
        """
        data = content if isinstance(content, bytes) else encode(dict(sorted(content.items())))
        digest = hashlib.sha256(data).hexdigest()
        path = self.path(kind, digest)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, data)
        return digest

    def read(self, kind: str, digest: str) -> bytes:
        """A file's bytes. Raises DataError if it is missing or not what was written."""
        path = self.path(kind, digest)
        content = read_file(path)
        if hashlib.sha256(content).hexdigest() != digest:
            raise DataError(f"{path} is damaged: its content does not have the hash it is named by")
        return content

    def arrays(self, kind: str, digest: str) -> dict[str, np.ndarray]:
        """The arrays of a snapshot by name, read-only."""
        return decode(self.read(kind, digest), self.path(kind, digest))[0]

    def graph(self, digest: str) -> dict[str, Any]:
        """A graph. Raises DataError if its file holds no JSON object."""
        try:
            found = json.loads(self.read(_GRAPH, digest))
        except ValueError as error:
            raise DataError(f"{self.path(_GRAPH, digest)} is damaged: {error}") from error
        if not isinstance(found, dict):
            raise DataError(f"{self.path(_GRAPH, digest)} is damaged: it does not hold an object")
        return found

    def keep_only(self, named: Collection[tuple[str, str]]) -> None:
        """Remove files that no row names, and unfinished ones; `named` holds (kind, hash)."""
        wanted = {self.path(kind, digest) for kind, digest in named}
        for place, ending in _PLACES.values():
            for path in (self.folder / place).glob("*"):
                ours = _HASH.match(path.name) and (path.name[64:] == ending or f"{ending}.tmp" in path.name)
                if ours and path not in wanted:
                    with suppress(OSError):
                        path.unlink()


def copied(content: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], int]:
    """Copies of arrays or tensors, so that training may go on changing them, and their bytes."""
    arrays = {}
    for name, value in content.items():
        array = value.numpy() if hasattr(value, "numpy") else np.asarray(value)
        arrays[str(name)] = np.array(array, order="C", copy=True)
    return arrays, sum(array.nbytes for array in arrays.values())
