"""udev: the rules that give event cameras a group and the link /dev/dvs0; installing them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from xsd_edge.errors import CameraDeniedError, SourceError

NAME: Final = "70-xsd-edge-dvs.rules"  # before 73-seat-late, which grants what uaccess asks for
FOLDER: Final = Path("/etc/udev/rules.d")
RELOAD: Final = (("udevadm", "control", "--reload-rules"), ("udevadm", "trigger"))


def rules() -> str:
    """The rules file, which is in runtime/ of the checkout and travels in the wheel."""
    package = Path(__file__).parents[2]
    for place in (package / "_data" / "runtime", package.parent / "runtime"):
        if (place / NAME).is_file():
            return (place / NAME).read_text(encoding="utf-8")
    raise SourceError(f"{NAME} is missing here; run: pip install --force-reinstall xsd-edge")


def install(path: Path) -> None:
    """Write the rules; the file is whole or as before.

    Raises:
        CameraDeniedError: only root may.
        SourceError: the folder is not there.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(rules(), encoding="utf-8")
        partial.chmod(0o644)
        partial.replace(path)
    except PermissionError as error:
        command = shutil.which("xsd-edge") or "xsd-edge"
        raise CameraDeniedError(
            f"only root may write {path}; run: sudo {command} setup-udev"
        ) from error
    except OSError as error:
        raise SourceError(
            f"cannot write {path}: {error.strerror}; give another place with --output, "
            "or install udev"
        ) from error


def reload() -> bool:
    """Make udev use the rules for cameras that are plugged in now; False where there is no udev."""
    if shutil.which("udevadm") is None or os.geteuid() != 0:
        return False
    done = [subprocess.run(command, capture_output=True, check=False) for command in RELOAD]
    return all(one.returncode == 0 for one in done)


def groups_to_join(user: str) -> list[str]:
    """The groups of our rules that exist and this user is not in; root needs none."""
    import grp
    import pwd

    if user == "root":
        return []
    wanted = []
    for name in ("plugdev", "video"):
        try:
            group = grp.getgrnam(name)
            primary = pwd.getpwnam(user).pw_gid
        except KeyError:
            continue
        if user not in group.gr_mem and primary != group.gr_gid:
            wanted.append(name)
    return wanted
