"""The device side works without torch, transformers and onnx, and --help loads no stage."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.conftest import ROOT, Python

HOST = ("export", "training", "models", "calibration", "analysis")
ABSENT = ("torch", "transformers", "onnx", "onnxscript", "onnxruntime_genai", "gguf", "safetensors")

WALK = """
import importlib, json, pkgutil, sys
host, absent = json.loads(sys.argv[1])
for name in absent:
    sys.modules[name] = None  # importing it fails as where it is not installed
import xsd_edge

def is_host(name):
    return name.split(".")[1] in host or name == "xsd_edge.__main__"

top = pkgutil.iter_modules(xsd_edge.__path__, "xsd_edge.")
walked = [m.name for m in top if not is_host(m.name)]
for name in walked:
    module = importlib.import_module(name)
    inner = pkgutil.walk_packages(getattr(module, "__path__", []), name + ".")
    walked.extend(m.name for m in inner)
print(json.dumps([walked, sorted(sys.modules)]))
"""


def test_device_packages_import_without_torch(python: Python) -> None:
    done = python("-c", WALK, json.dumps([HOST, ABSENT]))
    assert done.returncode == 0, done.stderr
    walked, loaded = json.loads(done.stdout)
    assert {"xsd_edge.cli", "xsd_edge.bundle", "xsd_edge.runtime", "xsd_edge.events"} <= set(walked)
    assert "xsd_edge.runtime.options" in walked
    assert not [name for name in loaded if name.startswith(tuple(f"xsd_edge.{p}" for p in HOST))]


HELP = """
import sys
sys.argv = ["xsd-edge", "--help"]
try:
    from xsd_edge.cli import main
    main()
finally:
    print("LOADED", *sorted(sys.modules))
"""


def test_help_loads_no_stage(python: Python) -> None:
    done = python("-c", HELP)
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.split("LOADED ")[1].split()
    ours = {name for name in loaded if name.startswith("xsd_edge")}
    commands = {name for name in ours if name.partition("xsd_edge.cli")[0] == ""}
    assert ours - commands == {"xsd_edge", "xsd_edge.console", "xsd_edge.errors"}
    assert not {"numpy", "onnxruntime", "rich", "av", "tokenizers"} & set(loaded)


def lint(code: str, pretended_path: str) -> str:
    """What ruff says of `code` if it stood at that path."""
    if find_spec("ruff") is None:
        pytest.skip('ruff is missing (pip install "xsd-edge[dev]")')
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "ruff",
            "check",
            "--output-format=concise",
            "--stdin-filename",
            pretended_path,
            "-",
        ],
        cwd=ROOT,
        input=code,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("code", "path"),
    [
        ("def f() -> None:\n    import torch\n", "xsd_edge/runtime/x.py"),
        ("def f() -> None:\n    from transformers import AutoModel\n", "xsd_edge/events/x.py"),
        ("def f() -> None:\n    import onnx.helper\n", "xsd_edge/video/x.py"),
        ("def f() -> None:\n    import torch\n", "xsd_edge/bundle.py"),
        ("def f() -> None:\n    from xsd_edge.export import pipeline\n", "xsd_edge/runtime/x.py"),
        ("from xsd_edge.runtime import options\n", "xsd_edge/events/x.py"),
        ("from xsd_edge.cli import main\n", "xsd_edge/runtime/x.py"),
    ],
)
def test_lint_refuses_forbidden_imports(code: str, path: str) -> None:
    assert "TID251" in lint(code, path)


def test_lint_refuses_heavy_imports_at_module_level() -> None:
    assert "TID253" in lint("import rich\n", "xsd_edge/console.py")


def test_lint_lets_host_packages_import_torch() -> None:
    assert "TID" not in lint("import torch\n", "xsd_edge/export/x.py")
