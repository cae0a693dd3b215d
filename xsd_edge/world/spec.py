"""How rich the paired world is: the parameters that a recipe's `[world]` sets, and named levels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Final

from xsd_edge import toml_files
from xsd_edge.bundle import MANIFEST, Bundle

PLAIN_SHAPES: Final = ("circle", "square", "triangle", "cross")
SHAPES: Final = (*PLAIN_SHAPES, "ring", "diamond", "crescent", "hourglass")
GROUNDS: Final = ("plain", "checks", "stripes", "clouds", "gravel")
PIXELS: Final = ("clean", "default", "noisy")  # presets of `events.simulator`


@dataclass(frozen=True, slots=True)
class World:
    """What may happen in a scene; the defaults are the plain world. A chance of 0 turns a part off.

    `turns` is a chance per thing and clip, the others are per scene (`camera`: per clip).
    """

    shapes: tuple[str, ...] = PLAIN_SHAPES
    grounds: tuple[str, ...] = ("plain",)  # one of them for each scene
    turns: float = 0.0  # that a motion starts, stops, turns or changes speed within the clip
    crossings: float = 0.0  # that things may pass behind one another
    fences: float = 0.0  # that things pass behind fixed bars
    camera: float = 0.0  # that the camera pans and shakes, where the ground shows that it does
    flicker: float = 0.0  # that the light flickers
    pixels: str = "default"  # the event camera: one of PIXELS

    def __post_init__(self) -> None:
        if unknown := {*self.shapes} - {*SHAPES}:
            raise ValueError(f"no shape {sorted(unknown)}; known: {', '.join(SHAPES)}")
        if len({*self.shapes}) != len(self.shapes) or len(self.shapes) < 4:
            raise ValueError("shapes must be at least four different ones")
        if not self.grounds or (unknown := {*self.grounds} - {*GROUNDS}):
            raise ValueError(f"grounds must be some of: {', '.join(GROUNDS)}")
        for name in ("turns", "crossings", "fences", "camera", "flicker"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be a chance from 0 to 1")
        if self.pixels not in PIXELS:
            raise ValueError(f"pixels must be one of: {', '.join(PIXELS)}")

    @property
    def name(self) -> str:
        """The level that it is, or "own"."""
        return next((name for name, level in LEVELS.items() if level == self), "own")

    def table(self) -> dict[str, Any]:
        """As a manifest records it; empty for the plain world."""
        return {} if self == PLAIN else asdict(self)

    @classmethod
    def of(cls, bundle: Bundle) -> World:
        """The world that a bundle's networks were trained in.

        Raises:
            RecipeError: its manifest names something that this version does not know.
        """
        return toml_files.fill(cls, bundle.manifest.world, bundle.folder / MANIFEST, "world")


PLAIN: Final = World()
RICH: Final = World(
    shapes=SHAPES,
    grounds=("plain", "checks", "stripes", "clouds", "gravel"),
    turns=0.25,
    crossings=0.5,
    fences=0.3,
    camera=0.4,
    flicker=0.2,
    pixels="noisy",
)
LEVELS: Final = MappingProxyType({"plain": PLAIN, "rich": RICH})


def completed(table: Mapping[str, Any]) -> dict[str, Any]:
    """A `[world]` table with its `level` written out; its other keys win over the level's.

    Raises:
        ValueError: there is no such level.
    """
    given = dict(table)
    level = given.pop("level", "plain")
    if level not in LEVELS:
        raise ValueError(f"level {level!r} is unknown; known: {', '.join(LEVELS)}")
    return {**asdict(LEVELS[level]), **given}
