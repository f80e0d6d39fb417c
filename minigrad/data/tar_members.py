"""Named files out of a compressed tar archive, as a stream, without trusting it.

Nothing is ever extracted to a path that the archive names: the contents of the files asked for are handed out, whatever
links, devices or paths the archive holds besides.
"""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from minigrad.errors import DataError

_CHUNK = 1 << 20


def read_members(path: Path, sizes: Mapping[str, int]) -> Iterator[tuple[str, bytes]]:
    """The wanted files of a `.tar.gz`, (name, contents), in the archive's order.

    Parameters: `sizes`, the bytes in each wanted file by its name; in the archive it may lie in any folder. A size is
    checked before anything is read, so a forged archive cannot fill the memory. The archive is read to its end, where
    its checksum is.

    Raises DataError when the archive is missing or damaged, when a wanted file has another size, is no plain file,
    comes twice or not at all.
    """
    missing = dict(sizes)
    try:
        with gzip.open(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                name = member.name.rpartition("/")[2]
                if name not in sizes:
                    continue
                if name not in missing:
                    raise DataError(f"{path} is damaged: it has {name} twice")
                if not member.isreg() or member.size != missing.pop(name):
                    raise DataError(
                        f"{path} is damaged: {member.name} in it is {_kind(member)}, expected a file of "
                        f"{sizes[name]:,} bytes"
                    )
                file = archive.extractfile(member)
                content = file.read() if file is not None else b""
                if len(content) != sizes[name]:
                    raise DataError(f"{path} is damaged: it ends in the middle of {member.name}")
                yield name, content
            while stream.read(_CHUNK):
                pass
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"cannot read {path}: there is no such file") from None
    except Exception as error:  # a damaged archive can fail in any way: every one of them means this
        raise DataError(f"{path} is damaged or no .tar.gz file ({type(error).__name__}: {error})") from None
    if missing:
        raise DataError(f"{path} lacks {', '.join(missing)}")


def _kind(member: tarfile.TarInfo) -> str:
    return f"a file of {member.size:,} bytes" if member.isreg() else "no plain file"
