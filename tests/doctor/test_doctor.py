"""What doctor finds on boards that are not here, and on this very machine."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import onnxruntime as ort
import pytest

from tests.conftest import TINY_BUNDLE, Python
from tests.fakes.board_root import GIB, agx_orin, put, set_clocks, set_memory
from tests.fakes.orin_bundle import PARTS, edit, orin_bundle
from xsd_edge.build.builder import CompileOptions
from xsd_edge.build.run import build
from xsd_edge.doctor.cameras import cameras
from xsd_edge.doctor.examine import examine, is_ready
from xsd_edge.doctor.finding import ADVICE, BROKEN, OK, Finding
from xsd_edge.doctor.software import own_tensorrt
from xsd_edge.doctor.system import system
from xsd_edge.machine import Machine


def named(findings: list[Finding], name: str) -> Finding:
    (found,) = (finding for finding in findings if finding.name == name)
    return found


def test_a_healthy_orin(fake_gpu: Any, tmp_path: Path) -> None:
    root = agx_orin(tmp_path)
    put(root, "/var/lib/nvpmodel/status", "pmode:0000 fmode:quiet\n")
    set_clocks(root, 1300500000, 1300500000)
    set_memory(root, 61 * GIB, 55 * GIB, swap=30 * GIB, cma=950 << 20)
    findings = examine(Machine(root))
    states = {finding.name: finding.state for finding in findings}
    assert states.pop("onnxruntime cuda") == BROKEN  # this machine's ONNX Runtime has none
    assert set(states.values()) == {OK}
    assert "--target orin" in named(findings, "machine").text
    assert named(findings, "jetpack").text == "6.2.1 (L4T 36.4.7)"
    assert named(findings, "tensorrt").text == "10.3.0"
    assert "compute capability 8.7, 8 SMs, shared memory" in named(findings, "cuda").text


def test_every_complaint_names_a_command(tmp_path: Path) -> None:
    """A board with nothing installed and everything set badly."""
    root = agx_orin(tmp_path)
    set_memory(root, 8 * GIB, 256 << 20)
    findings = examine(Machine(root))
    assert not is_ready(findings)
    for finding in findings:
        assert (finding.mend is None) == (finding.state == OK)
    mends = {finding.name: finding.mend for finding in findings}
    assert mends["power mode"] == "sudo nvpmodel -m 0"
    assert mends["clocks"] == "sudo jetson_clocks"
    assert "cma=950M" in (mends["CMA"] or "")
    assert "mkswap" in (mends["swap"] or "")
    assert mends["memory"] == "sudo systemctl isolate multi-user.target"


def test_the_number_of_a_mode_is_this_boards(tmp_path: Path) -> None:
    root = agx_orin(tmp_path)
    modes = "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n"
    put(root, "/etc/nvpmodel.conf", modes)
    put(root, "/var/lib/nvpmodel/status", "pmode:0000\n")
    finding = named(list(system(Machine(root))), "power mode")
    assert (finding.text, finding.mend) == ("15W; MAXN_SUPER is faster", "sudo nvpmodel -m 2")


def test_tensorrt_from_pypi_on_a_jetson(
    fake_gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.import_module("tensorrt"), "__version__", "10.7.0")
    finding = named(examine(Machine(agx_orin(tmp_path))), "tensorrt")
    assert finding.state == BROKEN
    assert "pip uninstall -y tensorrt" in (finding.mend or "")


def test_the_venv_to_mend_is_the_one_we_run_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/srv/mine")
    assert own_tensorrt().endswith(" --upgrade /srv/mine")
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    assert own_tensorrt().endswith(" --upgrade /opt/xsd-edge")


JETPACK_7 = "# R39 (release), REVISION: 2.2, GCID: 1\n"


@pytest.mark.parametrize(
    ("version", "release", "state"),
    [
        ("10.3.0", None, OK),  # JetPack 6
        ("10.16.2.10", JETPACK_7, OK),
        ("11.4.1", JETPACK_7, OK),
        ("10.3.0", JETPACK_7, BROKEN),  # of another JetPack
        ("11.4.1", None, BROKEN),
        ("10.3.0", "# R99 (release), REVISION: 0.1, GCID: 1\n", OK),  # of one that nobody knows
    ],
)
def test_tensorrt_that_jetpack_ships(
    fake_gpu: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    release: str | None,
    state: str,
) -> None:
    root = agx_orin(tmp_path)
    if release is not None:
        put(root, "/etc/nv_tegra_release", release)
    monkeypatch.setattr(importlib.import_module("tensorrt"), "__version__", version)
    assert named(examine(Machine(root)), "tensorrt").state == state


def test_a_listed_provider_that_cannot_run(
    fake_gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the wheel from PyPI on a Jetson: CUDA is in the list, and no kernel starts."""
    listed = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(ort, "get_available_providers", lambda: listed)
    findings = examine(Machine(agx_orin(tmp_path)))
    finding = named(findings, "onnxruntime cuda")
    assert finding.state == BROKEN
    assert "the wheel from PyPI has no sm_87 kernels" in finding.text
    assert "pip install onnxruntime-gpu" in (finding.mend or "")
    assert not is_ready(findings)


def test_jetpack_7_has_to_build_its_onnxruntime(fake_gpu: Any, tmp_path: Path) -> None:
    root = agx_orin(tmp_path)
    put(root, "/etc/nv_tegra_release", JETPACK_7)
    finding = named(examine(Machine(root)), "onnxruntime cuda")
    assert "CMAKE_CUDA_ARCHITECTURES=87" in (finding.mend or "")


def test_no_gpu_on_a_jetson(fake_gpu: Any, tmp_path: Path) -> None:
    fake_gpu.board.present = False
    finding = named(examine(Machine(agx_orin(tmp_path))), "cuda")
    assert (finding.state, finding.mend) == (BROKEN, "sudo apt install nvidia-jetpack")


def test_an_unknown_release(tmp_path: Path) -> None:
    root = agx_orin(tmp_path)
    put(root, "/etc/nv_tegra_release", "# R35 (release), REVISION: 4.1, GCID: 1\n")
    finding = named(examine(Machine(root)), "jetpack")
    assert finding.state == ADVICE
    assert "35.4.1" in finding.text


def plug_in(root: Path) -> None:
    """A Prophesee EVK4 on USB."""
    usb = "/sys/bus/usb/devices/2-3"
    for name, value in {
        "idVendor": "04b4",
        "idProduct": "00f5",
        "busnum": "2",
        "devnum": "5",
    }.items():
        put(root, f"{usb}/{name}", f"{value}\n")


def test_a_camera_that_cannot_be_opened(tmp_path: Path) -> None:
    plug_in(tmp_path)
    (finding,) = cameras(Machine(tmp_path))
    assert finding.state == BROKEN
    assert "/dev/bus/usb/002/005" in finding.text
    assert (finding.mend or "").startswith("docker run --device")


def test_no_camera(tmp_path: Path) -> None:
    (finding,) = cameras(Machine(tmp_path))
    assert finding.state == OK


def test_a_bundle_before_and_after_build(fake_gpu: Any, tmp_path: Path) -> None:
    machine = Machine(agx_orin(tmp_path / "root"))
    folder = orin_bundle(tmp_path / "bundle")
    before = examine(machine, folder)
    for part in PARTS:
        assert named(before, f"engine {part}").mend == f"xsd-edge build {folder}"
    build(folder, machine, CompileOptions(), False, lambda line: None)
    after = examine(machine, folder)
    assert {named(after, f"engine {part}").state for part in PARTS} == {OK}


def test_a_target_for_cuda_on_a_pc_without(tmp_path: Path) -> None:
    """What `run` would refuse, `doctor` does not call ready."""
    folder = orin_bundle(tmp_path / "bundle")
    assert "part target" not in {finding.name for finding in examine(Machine(tmp_path), folder)}
    edit(folder, lambda manifest: manifest["parts"]["target"].update(backend="cuda"))
    findings = examine(Machine(tmp_path), folder)
    finding = named(findings, "part target")
    assert finding.state == BROKEN
    assert "this ONNX Runtime has none" in finding.text
    assert "--target cpu" in (finding.mend or "")
    assert not is_ready(findings)


def test_a_bundle_that_does_not_fit(tmp_path: Path) -> None:
    set_memory(tmp_path, GIB, 100 << 20)
    finding = named(examine(Machine(tmp_path), TINY_BUNDLE), "bundle memory")
    assert finding.state == BROKEN


def test_a_broken_bundle(tmp_path: Path) -> None:
    finding = named(examine(Machine(tmp_path), tmp_path / "none"), "bundle")
    assert finding.state == BROKEN
    assert finding.mend == "xsd-edge export --target cpu"


def test_the_command_on_this_machine(command: Python) -> None:
    done = command("doctor", "--json")
    document = json.loads(done.stdout)
    assert document["ready"] == (done.returncode == 0)
    names = [finding["name"] for finding in document["findings"]]
    assert {"machine", "python", "cuda", "tensorrt", "onnxruntime cpu", "memory"} <= set(names)


def test_the_command_on_a_broken_board(command: Python, tmp_path: Path) -> None:
    root = agx_orin(tmp_path / "root")
    set_memory(root, GIB, 100 << 20)
    done = command("doctor", "--root", root)
    assert done.returncode == 1
    assert "broken  memory: 0.1 of 1.0 GiB free; run needs at least 0.5" in done.stdout
    assert "        mend: sudo systemctl isolate multi-user.target" in done.stdout
    assert done.stderr == ""
