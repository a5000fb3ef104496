"""Code identity: one hash for the modules that a job can reach from its entry points.

The hash is taken over syntax trees, so that comments, docstrings and layout do not count, and
only over modules that static imports lead to, so that editing one mixer does not retrain another.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from tokenmix.errors import UserError
from tokenmix.files import canonical_json, sha256_file
from tokenmix.study import installed
from tokenmix.study.trees import Parsed, read

PACKAGE = "tokenmix"
#: the folder that holds the package this module belongs to
SOURCE = Path(__file__).resolve().parents[2]
#: hex digits of a hash inside a name; files hold all 64
DIGITS = 8


@dataclass(frozen=True)
class CodeIdentity:
    """The modules reachable from some entry points.

    modules: module name -> hash of its syntax tree. resources: path below the source folder ->
    hash of the bytes of a file that a module names in a string and that lies beside it (a kernel
    in C++, say). paths: module name -> its file below the source folder. mixers: of other installed
    packages, name -> module, as far as they are entry points.
    """

    modules: dict[str, str]
    resources: dict[str, str]
    paths: dict[str, str]
    mixers: dict[str, str]

    @cached_property
    def hash(self) -> str:
        """SHA-256 over names and hashes of all modules and resources, in hex."""
        parts = {"modules": self.modules, "resources": self.resources}
        if self.mixers:
            parts["mixers"] = self.mixers
        return hashlib.sha256(canonical_json(parts).encode()).hexdigest()

    @property
    def parts(self) -> dict[str, str]:
        """Name of a module or path of another file -> hash."""
        return {**self.modules, **self.resources}

    @cached_property
    def files(self) -> dict[str, str]:
        """Path below the source folder -> hash, of modules and resources."""
        return {path: self.modules[name] for name, path in sorted(self.paths.items())} | self.resources


def code_identity(entries: Sequence[str], source: Path) -> CodeIdentity:
    """Identity of the code that the modules `entries` can reach inside the package.

    source: the folder that holds the package `tokenmix`. What other installed packages offer (`installed`) may be
    among the entries; their modules count like the package's own. Raises UserError when an entry is missing or a
    reachable module is not valid Python.
    """
    return _walk(tuple(sorted(set(entries))), Path(source).resolve())


@cache
def _walk(entries: tuple[str, ...], source: Path) -> CodeIdentity:
    # Memoised for the life of the process: one plan must see one state of the tree, and 2,000 runs
    # share a dozen sets of entries. `forget` starts afresh.
    waiting: list[str] = []
    for entry in entries:
        if module_file(entry, source) is None:
            raise UserError(f"module {entry} is missing below {root_of(entry, source)}; restore its file")
        waiting += _with_ancestors(entry)
    modules: dict[str, str] = {}
    resources: dict[str, str] = {}
    paths: dict[str, str] = {}
    while waiting:
        name = waiting.pop()
        path, root = module_file(name, source), root_of(name, source)
        if name in modules or path is None or root is None:
            continue
        parsed = read(path)
        modules[name] = parsed.hash
        paths[name] = path.relative_to(root).as_posix()
        waiting += (found for found in _imported(name, path.name == "__init__.py", parsed) if root_of(found, source))
        for resource in parsed.strings & _neighbours(path.parent):
            relative = (path.parent / resource).relative_to(root).as_posix()
            resources[relative] = file_hash(root / relative)
    mixers = {name: module for name, module in installed.mixers(source).items() if module in entries}
    return CodeIdentity(modules, resources, paths, mixers)


def exists(module: str, source: Path) -> bool:
    """Whether the package below `source` has this module."""
    return module_file(module, Path(source).resolve()) is not None


def forget() -> None:
    """Drop what was remembered about source folders, so that the next identity sees later edits."""
    _walk.cache_clear()
    module_file.cache_clear()
    _neighbours.cache_clear()
    installed.forget()


def file_hash(path: Path) -> str:
    """Hash of one file, in hex: of a Python file's syntax tree (UserError if invalid), else of its bytes."""
    return read(path).hash if path.suffix == ".py" else sha256_file(path)


def root_of(module: str, source: Path) -> Path | None:
    """The folder that holds a module's top-level package, or None where its code is not part of an identity."""
    top = module.partition(".")[0]
    # frozen code has all that it needs in its own folder
    return source if top == PACKAGE or installed.is_frozen(source) else installed.root_of(top)


@cache
def module_file(module: str, source: Path) -> Path | None:
    """The file of a module, or None when the name is no module (a function, say) or a library's."""
    root = root_of(module, source)
    if root is None:
        return None
    base = root.joinpath(*module.split("."))
    # a package wins over a module of the same name, as in Python's own finder
    return next((path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()), None)


@cache
def _neighbours(folder: Path) -> frozenset[str]:
    """Names of the files in `folder` that are not Python."""
    return frozenset(p.name for p in folder.iterdir() if p.suffix not in {".py", ".pyc"} and p.is_file())


def _with_ancestors(module: str) -> list[str]:
    """`a.b.c` -> `a`, `a.b`, `a.b.c`: importing a module runs the __init__ of every package above it."""
    parts = module.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def _imported(name: str, is_package: bool, parsed: Parsed) -> Iterator[str]:
    """Candidate modules of a module's imports; names that are no modules have no `module_file`."""
    for level, module, names in parsed.imports:
        base = module
        if level:
            # one dot is the module's own package; each further dot goes one package up
            parents = name.split(".")[: None if is_package else -1]
            parents = parents[: len(parents) - (level - 1)]
            base = ".".join([*parents, module] if module else parents)
        yield from _with_ancestors(base)
        yield from (f"{base}.{item}" for item in names)
