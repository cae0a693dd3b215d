"""Reads captions of scenes back into the things they name, and compares them with the truth."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from xsd_edge.world import scenes
from xsd_edge.world.scenes import Scene

ATTRIBUTES = ("shape", "colour", "size", "direction", "speed", "still")


class Said(NamedTuple):
    """One thing of a caption; `direction` and `speed` are None where it stays still."""

    shape: str
    colour: str
    size: str
    direction: str | None
    speed: str | None


def _one_of(words: tuple[str, ...]) -> str:
    return "(" + "|".join(map(re.escape, words)) + ")"


_THING = re.compile(
    f"a {_one_of(tuple(scenes.SIZES))} {_one_of(tuple(scenes.COLOURS))}"
    f" {_one_of(scenes.SHAPES)} (?:stays still|moves {_one_of(tuple(scenes.SPEEDS))}"
    f" {_one_of(tuple(scenes.DIRECTIONS))})"
)
_JOINTS = re.compile(r", and | while |, ")


def parse(caption: str) -> tuple[Said, ...] | None:
    """The things that a caption names, in its order; None where it is no sentence of a scene.

    sentence := thing "." | thing " while " thing "." | thing {", " thing} ", and " thing "."
    """
    if not caption.startswith("A ") or not caption.endswith("."):
        return None
    body = "a" + caption[1:-1]
    parts, joints = _JOINTS.split(body), _JOINTS.findall(body)
    many = [", "] * (len(joints) - 1) + [", and "]
    if joints not in ([], [" while "]) and (len(joints) < 2 or joints != many):
        return None
    matches = [_THING.fullmatch(part) for part in parts]
    things = []
    for match in matches:
        if match is None:
            return None
        size, colour, shape, speed, direction = match.groups()
        things.append(Said(shape, colour, size, direction, speed))
    return tuple(things)


@dataclass
class AttributeScore:
    """How often captions get each attribute right. `right[name]` of `asked[name]`.

    A said thing is judged against the true thing of its shape, and what is left over in the order
    of the sentence. A true thing that no said thing stands for counts as wrong in everything; a
    said thing too many counts as a wrong shape. Direction and speed are asked of what moves.
    """

    right: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ATTRIBUTES, 0))
    asked: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ATTRIBUTES, 0))

    def add(self, scene: Scene, caption: str) -> None:
        said = parse(caption) or ()
        truth = tuple(Said(t.shape, t.colour, t.size, t.direction, t.speed) for t in scene.things)
        for true, told in _paired(truth, said):
            self._judge("shape", told is not None and told.shape == true.shape)
            self._judge("colour", told is not None and told.colour == true.colour)
            self._judge("size", told is not None and told.size == true.size)
            moves = true.direction is not None
            agrees = told is not None and (told.direction is not None) == moves
            self._judge("still", agrees)
            if moves:
                self._judge("direction", told is not None and told.direction == true.direction)
                self._judge("speed", told is not None and told.speed == true.speed)
        for _ in range(len(said) - len(truth)):
            self._judge("shape", False)

    def shares(self) -> dict[str, float | None]:
        """Share right per attribute, None where none was asked."""
        return {
            name: self.right[name] / self.asked[name] if self.asked[name] else None
            for name in ATTRIBUTES
        }

    def _judge(self, name: str, right: bool) -> None:
        self.asked[name] += 1
        self.right[name] += right


def _paired(truth: tuple[Said, ...], said: tuple[Said, ...]) -> list[tuple[Said, Said | None]]:
    """Each true thing with what was said of it."""
    named = {thing.shape: thing for thing in reversed(said)}
    shapes = {thing.shape for thing in truth}
    used: list[Said] = [named[shape] for shape in shapes if shape in named]
    left = [thing for thing in said if not any(thing is other for other in used)]
    return [
        (true, named[true.shape] if true.shape in named else (left.pop(0) if left else None))
        for true in truth
    ]
