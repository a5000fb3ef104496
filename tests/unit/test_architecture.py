"""The packages import each other one way only, and what the Snakefile and the CLI load stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "tokenmix"

#: what a package may import besides itself and the three leaves `errors`, `files` and `rows`
ALLOWED = {
    "study": set(),
    "data": {"study"},
    "models": {"study"},
    "training": {"study", "data", "models"},
    "evaluation": {"study"},
    "profiling": {"study", "models"},
    "reporting": {"study"},
}
HEAVY = {"torch", "torchvision", "timm", "monai", "medmnist", "pandas", "matplotlib", "sklearn", "scipy", "numba"}


def imported_packages(file: Path) -> set[str]:
    """The packages of tokenmix that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names = [node.module]
        found |= {name.split(".")[1] for name in names if name.startswith("tokenmix.")}
    return found


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_imports_go_one_way(package):
    allowed = ALLOWED[package] | {package, "errors", "files", "rows"}
    wrong = {
        f"{file.relative_to(SOURCE)} imports {name}"
        for file in sorted((SOURCE / package).rglob("*.py"))
        for name in imported_packages(file) - allowed
    }
    assert not wrong


def test_every_package_has_its_rule():
    packages = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert packages == set(ALLOWED)


@pytest.mark.parametrize(
    "modules",
    [
        "tokenmix.cli",
        "tokenmix.study.load, tokenmix.study.plan",
        "tokenmix.study.plan_command",
    ],
)
def test_what_the_snakefile_and_the_cli_load_is_light(modules):
    code = f"import sys, {modules}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(loaded)


@pytest.mark.parametrize("package", ["study", "evaluation", "reporting"])
def test_stages_without_a_gpu_never_import_torch(package):
    modules = ", ".join(
        ".".join(file.relative_to(SOURCE.parent).with_suffix("").parts)
        for file in sorted((SOURCE / package).rglob("*.py"))
        if file.stem != "__main__"
    )
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
