"""Writes a bundle all or nothing: in a temporary sibling that gets the real name when complete.

A half-written bundle never has the real name, whatever ends the writer and whenever.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import tempfile
from glob import escape
from pathlib import Path

from xsd_edge.bundle import MANIFEST, Bundle, FileEntry, Manifest, sha256_of
from xsd_edge.errors import BundleError

RETIRED = ".old."  # in the name of a bundle that is about to be replaced


class BundleWriter:
    """Builds a bundle in a temporary directory beside `folder`; `commit` puts it in place in one
    rename.

    The directory is locked while its writer lives, so that the next one can tell what a killed
    writer left behind, and removes it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()  # a symlink stays, what it points to is replaced
        if folder.exists() and not _replaceable(folder):
            raise BundleError(f"{folder} exists and is not a bundle; choose another -o")
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(self.folder)
            prefix = f".{self.folder.name}."
            self.work = Path(tempfile.mkdtemp(prefix=prefix, dir=self.folder.parent))
            self._lock = _locked(self.work)
        except OSError as error:
            raise BundleError(
                f"cannot write beside {folder}: {error.strerror}; choose another -o"
            ) from error
        self.work.chmod(0o755)

    def __enter__(self) -> BundleWriter:
        return self

    def __exit__(self, *failure: object) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)

    def path(self, relative: str) -> Path:
        """Where to write a file that is to be in the bundle."""
        path = self.work / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def entry(self, relative: str) -> FileEntry:
        """The manifest entry of a file written at `path(relative)`."""
        path = self.work / relative
        return FileEntry(relative, sha256_of(path), path.stat().st_size)

    def commit(self, manifest: Manifest) -> None:
        """Write the manifest, check every file, and put the directory in place."""
        (self.work / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        Bundle(self.work).check_all()
        if self.folder.exists():
            _exchange(self.work, self.folder)  # leaves the old one to __exit__
        else:
            os.replace(self.work, self.folder)


def _replaceable(folder: Path) -> bool:
    """Is this an older bundle, or an empty folder?"""
    return folder.is_dir() and ((folder / MANIFEST).is_file() or not any(folder.iterdir()))


def _locked(folder: Path) -> int | None:
    """Hold `folder` until the returned descriptor is closed or this process dies; None: it is held,
    or this file system has no locks.
    """
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        return None
    return held


def _remove_abandoned(folder: Path) -> None:
    """Delete what writers of `folder` that were killed have left beside it."""
    for left in folder.parent.glob(f".{escape(folder.name)}.*"):
        # Killed between the two renames of `_exchange`, the old bundle has only this name.
        if not left.is_dir() or (RETIRED in left.name and not folder.exists()):
            continue
        held = _locked(left)
        if held is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(held)


def _exchange(new: Path, old: Path) -> None:
    """Swap two directories in one step, so that a whole bundle has the name at every moment."""
    at_working_directory, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of Linux
    libc = ctypes.CDLL(None)
    here = ctypes.c_int(at_working_directory)
    if hasattr(libc, "renameat2"):
        names = [ctypes.c_char_p(os.fsencode(path)) for path in (new, old)]
        if libc.renameat2(here, names[0], here, names[1], ctypes.c_uint(exchange)) == 0:
            return
    # A file system without exchange: two renames, undone when the second does not come to pass.
    retired = Path(tempfile.mkdtemp(prefix=f".{old.name}{RETIRED}", dir=old.parent))
    os.replace(old, retired)
    try:
        os.replace(new, old)
    except BaseException:
        os.replace(retired, old)
        raise
    os.replace(retired, new)
