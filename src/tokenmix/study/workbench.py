"""The code of every job that is no training: evaluation, profiling and reporting run one frozen copy of the package.

A training freezes what it can reach, which names it. These jobs are made again after an edit of their own stage
(`stages`), and share a copy of everything: what they import by name is then there, whatever the study holds.
"""

from dataclasses import replace
from pathlib import Path

from tokenmix.study import installed
from tokenmix.study.code import PACKAGE, CodeIdentity, code_identity, file_hash, module_file, root_of


def workbench(source: Path) -> CodeIdentity:
    """The whole package below `source`, and the mixers and data sets that other installed packages offer."""
    source = source.resolve()
    found = sorted((source / PACKAGE).rglob("*"))
    files = [path for path in found if path.is_file() and "__pycache__" not in path.parts]  # Python's, and Numba's
    names = [path.relative_to(source).with_suffix("").parts for path in files if path.suffix == ".py"]
    importable = (parts for parts in names if all(part.isidentifier() for part in parts))
    modules = [".".join(parts[:-1] if parts[-1] == "__init__" else parts) for parts in importable]
    others = {path.relative_to(source).as_posix(): file_hash(path) for path in files if path.suffix != ".py"}
    modules += installed.mixers(source).values()
    for name, offer in installed.offers(installed.DATASETS).items():
        module, root = module_file(offer.module, source), root_of(offer.module, source)
        if module and root:
            modules.append(offer.module)
            # its entry lies beside it, like our own manifest
            entry = module.with_name(f"{name}.yaml")
            others[entry.relative_to(root).as_posix()] = file_hash(entry)
    identity = code_identity(modules, source)
    return replace(identity, resources={**identity.resources, **others})
