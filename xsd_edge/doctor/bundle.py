"""A bundle on this machine: is it whole, does it fit, and who runs its parts?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from xsd_edge.bundle import Bundle
from xsd_edge.doctor.finding import ADVICE, BROKEN, OK, Finding
from xsd_edge.errors import BundleError, DeviceError
from xsd_edge.machine import Machine
from xsd_edge.runtime.engine_store import choose
from xsd_edge.runtime.preflight import memory_need, require_memory


def bundle(folder: Path, machine: Machine) -> Iterator[Finding]:
    """All of this module's findings."""
    try:
        opened = Bundle(folder)
        opened.check_all()
    except BundleError as error:
        mend = f"xsd-edge export --target {machine.board.name if machine.board else 'cpu'}"
        yield Finding("bundle", BROKEN, str(error), mend)
        return
    manifest = opened.manifest
    yield Finding("bundle", OK, f"{manifest.recipe} for {manifest.board}, every hash is right")
    try:
        require_memory(opened, machine)
        yield Finding("bundle memory", OK, f"needs {memory_need(manifest)}")
    except DeviceError as error:
        yield Finding(
            "bundle memory", BROKEN, str(error), "sudo systemctl isolate multi-user.target"
        )
    for name, part in sorted(manifest.parts.items()):
        if part.backend == "tensorrt":
            yield _engine(opened, name, machine)
        elif part.backend == "cuda" and not machine.is_jetson:  # there, `software` has said it
            yield _on_cuda(manifest.recipe, name)


def _on_cuda(recipe: str, part: str) -> Finding:
    from xsd_edge.runtime import onnx_engine

    if onnx_engine.CUDA not in onnx_engine.listed_providers():
        why: str | None = "this ONNX Runtime has none"
    else:
        why = onnx_engine.why_unusable(onnx_engine.CUDA)
    if why is None:
        return Finding(f"part {part}", OK, "CUDA runs it")
    mend = (
        "pip uninstall --yes onnxruntime && pip install onnxruntime-gpu; without a GPU: "
        f"xsd-edge export --target cpu --recipe {recipe}"
    )
    return Finding(f"part {part}", BROKEN, f"runs on CUDA only: {why}", mend)


def _engine(opened: Bundle, part: str, machine: Machine) -> Finding:
    rebuild = f"xsd-edge build {opened.folder}"
    try:
        choice = choose(opened, part, machine)
    except BundleError as error:
        return Finding(f"engine {part}", BROKEN, str(error), f"{rebuild} --rebuild")
    if choice.plan is None:
        text = f"{choice.reason}; ONNX Runtime runs it, much slower"
        return Finding(f"engine {part}", ADVICE, text, rebuild)
    return Finding(f"engine {part}", OK, choice.plan.name)
