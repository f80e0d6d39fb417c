"""Promises that no single module keeps: what may be imported where, how light it is, and what the README says."""

from __future__ import annotations

import ast
import inspect
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from minigrad.op import get_operation

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = sorted(
    p
    for folder in ("minigrad", "models", "experiments", "benchmarks")
    for p in ROOT.glob(f"{folder}/**/*.py")
)
CODE = [*SHIPPED, *sorted(ROOT.glob("tests/**/*.py")), ROOT / "conftest.py"]
TEXTS = [*CODE, *sorted(ROOT.glob("*.md")), ROOT / "setup.cfg", ROOT / "pyproject.toml", ROOT / ".ci" / "run"]

NO_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE),
    *(tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER),
}


def name(path: Path) -> str:
    """How messages call a file."""
    return path.relative_to(ROOT).as_posix()


def imported_names(path: Path) -> Iterator[str]:
    """Top-level packages a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]


def code_lines(path: Path) -> set[int]:
    """Numbers of the lines that hold code: no blank line, comment or docstring."""
    source = path.read_text(encoding="utf-8")
    texts = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    ]
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {
        n for token in tokens if token.type not in NO_CODE for n in range(token.start[0], token.end[0] + 1)
    }
    return lines - {n for node in texts for n in range(node.lineno, (node.end_lineno or node.lineno) + 1)}


def test_code_lines_counts_code_only(tmp_path):
    source = tmp_path / "source.py"
    code = (
        '"""Two\nlines."""\n\n# why\nx = [\n    1,\n]\n\n\ndef f():\n    """Doc."""\n    return """a\nb"""\n'
    )
    source.write_text(code)
    assert code_lines(source) == {5, 6, 7, 10, 12, 13}


def test_a_file_is_read_in_one_sitting():
    lines = {name(path): path.read_text(encoding="utf-8").count("\n") for path in CODE}
    assert not {path: count for path, count in lines.items() if count > 400}


def test_the_core_stays_small():
    core = [ROOT / "minigrad" / f"{module}.py" for module in ("op", "engine", "tensor")]
    assert sum(len(code_lines(path)) for path in core) < 600


def function_lines(function: Callable[..., Any]) -> int:
    """Lines of code in a function, from its `def` on."""
    path = Path(inspect.getfile(function))
    nodes = [node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.FunctionDef)]
    node = next(node for node in nodes if node.name == function.__name__)
    return len(code_lines(path) & set(range(node.lineno, (node.end_lineno or node.lineno) + 1)))


@pytest.mark.parametrize(
    ("operations", "limit"), [(["relu"], 12), (["conv2d", "conv2d_weight_gradient"], 40)]
)
def test_an_operation_fits_on_a_slide(operations, limit):
    """The first operation a student reads, and the one that everything rests on: forward and gradient."""
    found = [get_operation(operation) for operation in operations]
    assert sum(function_lines(op.forward) + function_lines(op.gradient_fn) for op in found) < limit


def test_every_module_says_what_it_is():
    assert not [name(path) for path in SHIPPED if not ast.get_docstring(ast.parse(path.read_bytes()))]


def test_only_the_backend_knows_accelerators():
    others = [path for path in SHIPPED if ROOT / "minigrad" / "backend" not in path.parents]
    assert not [name(path) for path in others if {"cupy", "cupyx", "numba"} & set(imported_names(path))]


def test_the_library_knows_no_model_and_no_script():
    scripts = {"models", "experiments", "benchmarks", "tests"}
    library = [path for path in SHIPPED if ROOT / "minigrad" in path.parents]
    assert not [name(path) for path in library if scripts & set(imported_names(path))]


def test_importing_minigrad_is_light():
    script = "import sys, minigrad; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "minigrad" in loaded.stdout.split()
    assert not {"matplotlib", "numba", "cupy", "torch", "scipy", "tqdm", "models"} & set(
        loaded.stdout.split()
    )


def fenced_blocks(markdown: str) -> list[str]:
    return re.findall(r"^```[^\n]*\n(.*?)^```", markdown, flags=re.DOTALL | re.MULTILINE)


def test_the_readme_holds_the_two_commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = fenced_blocks(readme)
    assert any("pip install" in block and "experiments/train_mnist.py" in block for block in blocks)
    marked = fenced_blocks(readme.partition("<!-- ci: test -->")[2])
    assert marked, (
        "the test command needs the mark <!-- ci: test --> right before its block: .ci/run reads it there"
    )
    assert '-e ".[test]"' in marked[0]
    assert "-m pytest" in marked[0]


@pytest.mark.parametrize("document", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_documents_name_files_that_exist(document):
    """A path in backticks that starts with one of our folders is there; `folder/<placeholder>` is not a path."""
    text = (ROOT / document).read_text(encoding="utf-8")
    paths = re.findall(r"`((?:minigrad|models|experiments|benchmarks|tests)/[\w./-]+)`", text)
    assert not [path for path in paths if not (ROOT / path).exists() and not (ROOT / f"{path}.py").exists()]


def test_nothing_is_tied_to_one_machine():
    """Which package index serves an installation is the user's choice, and so is every folder outside the project."""
    hosts = re.compile(r"(?:pypi|npmjs|pythonhosted|anaconda)\.(?:org|com)")
    folders = re.compile(r"(?<![\w.])/(?:home|root|work|Users)/\w")
    texts = {name(path): path.read_text(encoding="utf-8") for path in TEXTS}
    assert not {
        path: found[0]
        for path, text in texts.items()
        if (found := hosts.search(text) or folders.search(text))
    }
