"""Promises that no single module keeps: what may be imported where, how light it is, and what the README says."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

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
every_file = pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))


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


@every_file
def test_a_file_is_read_in_one_sitting(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_the_core_stays_small():
    assert sum(len(code_lines(ROOT / "minigrad" / f"{name}.py")) for name in ("op", "engine", "tensor")) < 600


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_bytes())), "the module has no docstring"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_backend_knows_accelerators(path):
    if ROOT / "minigrad" / "backend" not in path.parents:
        assert not {"cupy", "cupyx", "numba"} & set(imported_names(path))


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("minigrad/**/*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_the_library_knows_no_model_and_no_script(path):
    assert not {"models", "experiments", "benchmarks", "tests"} & set(imported_names(path))


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


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_documents_name_files_that_exist(name):
    """A path in backticks that starts with one of our folders is there; `folder/<placeholder>` is not a path."""
    text = (ROOT / name).read_text(encoding="utf-8")
    paths = re.findall(r"`((?:minigrad|models|experiments|benchmarks|tests)/[\w./-]+)`", text)
    assert not [path for path in paths if not (ROOT / path).exists() and not (ROOT / f"{path}.py").exists()]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_tied_to_one_machine(path):
    """Which package index serves an installation is the user's choice, and so is every folder outside the project."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"(?:pypi|npmjs|pythonhosted|anaconda)\.(?:org|com)", text)
    assert not re.search(r"(?<![\w.])/(?:home|root|work|Users)/\w", text)
