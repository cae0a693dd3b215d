"""TensorRT's Python package; the only module that imports it.

It comes with JetPack and is never installed by pip there: the wheels on PyPI have no kernels for
Orin's GPU and do not work with JetPack's driver.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

from xsd_edge.errors import DeviceError, ExtraMissingError

FULL, RTX = "tensorrt", "tensorrt_rtx"


def load(package: str = FULL) -> Any:
    """The package, or its builder-compatible sibling for RTX GPUs, which compiles without a GPU.

    Raises:
        DeviceError: TensorRT is not installed, or its libraries do not load.
        ExtraMissingError: TensorRT-RTX is not installed.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if package == RTX:
            raise ExtraMissingError("compiling with TensorRT-RTX", "rtx") from error
        raise DeviceError(
            "TensorRT's Python package is not here; on Jetson: sudo apt install nvidia-jetpack, "
            "then use a venv made with --system-site-packages (runtime/install-jetpack-*.sh)"
        ) from error
    except ImportError as error:
        raise DeviceError(
            f"TensorRT does not load ({error}); on Jetson: pip uninstall tensorrt tensorrt-cu12, "
            "so that JetPack's own is found"
        ) from error


def is_weakly_typed(api: Any) -> bool:
    """Can this version take precision flags instead of types in the graph? 11 and RTX cannot."""
    return hasattr(api.BuilderFlag, "FP16") and hasattr(api.BuilderFlag, "INT8")


class Log(NamedTuple):
    """A logger to hand to TensorRT, and the errors that it has heard since."""

    logger: Any
    errors: list[str]

    def last(self, otherwise: str) -> str:
        return self.errors[-1] if self.errors else otherwise


def log(api: Any) -> Log:
    """TensorRT reports why something failed to its logger only; nothing is printed."""
    errors: list[str] = []
    severe = (api.ILogger.Severity.INTERNAL_ERROR, api.ILogger.Severity.ERROR)

    class Listener(api.ILogger):  # type: ignore[misc]  # a class of an untyped package
        def __init__(self) -> None:
            api.ILogger.__init__(self)  # the C++ side needs this very call

        def log(self, severity: Any, message: str) -> None:
            if severity in severe:
                errors.append(" ".join(message.split()))

    return Log(Listener(), errors)
