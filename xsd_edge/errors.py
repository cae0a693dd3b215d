"""Every error that a user can mend. The message says how.

XsdEdgeError
├── RecipeError      a recipe, board or calibration file says something we cannot follow
├── AssetError       a base checkpoint cannot be had, or is not what its hash says
├── BundleError      a bundle is missing, incomplete, altered or made for something else
├── SourceError      a camera or recording cannot be opened or makes no sense
│   ├── FormatError  bytes that are not what their name or header claims
│   ├── CameraAbsentError  it is not there, or no longer; worth waiting for
│   └── CameraDeniedError  it is there, and this user may not open it
├── ExtraMissingError  an optional dependency is needed; names the pip command
├── TrainingError    a checkpoint or data set cannot be used
├── DeviceError      the machine lacks what the command needs: TensorRT, a GPU, memory
└── ContextFullError the prompt does not fit the target's context
"""

from __future__ import annotations


class XsdEdgeError(Exception):
    """Base of all errors that the command line shows as one line; `exit_code` is the process's."""

    exit_code = 1


class RecipeError(XsdEdgeError):
    exit_code = 2


class AssetError(XsdEdgeError):
    exit_code = 3


class BundleError(XsdEdgeError):
    exit_code = 4


class SourceError(XsdEdgeError):
    exit_code = 5


class FormatError(SourceError):
    pass


class CameraAbsentError(SourceError):
    pass


class CameraDeniedError(SourceError):
    exit_code = 10


class TrainingError(XsdEdgeError):
    exit_code = 6


class ContextFullError(XsdEdgeError):
    exit_code = 7


class ExtraMissingError(XsdEdgeError):
    exit_code = 8

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f'{what} needs an extra: pip install "xsd-edge[{extra}]"')


class DeviceError(XsdEdgeError):
    exit_code = 9
