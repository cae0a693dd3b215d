"""TensorRT's command-line builder, for when the Python one fails: a process of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from xsd_edge.build.builder import CompileError, CompileOptions
from xsd_edge.machine import Machine

INSTALLED = "/usr/src/tensorrt/bin/trtexec"  # where JetPack's package puts it
HOUR = 3600.0


def find(machine: Machine) -> Path | None:
    """The program, where JetPack installs it or on the path."""
    installed = machine.path(INSTALLED)
    if installed.is_file():
        return installed
    found = shutil.which("trtexec")
    return Path(found) if found else None


def compile_with(
    program: Path,
    graph: Path,
    options: CompileOptions,
    timing_cache: Path,
    plan: Path,
) -> None:
    """Compile one graph into the file `plan`.

    Raises:
        CompileError: the program fails; the message is its last error line.
    """
    arguments = [
        str(program),
        f"--onnx={graph}",
        f"--saveEngine={plan}",
        f"--timingCacheFile={timing_cache}",
        f"--memPoolSize=workspace:{options.workspace_mib}",
        f"--builderOptimizationLevel={options.level}",
        "--skipInference",
        *(["--stronglyTyped"] if options.strongly_typed else ["--fp16", "--int8"]),
    ]
    try:
        done = subprocess.run(
            arguments, capture_output=True, text=True, errors="replace", timeout=HOUR, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CompileError(f"{program} cannot build {graph}: {error}") from error
    if done.returncode != 0 or not plan.is_file():
        lines = (done.stdout + done.stderr).splitlines()
        said = [line for line in lines if "[E]" in line] or lines or ["it said nothing"]
        raise CompileError(f"{program} cannot build {graph}: {' '.join(said[-1].split())}")
