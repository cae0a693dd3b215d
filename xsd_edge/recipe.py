"""What a recipe TOML says: which models make a pair, their sizes, how the demo's are trained."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from xsd_edge.errors import RecipeError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BaseModelSpec:
    """Where the base language model comes from, and the hash that proves it is the right one."""

    wheel: str
    member: str
    sha256: str
    hub: str


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """The VideoLLaVA target's architecture beyond its language model."""

    trained: str
    image_size: int
    patch_size: int
    vision_hidden: int
    vision_intermediate: int
    vision_layers: int
    vision_heads: int
    frames: int
    clip_us: int
    image_token: int
    video_token: int
    low_rank: int
    prompt: str
    image_mean: tuple[float, float, float]
    image_std: tuple[float, float, float]

    @property
    def tokens_per_frame(self) -> int:
        """Patches and CLS: VideoLLaVA keeps CLS for video."""
        return (self.image_size // self.patch_size) ** 2 + 1


@dataclass(frozen=True, slots=True)
class DrafterSpec:
    """Event encoder, alignment MLP, acceptance predictor and draft head."""

    trained: str
    event_side: int
    event_bins: int
    event_patch: int
    event_hidden: int
    event_layers: int
    event_heads: int
    align_hidden: int
    head_width: int
    head_heads: int
    head_intermediate: int
    head_context: int
    gamma_max: int


@dataclass(frozen=True, slots=True)
class TargetTraining:
    """Steps and rates of the target's three phases."""

    tower_steps: int
    tower_batch: int
    tower_rate: float
    projector_steps: int
    projector_batch: int
    projector_rate: float
    language_steps: int
    language_batch: int
    language_rate: float
    vision_rate: float
    questions: int
    motion_weight: float


@dataclass(frozen=True, slots=True)
class DrafterTraining:
    """Steps and rates of distillation."""

    scenes: int
    questions: int
    align_steps: int
    steps: int
    batch: int
    rate: float
    feedback: int
    predictor_steps: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """One model pair: everything that `train` and `export` need to make its bundle."""

    name: str
    base: BaseModelSpec
    target: TargetSpec
    drafter: DrafterSpec
    target_training: TargetTraining
    drafter_training: DrafterTraining
    folder: Path

    @classmethod
    def load(cls, path: Path) -> Recipe:
        """Read a recipe file.

        Raises:
            RecipeError: the file is missing, is not TOML, lacks a key or has an unknown one.
        """
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise RecipeError(f"cannot read recipe {path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RecipeError(f"{path} is not valid TOML: {error}") from error
        sections = {
            "base": BaseModelSpec,
            "target": TargetSpec,
            "drafter": DrafterSpec,
            "target_training": TargetTraining,
            "drafter_training": DrafterTraining,
        }
        unknown = sorted(set(table) - set(sections) - {"name"})
        if unknown:
            raise RecipeError(
                f"{path}: unknown key {unknown[0]!r}; known: name, {', '.join(sections)}"
            )
        if "name" not in table:
            raise RecipeError(f"{path}: 'name' is missing; add name = \"...\" at the top")
        parsed: dict[str, Any] = {
            key: _section(path, key, table.get(key), kind) for key, kind in sections.items()
        }
        return cls(name=str(table["name"]), folder=path.parent, **parsed)


def _section(path: Path, key: str, value: object, kind: type[T]) -> T:
    """Fill one dataclass from one table: each key known, each present, each of its type."""
    if not isinstance(value, dict):
        raise RecipeError(f"{path}: section [{key}] is missing")
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]  # kind is a dataclass
    for name in value:
        if name not in known:
            raise RecipeError(f"{path}: unknown key {key}.{name}; known: {', '.join(known)}")
    arguments: dict[str, Any] = {}
    for name, field in known.items():
        if name not in value:
            raise RecipeError(f"{path}: {key}.{name} is missing")
        arguments[name] = _typed(path, f"{key}.{name}", value[name], str(field.type))
    return kind(**arguments)


def _typed(path: Path, where: str, value: object, kind: str) -> object:
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind.startswith("tuple") and isinstance(value, list):
        wanted = kind.count("float")
        if len(value) == wanted and all(isinstance(v, (int, float)) for v in value):
            return tuple(float(v) for v in value)
    elif type(value).__name__ == kind:
        return value
    raise RecipeError(f"{path}: {where} must be {kind}, not {value!r}")
