"""How a frame camera fails where an event camera does not: blur, darkness, a low frame rate.

Degraded frames judge drafters against what the target says. They may hide what a caption tells, so
the truth of a scene is no measure of what is said about them.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

BLURRED_OVER: Final = 9  # pictures that make one exposure
READ_NOISE: Final = 4.0  # standard deviation, of 255


class FrameCamera(NamedTuple):
    """`shutter`: share of the frame interval that it is open, up to the frame's time; `exposure`:
    share of the light that is left (the event camera, whose range is far wider, has it all);
    `given`: frames that come, each shown again until the next one does.
    """

    shutter: float = 0.0
    exposure: float = 1.0
    given: int = 8

    def exposed(self, phase: float, frames: int) -> NDArray[np.float64]:
        """Phases whose mean is the frame taken at `phase`."""
        if not self.shutter:
            return np.array([phase])
        return np.linspace(phase - self.shutter / frames, phase, BLURRED_OVER)

    def shown(self, frames: int) -> NDArray[np.int64]:
        """Which frame stands in each of `frames` places."""
        places = np.arange(frames)
        return np.asarray(places - places % (frames // self.given))


SHARP: Final = FrameCamera()
DEGRADED: Final = MappingProxyType(
    {
        "blur": FrameCamera(shutter=1.0),
        "dark": FrameCamera(exposure=0.12),
        "two_frames": FrameCamera(given=2),
    }
)
