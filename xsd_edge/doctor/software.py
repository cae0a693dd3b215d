"""Python, JetPack, TensorRT, CUDA and what ONNX Runtime can really run on here."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator

from xsd_edge.doctor.finding import ADVICE, BROKEN, OK, Finding
from xsd_edge.errors import DeviceError, ExtraMissingError
from xsd_edge.machine import JETPACKS, Machine
from xsd_edge.runtime import tensorrt_api
from xsd_edge.runtime.cuda import Cuda, Gpu

OLDEST = (3, 10)
UPGRADE = "sudo apt update && sudo apt full-upgrade"
INSTALLED = "/opt/xsd-edge"  # the venv that runtime/install.sh makes
REINSTALL = "pip uninstall -y onnxruntime-gpu onnxruntime && pip install onnxruntime"
WHEEL_FOR_JETPACK_6 = (
    "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu "
    "--index-url https://pypi.jetson-ai-lab.io/jp6/cu126"
)


def software(machine: Machine) -> Iterator[Finding]:
    """All of this module's findings. Without a GPU, a bundle for cpu still runs."""
    yield python()
    if machine.is_jetson:
        yield jetpack(machine)
    gpu, finding = cuda(machine)
    yield finding
    yield tensorrt(machine, gpu)
    yield from providers(machine, gpu)


def python() -> Finding:
    text = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info[:2] >= OLDEST:
        return Finding("python", OK, text)
    return Finding("python", BROKEN, f"{text}; 3.10 or newer is needed", "sudo apt install python3")


def jetpack(machine: Machine) -> Finding:
    release, name = machine.l4t, machine.jetpack
    if release is None:
        text = "/etc/nv_tegra_release is missing"
        return Finding("jetpack", ADVICE, text, "sudo apt install nvidia-l4t-core")
    if name is None:
        known = ", ".join(dict.fromkeys(JETPACKS.values()))
        return Finding("jetpack", ADVICE, f"L4T {release} is none of JetPack {known}", UPGRADE)
    return Finding("jetpack", OK, f"{name} (L4T {release})")


def cuda(machine: Machine) -> tuple[Gpu | None, Finding]:
    """The GPU, where there is one, and what was found."""
    try:
        gpu = Cuda().gpu()
    except (DeviceError, ExtraMissingError) as error:
        if not machine.is_jetson:
            return None, Finding("cuda", OK, "no GPU is used here; bundles for cpu need none")
        bindings = "13" if (machine.jetpack or "").startswith("7") else "12"
        missing = isinstance(error, ExtraMissingError)
        mend = (
            f'pip install "cuda-bindings=={bindings}.*"'
            if missing
            else "sudo apt install nvidia-jetpack"
        )
        return None, Finding("cuda", BROKEN, str(error), mend)
    memory = "shared memory" if gpu.integrated else "own memory"
    return gpu, Finding(
        "cuda", OK, f"{gpu.name}, compute capability {gpu.capability}, {gpu.sms} SMs, {memory}"
    )


def tensorrt(machine: Machine, gpu: Gpu | None) -> Finding:
    try:
        version = str(tensorrt_api.load().__version__)
    except DeviceError as error:
        if not machine.is_jetson:
            return Finding("tensorrt", OK, "not installed; bundles for cpu need none")
        return Finding("tensorrt", BROKEN, str(error), own_tensorrt())
    shipped = _shipped_with(machine)
    if not shipped or any(_same_release(version, each) for each in shipped):
        return Finding("tensorrt", OK, version)
    known = " or ".join(shipped)
    text = f"{version} does not come with JetPack ({known} does) and has no kernels for this GPU"
    return Finding("tensorrt", BROKEN, text, own_tensorrt())


def own_tensorrt() -> str:
    """Our own venv shall see JetPack's TensorRT and no other; outside of one, makes one."""
    venv = sys.prefix if sys.prefix != sys.base_prefix else INSTALLED
    return (
        "pip uninstall -y tensorrt tensorrt-cu12 tensorrt-cu13 "
        f"&& python3 -m venv --system-site-packages --upgrade {venv}"
    )


def _shipped_with(machine: Machine) -> list[str]:
    """TensorRT releases of this machine's JetPack; all of its board's where it is unknown."""
    rows = machine.board.software if machine.board else ()
    major = (machine.jetpack or "").partition(".")[0]
    same = [row for row in rows if (row.jetpack or "").partition(".")[0] == major]
    return [row.tensorrt for row in same or rows]


def _same_release(one: str, other: str) -> bool:
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def providers(machine: Machine, gpu: Gpu | None) -> Iterator[Finding]:
    """What ONNX Runtime lists, tried: a list only says what was compiled in."""
    try:
        from xsd_edge.runtime import onnx_engine
    except ImportError as error:  # two of its packages installed over each other, for one
        yield Finding("onnxruntime cpu", BROKEN, f"does not load: {error}", REINSTALL)
        return
    listed = onnx_engine.listed_providers()
    why = onnx_engine.why_unusable(onnx_engine.CPU)
    state, mend = (BROKEN, REINSTALL) if why else (OK, None)
    yield Finding("onnxruntime cpu", state, why or "works", mend)
    if onnx_engine.CUDA not in listed:
        if machine.is_jetson:
            text = "this ONNX Runtime has no CUDA; the target of a bundle for this board needs it"
            yield Finding("onnxruntime cuda", BROKEN, text, _better_wheel(machine))
        return
    why = onnx_engine.why_unusable(onnx_engine.CUDA)
    if why is None:
        yield Finding("onnxruntime cuda", OK, "works")
        return
    text = f"listed, but cannot run here: {why}"
    if machine.is_jetson:
        capability = gpu.capability.replace(".", "") if gpu else "87"
        text = f"listed, but the wheel from PyPI has no sm_{capability} kernels: {why}"
        yield Finding("onnxruntime cuda", BROKEN, text, _better_wheel(machine))
    else:
        yield Finding("onnxruntime cuda", ADVICE, text, "nvidia-smi")


def _better_wheel(machine: Machine) -> str:
    if (machine.jetpack or "").startswith("6"):
        return WHEEL_FOR_JETPACK_6
    board = machine.board
    capability = board.gpu.compute_capability if board and board.gpu else None
    architecture = (capability or "8.7").replace(".", "")
    return (
        "git clone --recursive https://github.com/microsoft/onnxruntime && cd onnxruntime && "
        "./build.sh --config Release --build_wheel --use_cuda --cuda_home /usr/local/cuda "
        f"--cudnn_home /usr --cmake_extra_defines CMAKE_CUDA_ARCHITECTURES={architecture}"
    )
