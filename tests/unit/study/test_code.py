"""Code identity: what counts, what does not, and which modules a job reaches."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tokenmix.errors import UserError
from tokenmix.study import code, trees
from tokenmix.study.code import code_identity, file_hash

PACKAGE = Path(code.__file__).parents[1]
MODULES = sorted(PACKAGE.rglob("*.py"))

#: constructs whose syntax trees differ between Python versions unless the dump evens them out
SNIPPET = '''
"""Docstring."""
from __future__ import annotations
import os.path as p


class A(p.__class__, metaclass=type):
    """Docstring."""

    x: int = 1  # comment
    "string below an attribute"


@p.curry(1, *(), **{})
async def f(a, /, b: "str" = u"x", *c, d, e=None, **g) -> None:
    """Docstring."""
    async with a as b, c:
        pass
    try:
        return [i async for i in a if i], {**a, 1: 2}, {i for i in b}, (yield)
    except* (ValueError, OSError) as error:
        raise error from None
    match a:
        case {"k": [1, *rest], **more} | A(x=1.5e300) | None | True:
            del a[1:2, ...], b.c
        case _:
            lambda x, *, y=-1j: (x @ y) << 2 if not x else b"\\xff"
    return f"{a!r:>{b}}{c:{d}}{d=}" "text" f"{{}}{e:}" "\\N{SNOWMAN}\u0560\U0001fae8"
'''
SNIPPET_HASH = "ee990be0ea21dcea3aa2352e7bdc546d165c82c5d358d84ccac4cfb93ff07e3a"


def write(folder: Path, files: dict[str, str]) -> Path:
    """A package `tokenmix` below `folder` with these files."""
    for name, text in {"__init__.py": "", **files}.items():
        path = folder / "tokenmix" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    code.forget()
    return folder


def hash_of(tmp_path: Path, text: str) -> str:
    path = tmp_path / "module.py"
    path.write_text(text)
    return file_hash(path)


BASE = 'def f(x):\n    """Adds."""\n    return x + 1\n'


@pytest.mark.parametrize(
    "same",
    [
        "# comment\n" + BASE,
        'def f(x):\n    return x + 1\n',
        '"""Module."""\n\n\ndef f(x):\n    """Other\n    words."""\n    return (x\n        + 1)  # one\n',
        'def f(x):\n    pass\n    return x + 1\n',
        "def f(x): return x+0x1",
        "def f(x):\r\n\treturn x + 1\r\n",
        "def f(x):  # type: ignore\n    return x + 1\n",
    ],
)  # fmt: skip
def test_comments_docstrings_and_layout_do_not_count(tmp_path, same):
    assert hash_of(tmp_path, same) == hash_of(tmp_path, BASE)


@pytest.mark.parametrize(
    "other",
    [
        "def f(x):\n    return x + 1.0\n",
        "def f(x):\n    return x + True\n",
        "def f(x):\n    return 1 + x\n",
        "def f(x):\n    return x - 1\n",
        "def f(x, y):\n    return x + 1\n",
        "def f(x, *, y):\n    return x + 1\n",
        "def f(x=None):\n    return x + 1\n",
        "def g(x):\n    return x + 1\n",
        "async def f(x):\n    return x + 1\n",
        "def f(x):\n    x + 1\n",
        "def f(x):\n    return x + 1\nf(2)\n",
    ],
)
def test_what_runs_differently_counts(tmp_path, other):
    assert hash_of(tmp_path, other) != hash_of(tmp_path, BASE)


@pytest.mark.parametrize(
    "one, other",
    [
        ("def f(*, a, b=1): 0", "def f(*, a=1, b): 0"),
        ("{**a, 1: b}", "{1: a, **b}"),
        ("f'{a}{b}'", "f'{a}' + f'{b}'"),
        ("f'{a}b'", "f'{a}{b}'"),
        ("[[1], 2]", "[[1, 2]]"),
        ("x = 1", "x: int = 1"),
        ("from . import a", "from .. import a"),
        ("'1'", "x = '1'"),
        ("x = '1'", "x = 1"),
        ("x = b'1'", "x = '1'"),
    ],
)
def test_places_and_types_count(tmp_path, one, other):
    assert hash_of(tmp_path, one) != hash_of(tmp_path, other)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_keeps_its_hash_when_only_its_tree_is_kept(tmp_path, module):
    # unparse drops comments and lays the code out anew
    bare = ast.unparse(ast.parse(module.read_text()))
    assert hash_of(tmp_path, bare) == file_hash(module)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_any_changed_name_number_or_operator_of_a_module_counts(tmp_path_factory, data):
    tree = ast.parse(data.draw(st.sampled_from(MODULES)).read_text())
    statements = [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    does_nothing = {id(node.value) for node in statements if isinstance(node, ast.Expr)}
    places = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Name | ast.Attribute | ast.arg | ast.keyword | ast.BinOp | ast.Compare)
        or (isinstance(node, ast.Constant) and type(node.value) in (int, float) and id(node) not in does_nothing)
    ]
    assume(places)
    node = data.draw(st.sampled_from(places))
    before = hash_of(tmp_path_factory.getbasetemp(), ast.unparse(tree))
    if isinstance(node, ast.Constant):
        node.value = node.value + 1
    elif isinstance(node, ast.BinOp):
        node.op = ast.FloorDiv() if not isinstance(node.op, ast.FloorDiv) else ast.Mod()
    elif isinstance(node, ast.Compare):
        node.ops[0] = ast.GtE() if not isinstance(node.ops[0], ast.GtE) else ast.Lt()
    else:
        field = {ast.Name: "id", ast.Attribute: "attr"}.get(type(node), "arg")
        assume(getattr(node, field))
        setattr(node, field, getattr(node, field) + "_changed")
    assert hash_of(tmp_path_factory.getbasetemp(), ast.unparse(tree)) != before


def test_the_hash_is_the_same_on_every_python_version(tmp_path):
    # run on one version, this compares it with the version that wrote the expected value
    assert hash_of(tmp_path, SNIPPET) == SNIPPET_HASH


class CutStrings(ast.NodeTransformer):
    """Cuts the text of f-strings into more pieces, some of them empty, as Python 3.12 does."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.JoinedStr:
        self.generic_visit(node)
        pieces = []
        for value in node.values:
            text = value.value if isinstance(value, ast.Constant) else ""
            whole = [] if isinstance(value, ast.Constant) else [value]
            pieces += [ast.Constant(text[:1]), *whole, ast.Constant(text[1:]), ast.Constant("")]
        node.values = pieces
        return node


def test_versions_that_cut_f_strings_differently_agree(tmp_path, monkeypatch):
    text = "f'{a}bcd{e!r:>{f}.3f}{g}h' f'{a:}'"
    expected = hash_of(tmp_path, text)
    cut = CutStrings().visit(ast.parse(text))
    trees._parse.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(ast, "parse", lambda content: cut)
        assert hash_of(tmp_path, text) == expected
    trees._parse.cache_clear()


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_other_interpreters_on_this_machine_give_the_same_hashes(version):
    other = shutil.which(f"python{version}")
    if not other or subprocess.run([other, "-c", ""], capture_output=True).returncode:
        pytest.skip(f"python{version} is missing: put one on the path, and this asks it too")
    script = "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
    script += "from tokenmix.study.code import file_hash\n"
    script += "print(*[file_hash(Path(path)) for path in sys.argv[2:]])"
    command = [other, "-c", script, str(PACKAGE.parent), *map(str, MODULES)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [file_hash(path) for path in MODULES]


IMPORTS = {
    "a/__init__.py": "from . import inside\n",
    "a/inside.py": "",
    "a/entry.py": """
        import json
        import tokenmix.b.absolute as renamed
        from tokenmix.b import module, function
        from . import sibling
        from .sibling2 import name
        from ..b.up import name2
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from tokenmix.b import types_only
        try:
            from tokenmix.b import tried
            import tokenmix.b.nowhere
        except ImportError:
            import tokenmix.b.caught
        finally:
            import tokenmix.b.at_last
        with open(__file__):
            import tokenmix.b.inside_with
        for _ in ():
            pass
        else:
            import tokenmix.b.otherwise
        match 1:
            case 1:
                import tokenmix.b.matched
        class C:
            def f(self):
                from tokenmix.b.late import x
        C().f()
    """,
    "a/sibling.py": "from tokenmix.a import entry\n",
    "a/sibling2.py": "name = 1\n",
    "a/unused.py": "",
    "b/__init__.py": "def function(): ...\n",
    "b/absolute.py": "",
    "b/module/__init__.py": "from .deep import y\n",
    "b/module/deep.py": "y = 1\n",
    "b/module/unused.py": "",
    "b/module.py": "a package hides a module of its name, so this is never parsed",
    "b/up.py": "name2 = 1\n",
    "b/types_only.py": "",
    "b/tried.py": "",
    "b/caught.py": "",
    "b/at_last.py": "",
    "b/inside_with.py": "",
    "b/otherwise.py": "",
    "b/matched.py": "",
    "b/late.py": "x = 1\n",
    "c/__init__.py": "",
}


def dedented(files: dict[str, str]) -> dict[str, str]:
    return {name: text.replace("\n        ", "\n") for name, text in files.items()}


def test_the_walk_finds_what_python_imports(tmp_path):
    source = write(tmp_path, dedented(IMPORTS))
    script = "import sys, tokenmix.a.entry; print(*sorted(n for n in sys.modules if 'tokenmix' in n))"
    environment = {"PYTHONPATH": str(source), "PYTHONSAFEPATH": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert sorted(code_identity(["tokenmix.a.entry"], source).modules) == done.stdout.split()


@pytest.mark.parametrize("entries", [["tokenmix.study.plan"], ["tokenmix.evaluation.command"], ["tokenmix.cli"]])
def test_the_walk_covers_what_the_package_really_imports(entries):
    script = f"import sys, {entries[0]}; print(*[n for n in sys.modules if n.split('.')[0] == 'tokenmix'])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= code_identity(entries, PACKAGE.parent).modules.keys()


def test_modules_and_their_names_make_the_identity(tmp_path):
    source = write(tmp_path, {"a.py": "from tokenmix import b", "b.py": "x = 1", "c.py": "x = 1"})
    first = code_identity(["tokenmix.a"], source)
    assert code_identity(["tokenmix.a", "tokenmix.b"], source) == first
    assert code_identity(["tokenmix.a", "tokenmix.c"], source).hash != first.hash
    assert code_identity(["tokenmix.b"], source).hash != code_identity(["tokenmix.c"], source).hash


def test_a_file_that_a_module_names_and_that_lies_beside_it_belongs_to_the_code(tmp_path):
    source = write(tmp_path, {"a.py": "KERNEL = 'kernel.cpp'", "kernel.cpp": "int x;", "other.cpp": ""})
    before = code_identity(["tokenmix.a"], source)
    assert list(before.resources) == ["tokenmix/kernel.cpp"]
    write(tmp_path, {"kernel.cpp": "int y;"})
    assert code_identity(["tokenmix.a"], source).hash != before.hash


def test_a_missing_entry_is_named(tmp_path):
    with pytest.raises(UserError, match=r"tokenmix\.gone is missing"):
        code_identity(["tokenmix.gone"], write(tmp_path, {}))


def test_broken_code_is_named_with_its_line(tmp_path):
    source = write(tmp_path, {"a.py": "from tokenmix import b", "b.py": "x = 1\ndef ("})
    with pytest.raises(UserError, match=r"b\.py:2 is not valid Python"):
        code_identity(["tokenmix.a"], source)


def test_modules_are_parsed_once_in_a_process(tmp_path, monkeypatch):
    files = {"a.py": "from tokenmix import b\nz = 17", "b.py": "y = 18", "c.py": "from . import b, a"}
    source = write(tmp_path, files)
    parsed = []
    parse = ast.parse
    with monkeypatch.context() as patch:
        patch.setattr(ast, "parse", lambda content: parsed.append(content) or parse(content))
        for _ in range(3):
            code_identity(["tokenmix.a"], source)
            code_identity(["tokenmix.c"], source)
    assert len(parsed) == len(set(parsed))
