"""A function run as on a processor that can do less: what is reproducible must not show it."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from tests.conftest import ROOT


def on_a_lesser_processor(module: str, function: str) -> str:
    """What a function without arguments gives where NumPy, its BLAS and the C library have no code
    for this very processor.
    """
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    if not found:
        pytest.skip("NumPy has no code for this very processor that could be switched off")
    lesser = {
        "NPY_DISABLE_CPU_FEATURES": " ".join(found),
        "OPENBLAS_CORETYPE": "Prescott",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA",
    }
    done = subprocess.run(
        [sys.executable, "-c", f"from {module} import {function}; print({function}())"],
        cwd=ROOT,
        env={**os.environ, **lesser},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
