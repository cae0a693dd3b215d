"""Reads captions of scenes back into the things they name, and compares them with the truth."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from xsd_edge.world.scenes import DESCRIBE, NUMBERS, Scene
from xsd_edge.world.spec import SHAPES, World
from xsd_edge.world.things import (
    COLOURS,
    COLUMNS,
    DIRECTIONS,
    ROWS,
    SIZES,
    SPEEDS,
    Motion,
    Thing,
    said_motion,
)

ATTRIBUTES = ("shape", "colour", "size", "direction", "speed", "still")
_FIXED = (
    f"{DESCRIBE} a and while moves stays still nothing it what is moving how many objects are "
    "there which way does the move colour where at first last"
)


def vocabulary(world: World) -> frozenset[str]:
    """Every word that captions, questions and answers of a world may use, in lower case."""
    named = (*world.shapes, *COLOURS, *SIZES, *DIRECTIONS, *SPEEDS, *NUMBERS, *ROWS, *COLUMNS)
    turns = ("then stops",) if world.turns else ()
    hides = ("hidden",) if world.crossings or world.fences else ()
    return frozenset(words(" ".join((*named, _FIXED, *turns, *hides))))


def words(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return re.findall("[a-z]+", text.lower())


class Said(NamedTuple):
    """One thing of a caption, with one motion, or two where it turns."""

    shape: str
    colour: str
    size: str
    motions: tuple[Motion, ...]

    @classmethod
    def of(cls, thing: Thing) -> Said:
        return cls(thing.shape, thing.colour, thing.size, thing.motions)

    @property
    def moves(self) -> tuple[bool, ...]:
        return tuple(motion.direction is not None for motion in self.motions)

    @property
    def directions(self) -> tuple[str | None, ...]:
        return tuple(motion.direction for motion in self.motions)

    @property
    def speeds(self) -> tuple[str | None, ...]:
        return tuple(motion.speed for motion in self.motions)


def _one_of(names: tuple[str, ...]) -> str:
    return "(" + "|".join(map(re.escape, names)) + ")"


_WAY = f"{_one_of(tuple(SPEEDS))} {_one_of(tuple(DIRECTIONS))}"
_THING = re.compile(
    f"a {_one_of(tuple(SIZES))} {_one_of(tuple(COLOURS))} {_one_of(SHAPES)} "
    f"((?:stays still|moves {_WAY})(?:( then )(?:stops|(?:moves )?{_WAY}))?)"
)
JOINTS = re.compile(r", and | while |, ")


def parse(caption: str) -> tuple[Said, ...] | None:
    """The things that a caption names, in its order; None where it is no sentence of a scene.

    sentence := thing "." | thing " while " thing "." | thing {", " thing} ", and " thing "."
    thing := "a " size " " colour " " shape " " motion
    motion := "stays still" [" then moves " way] | "moves " way [" then " (way | "stops")]
    way := speed " " direction, and not the same way twice
    """
    if not caption.startswith("A ") or not caption.endswith("."):
        return None
    body = "a" + caption[1:-1]
    parts, joints = JOINTS.split(body), JOINTS.findall(body)
    many = [", "] * (len(joints) - 1) + [", and "]
    if joints not in ([], [" while "]) and (len(joints) < 2 or joints != many):
        return None
    matches = [_THING.fullmatch(part) for part in parts]
    things = []
    for match in matches:
        if match is None:
            return None
        size, colour, shape, said, speed, direction, turns, then_speed, then_direction = (
            match.groups()
        )
        first, then = Motion(direction, speed), Motion(then_direction, then_speed)
        motions = (first, then) if turns else (first,)
        if said != said_motion(motions) or first in motions[1:]:
            return None
        things.append(Said(shape, colour, size, motions))
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
        truth = tuple(map(Said.of, scene.told))
        for true, told in _paired(truth, said):
            self._judge("shape", told is not None and told.shape == true.shape)
            self._judge("colour", told is not None and told.colour == true.colour)
            self._judge("size", told is not None and told.size == true.size)
            self._judge("still", told is not None and told.moves == true.moves)
            if any(true.moves):
                self._judge("direction", told is not None and told.directions == true.directions)
                self._judge("speed", told is not None and told.speeds == true.speeds)
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
