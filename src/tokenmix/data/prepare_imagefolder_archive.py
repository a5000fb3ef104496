"""A tar archive of an image folder as a prepared data set: unpacked safely, then prepared like any folder."""

import errno
import lzma
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from tokenmix.data import prepare_folder
from tokenmix.data.card import Facts
from tokenmix.errors import UserError

#: an archive may unpack to this many bytes, and to this many files and folders, at most
MAXIMUM_BYTES, MAXIMUM_MEMBERS = 64 << 30, 2_000_000
#: a long name or other extended header, which tarfile reads whole
MAXIMUM_HEADER = 1 << 20


class _Member(tarfile.TarInfo):
    """A member whose extended headers are small: a compressed archive could announce one of any size."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Member":
        member = super().frombuf(buf, encoding, errors)
        if member.type not in (*tarfile.REGULAR_TYPES, tarfile.DIRTYPE) and member.size > MAXIMUM_HEADER:
            raise tarfile.ReadError(f"a header of {member.size} bytes")
        return member


def prepare(source: Path | None, facts: Facts, into: Path) -> None:
    """Unpack `source` beside the arrays in `into`, prepare its image folder, remove what was unpacked."""
    assert source is not None
    unpacked = into / "unpacked"
    unpack(source, unpacked)
    try:
        prepare_folder.prepare(_image_root(unpacked, source), facts, into)
    except UserError as error:
        raise UserError(str(error).replace(str(unpacked), str(source))) from error
    shutil.rmtree(unpacked)


def unpack(archive: Path, into: Path) -> None:
    """Unpack the regular files and folders of a tar archive; nothing else, and nothing outside `into`.

    Raises UserError for a damaged archive and for links, devices and paths that lead out of the folder.
    """
    total = count = files = 0
    into.mkdir(parents=True, exist_ok=True)
    try:
        # a stream: members are checked and written one after another, the archive is read once
        with tarfile.open(archive, "r|*", tarinfo=_Member) as tar:
            for member in tar:
                total, count = total + member.size, count + 1
                if total > MAXIMUM_BYTES or count > MAXIMUM_MEMBERS:
                    raise UserError(
                        f"{archive} unpacks to more than {MAXIMUM_BYTES >> 30} GiB or {MAXIMUM_MEMBERS} files; "
                        "this is no image archive"
                    )
                target = into / _safe_path(member.name, archive)
                if member.isdir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                if not member.isreg():
                    raise UserError(
                        f"{archive} holds {member.name!r}, which is a link or a device; only files "
                        "and folders are unpacked: "
                        "get the archive from its official address"
                    )
                files += 1
                target.parent.mkdir(parents=True, exist_ok=True)
                content = tar.extractfile(member)
                assert content is not None
                with target.open("xb") as file:
                    shutil.copyfileobj(content, file, 1 << 20)
    # TypeError: tarfile's, where a gzip header ends early
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError, ValueError, TypeError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
            raise  # the disk's fault, not the archive's
        raise UserError(f"{archive} is damaged ({error}); delete it so that it is fetched again") from error
    if not files:
        raise UserError(f"{archive} holds no files; delete it so that it is fetched again")


def _safe_path(name: str, archive: Path) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or "\0" in name:
        raise UserError(
            f"{archive} holds the path {name!r}, which leads out of its folder; nothing was kept: "
            "get the archive from its official address"
        )
    return path


def _image_root(unpacked: Path, source: Path) -> Path:
    for candidate in (unpacked, *sorted(path for path in unpacked.iterdir() if path.is_dir())):
        if (candidate / "train").is_dir():
            return candidate
    raise UserError(f"{source} holds no folder train/; check that it is the archive of this data set")
