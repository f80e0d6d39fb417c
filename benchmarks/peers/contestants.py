"""Who takes part: each contestant is one library, run in one way; several may share a library."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from minigrad.errors import ArgumentError, MinigradError

MODERN = "pip install -r benchmarks/requirements-peers.txt"
CHAINER = (
    "in an environment of Python 3.10 or older: pip install -r benchmarks/requirements-chainer.txt; "
    "then --python chainer=PATH"
)
CLANG = "clang on the PATH (apt-get install clang)"
COMPILER = "a C++ compiler on the PATH (apt-get install g++)"


class Contestant(NamedTuple):
    """One way of running one library.

    peer:      the library, as --peers and --python name it.
    framework: its module to import; `package`: its name for pip; `module`: where its steps are.
    options:   what its steps are told.
    tools:     programs of which one must be on the PATH, and `tool_hint`: how to get one.
    images:    whether it only differs from another where there are images (a memory format).
    checkout:  whether its process finds minigrad here, installed or not.
    """

    name: str
    peer: str
    framework: str
    package: str
    module: str
    install: str = MODERN
    options: Mapping[str, bool] = {}
    tools: tuple[str, ...] = ()
    tool_hint: str = ""
    images: bool = False
    checkout: bool = False


def _pytorch(name: str, channels_last: bool, compiled: bool) -> Contestant:
    options = {"channels_last": channels_last, "compiled": compiled}
    tools = tuple(filter(None, (os.environ.get("CXX"), "g++", "clang++"))) if compiled else ()
    module = "peers.pytorch_steps"
    return Contestant(
        name,
        "pytorch",
        "torch",
        "torch",
        module,
        MODERN,
        options,
        tools,
        COMPILER if tools else "",
        channels_last,
    )


CONTESTANTS = [
    Contestant(
        "minigrad",
        "minigrad",
        "minigrad",
        "minigrad",
        "peers.minigrad_steps",
        "pip install -e .",
        checkout=True,
    ),
    _pytorch("PyTorch, NCHW", False, False),
    _pytorch("PyTorch, channels last", True, False),
    _pytorch("torch.compile, NCHW", False, True),
    _pytorch("torch.compile, channels last", True, True),
    Contestant("JAX", "jax", "jax", "jax", "peers.jax_steps"),
    Contestant(
        "tinygrad", "tinygrad", "tinygrad", "tinygrad", "peers.tinygrad_steps", MODERN, {}, ("clang",), CLANG
    ),
    Contestant("MyGrad", "mygrad", "mygrad", "mygrad", "peers.mygrad_steps"),
    Contestant("Chainer", "chainer", "chainer", "chainer", "peers.chainer_steps", CHAINER),
]
PEERS = list(dict.fromkeys(c.peer for c in CONTESTANTS))

_PROBE = """
import importlib.util, json, sys
try:
    from importlib.metadata import version
except ImportError:
    from importlib_metadata import version
found = {}
for module, package in json.loads(sys.argv[1]):
    if importlib.util.find_spec(module) is not None:
        try:
            found[module] = version(package)
        except Exception:
            found[module] = "unknown"
print(json.dumps(found))
"""


def interpreters(given: Sequence[str]) -> dict[str, str]:
    """The interpreter of each peer, from arguments PEER=PATH; by default this one.

    Raises ArgumentError for an unknown peer, or a path where no program is.
    """
    chosen = dict.fromkeys(PEERS, sys.executable)
    for text in given:
        peer, equals, path = text.partition("=")
        if not equals or peer not in chosen:
            raise ArgumentError(f"--python expects PEER=PATH with a peer of {', '.join(PEERS)}, not {text!r}")
        found = shutil.which(os.path.expanduser(path))
        if found is None:
            raise ArgumentError(f"--python {text}: there is no program {path!r}")
        chosen[peer] = os.path.abspath(found)
    return chosen


def installed(contestants: Sequence[Contestant], pythons: Mapping[str, str]) -> dict[str, str]:
    """Versions of the peers that are there, by peer; each interpreter is asked once, nothing is imported."""
    versions: dict[str, str] = {}
    for python in dict.fromkeys(pythons[c.peer] for c in contestants):
        peers = {c.peer: c for c in contestants if pythons[c.peer] == python}
        asked = json.dumps([[c.framework, c.package] for c in peers.values()])
        answer = _ask(python, asked)
        versions |= {peer: answer[c.framework] for peer, c in peers.items() if c.framework in answer}
    return versions


def _ask(python: str, asked: str) -> dict[str, Any]:
    # In a folder of its own, where no folder of ours can be taken for a library
    done = subprocess.run(
        [python, "-c", _PROBE, asked], capture_output=True, text=True, cwd=os.path.dirname(__file__)
    )
    try:
        return json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip() or "it says nothing").splitlines()[-1]
        raise MinigradError(
            f"{python} is no Python that could be asked what it has installed: {last}"
        ) from None


def missing(contestant: Contestant, versions: Mapping[str, str]) -> str | None:
    """Why a contestant cannot take part, and what to do; None if it can."""
    if contestant.peer not in versions:
        return f"{contestant.framework} is not installed; {contestant.install}"
    if contestant.tools and not any(map(shutil.which, contestant.tools)):
        return f"needs {contestant.tool_hint}"
    return None
