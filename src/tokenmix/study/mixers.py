"""Which token mixers there are.

A mixer's name is the name of its file in `models/mixers`; the file says `TAKES_KERNEL = True` or `False` at its top
level, which is read from its syntax tree, so that nothing of `models` (and no torch) is imported here. Other
installed packages may offer mixers, too (`installed`).
"""

import ast
import functools
import re
from pathlib import Path

from tokenmix.errors import UserError
from tokenmix.study import installed
from tokenmix.study.code import SOURCE, module_file

MIXER_FOLDER = SOURCE / "tokenmix" / "models" / "mixers"


def mixer_module(name: str) -> str:
    """The module that holds a mixer: a file of `models/mixers`, or what an installed package offers."""
    return installed.mixers(SOURCE).get(name, f"tokenmix.models.mixers.{name}")


def mixers(folder: Path = MIXER_FOLDER) -> dict[str, bool]:
    """Every mixer of the folder and of installed packages in alphabetical order: its name -> whether it takes a kernel.

    Raises UserError for a file that is missing or not Python, that does not say whether it takes a kernel, for a
    name that ends with a digit (its kernel could not be told from its name) or that two mixers have.
    """
    files = {path.stem: path for path in folder.glob("*.py") if not path.name.startswith("_")}
    for name, module in installed.mixers(SOURCE).items():
        path = module_file(module, SOURCE)
        if path is None:
            raise UserError(f"the module {module} of the mixer `{name}` is missing; install its package anew")
        if name in files:
            raise UserError(
                f"two mixers have the name `{name}`: {files[name]}, and {path} of an installed package; rename the "
                "file or uninstall the package"
            )
        files[name] = path
    return {name: _takes_kernel(name, path, path.stat().st_mtime_ns) for name, path in sorted(files.items())}


@functools.lru_cache(maxsize=256)
def _takes_kernel(name: str, path: Path, _modified: int) -> bool:
    if not re.fullmatch(r"[a-z][a-z0-9_]*[a-z]", name):
        raise UserError(
            f"{path}: `{name}` cannot name a mixer; rename it: small letters, digits and underscores, a letter first "
            "and last"
        )
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except OSError as error:
        raise UserError(f"{path}: the mixer cannot be read ({error.strerror}); mend the file's rights") from error
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        raise UserError(f"{path}:{line}: the mixer is not valid Python ({error}); mend the file") from error
    for statement in tree.body:
        if not isinstance(statement, ast.Assign | ast.AnnAssign):
            continue
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        if any(isinstance(target, ast.Name) and target.id == "TAKES_KERNEL" for target in targets):
            value = statement.value
            if isinstance(value, ast.Constant) and isinstance(value.value, bool):
                return value.value
            raise UserError(f"{path}:{statement.lineno}: TAKES_KERNEL must be the word True or False")
    raise UserError(f"{path}: does not say whether the mixer takes a kernel; add `TAKES_KERNEL = True` or `= False`")
