"""Mangled weight files: each must be refused with a DataError or read as something valid, soon, and nothing may run.

    python -m tests.fuzz_files --count 2000 [--seed 0] [--keep FOLDER]

Files are PyTorch checkpoints in both formats and safetensors. Of those with checksums, the inside is mangled too and
packed again properly, so that the damage gets past the checksum.
"""

from __future__ import annotations

import argparse
import codecs
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy

from minigrad import serialization, torch_file
from minigrad.errors import DataError
from minigrad.tensor import Tensor
from tests.torch_checkpoints import Code, archive, call, code, memory, name, pickled, stream, tensor, whole

LONGEST = 10.0  # seconds
# What Python reports when a program does more than compute
FORBIDDEN = {
    "import", "exec", "compile", "pickle.find_class", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.remove",
    "os.rename", "os.mkdir", "os.chmod", "subprocess.Popen", "socket.connect", "socket.bind", "ctypes.dlopen",
}  # fmt: skip
EXTREMES = [
    b"\x00" * 8,
    b"\xff" * 8,
    b"\xff" * 7 + b"\x7f",
    b"\xff\xff\xff\x7f",
    b"\x00\x00\x00\x80",
    b"\x00" * 7 + b"\x80",
]


class Kind(NamedTuple):
    """A kind of file: the part that is mangled, what makes a file of it, and what reads the file."""

    content: bytes
    pack: Callable[[bytes], bytes]
    read: Callable[[Path], Any]


def kinds() -> dict[str, Kind]:
    """All kinds by name."""
    value, contents = _checkpoint(), _contents()
    pickle = pickled(value)
    tensors = {
        "weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "count": np.array(3),
        "flags": np.ones(5, bool),
    }
    stored = safetensors.numpy.save(tensors, {"format": "pt"})
    length = int.from_bytes(stored[:8], "little")

    def with_header(header: bytes) -> bytes:
        return len(header).to_bytes(8, "little") + header + stored[8 + length :]

    plain = {key: (len(content) // size, content) for key, (size, content) in contents.items()}
    raw = {key: content for key, (_, content) in contents.items()}
    return {
        "archive": Kind(archive(pickle, raw), bytes, _read_checkpoint),
        "archive's pickle": Kind(pickle, lambda mangled: archive(mangled, raw), _read_checkpoint),
        "stream": Kind(stream(pickle, plain), bytes, _read_checkpoint),
        "safetensors": Kind(stored, bytes, serialization.load),
        "safetensors' header": Kind(stored[8 : 8 + length], with_header, serialization.load),
    }


def _contents() -> dict[str, tuple[int, bytes]]:
    """Bytes of an element, and memory, by key."""
    floats = np.linspace(-1, 1, 24, dtype=np.float32)
    return {"0": (4, floats.tobytes()), "1": (8, bytes(32)), "2": (1, b"\x00\x01\x01")}


def _checkpoint() -> dict[str, Any]:
    """Something of everything that checkpoints hold."""
    weights = memory("0", "FloatStorage", 24)
    state = Code(
        call("collections.OrderedDict") + b"(" + code("conv.weight") + tensor(weights, (2, 3, 4), (12, 4, 1))
        + code("conv.bias") + tensor(weights, (3,), (2,), offset=5)
        + code("tied") + call("torch._utils._rebuild_parameter", tensor(weights, (4, 6), (1, 4)), True, {})
        + code("flags") + whole("2", np.zeros(3, bool)) + b"u" + code({"_metadata": {"": {"version": 1}}}) + b"b"
    )  # fmt: skip
    return {
        "state_dict": state,
        "steps": whole("1", np.zeros(4, np.int64)),
        "args": Code(call("argparse.Namespace") + code({"lr": 0.1, "name": "x"}) + b"b"),
        "numbers": [1, 2.5, -7, 2**70, (True, None, b"raw"), {"deep": {"deeper": ["text"]}}],
        "size": call("torch.Size", (2, 3)),
        "dtype": name("torch.float32"),
        "sparse": call("torch._utils._rebuild_sparse_tensor", name("torch.sparse_coo"), (1, 2)),
    }


def _read_checkpoint(path: Path) -> Any:
    with suppress(DataError):  # it may hold valid values all the same
        torch_file.read_state_dict(path)
    return torch_file.read(path)


def mangle(content: bytes, rng: np.random.Generator) -> bytes:
    """Some random damage: bits, bytes, numbers, pieces moved, lost, doubled or broken off."""
    mangled = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(0, len(mangled) + 1))
        to = min(len(mangled), at + int(rng.geometric(0.1)))
        match int(rng.integers(0, 9)):
            case 0 | 1 if at < len(mangled):
                mangled[at] ^= 1 << int(rng.integers(0, 8))
            case 2 if at < len(mangled):
                mangled[at] = int(rng.integers(0, 256))
            case 3:
                extreme = EXTREMES[int(rng.integers(0, len(EXTREMES)))]
                mangled[at : at + len(extreme)] = extreme
            case 4:
                mangled[at:at] = rng.bytes(to - at)
            case 5:
                del mangled[at:to]
            case 6:
                mangled[at:at] = mangled[at:to]
            case 7:
                other = int(rng.integers(0, len(mangled) + 1))
                mangled[at:to] = mangled[other : other + to - at]
            case 8 if rng.random() < 0.2:
                del mangled[at:]
    return bytes(mangled)


_forbidden_events: list[str] | None = None
_hooked = False


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if _forbidden_events is not None:
        writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
        if event in FORBIDDEN or writes:
            _forbidden_events.append(f"{event} {arguments[:2]}")


@contextmanager
def watching() -> Iterator[list[str]]:
    """The forbidden things that Python is seen to do within the block."""
    global _forbidden_events, _hooked
    if not _hooked:
        sys.addaudithook(_hook)  # stays for as long as Python runs
        _hooked = True
    events = _forbidden_events = []
    try:
        yield events
    finally:
        _forbidden_events = None


def check_valid(value: Any) -> None:
    """Only plain values and tensors whose every element can be read."""
    if isinstance(value, dict):
        for key, part in value.items():
            assert isinstance(key, (str, bytes, int, float, type(None), torch_file.Opaque))
            check_valid(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            check_valid(part)
    elif isinstance(value, Tensor):
        np.array(value.numpy())
    else:
        assert isinstance(value, (str, bytes, int, float, type(None), torch_file.Opaque)), type(value)


def attempt(read: Callable[[Path], Any], path: Path) -> bool:
    """Read a file; whether it was valid. Raises AssertionError for anything but a valid result or a DataError."""
    began, message = time.perf_counter(), ""
    with watching() as events:
        try:
            check_valid(read(path))
        except DataError as error:
            message = str(error)
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error}") from error
    assert not events, f"it did {events}"
    assert time.perf_counter() - began < LONGEST, "it took too long"
    assert not message or str(path) in message, f"the message does not name the file: {message}"
    assert len(message) < 1000 + len(str(path)), f"a message of {len(message):,} characters"
    return not message


def run(count: int, seed: int, folder: Path) -> dict[str, tuple[int, int]]:
    """Try `count` files, as many of each kind; returns how many were valid and how many refused, by kind.

    Raises AssertionError over the first that is neither; the file stays in the folder.
    """
    found = kinds()
    for codec in ("cp437", "raw-unicode-escape"):  # of archives' and pickles' names: loaded before we watch
        codecs.lookup(codec)
    for kind in found.values():  # and whatever intact files need
        path = folder / "intact"
        path.write_bytes(kind.pack(kind.content))
        check_valid(kind.read(path))
    outcomes = {label: [0, 0] for label in found}
    for i in range(count):
        label = list(found)[i % len(found)]
        path = folder / f"mangled-{seed}-{i}"
        path.write_bytes(found[label].pack(mangle(found[label].content, np.random.default_rng([seed, i]))))
        try:
            outcomes[label][0 if attempt(found[label].read, path) else 1] += 1
        except AssertionError as error:
            raise AssertionError(f"number {i} of seed {seed} ({label}), kept as {path}: {error}") from error
        path.unlink()
    return {label: (valid, refused) for label, (valid, refused) in outcomes.items()}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="the folder to keep a file in that shows a fault")
    options = parser.parse_args()
    try:
        import resource  # where the system has it: memory beyond this is a fault too

        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    except ImportError:
        pass
    began = time.perf_counter()
    with TemporaryDirectory() as temporary:
        outcomes = run(options.count, options.seed, options.keep or Path(temporary))
    for label, (valid, refused) in outcomes.items():
        print(f"{label:<22}{refused:>6} refused {valid:>6} valid")
    print(f"{options.count} files in {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
