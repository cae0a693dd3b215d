"""What a profile was measured on: machine, power mode, software, bundle."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from xsd_edge.bundle import MANIFEST, Bundle, sha256_of
from xsd_edge.machine import Machine

SOFTWARE = ("xsd-edge", "numpy", "onnxruntime", "tensorrt", "tokenizers")
NVPMODEL_S = 5.0  # a root-only nvpmodel asks for nothing and fails at once
_QUERIED = re.compile(r"NV Power Mode:\s*(\S+)")


def machine_facts(machine: Machine) -> dict[str, Any]:
    """What the machine says of itself; None where it does not."""
    memory, board = machine.memory, machine.board
    return {
        "model": machine.model or machine.text("/sys/class/dmi/id/product_name"),
        "board": board.name if board else None,
        "processor": processor(machine),
        "architecture": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": memory.total if memory else None,
        "jetpack": machine.jetpack,
        "l4t": machine.l4t,
        "power_mode": power_mode(machine),
        "clocks_pinned": machine.clocks_pinned,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "software": {name: _version(name) for name in SOFTWARE},
    }


def processor(machine: Machine) -> str | None:
    """The CPU's name as /proc/cpuinfo has it; ARM cores do not say."""
    found = re.search(r"^model name\s*:\s*(.+)$", machine.text("/proc/cpuinfo") or "", re.MULTILINE)
    return found[1].strip() if found else None


def power_mode(machine: Machine) -> str | None:
    """The current nvpmodel mode by name: from its files, else from the program."""
    known = machine.power_mode
    if known is not None or machine.root != Path("/"):
        return known
    program = shutil.which("nvpmodel")
    if program is None:
        return None
    try:
        said = subprocess.run(
            [program, "-q"],
            capture_output=True,
            text=True,
            timeout=NVPMODEL_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _QUERIED.search(said.stdout)
    return found[1] if found else None


def bundle_facts(bundle: Bundle) -> dict[str, Any]:
    """Which bundle; `id` is its manifest's hash, which covers every file in it."""
    manifest = bundle.manifest
    return {
        "id": sha256_of(bundle.folder / MANIFEST),
        "recipe": manifest.recipe,
        "board": manifest.board,
        "parts": {name: part.default for name, part in sorted(manifest.parts.items())},
        "gamma_max": manifest.drafter.gamma_max,
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
