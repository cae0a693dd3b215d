"""What a recipe TOML says: which models make a pair, their sizes, how the demo's are trained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xsd_edge import toml_files
from xsd_edge.world.spec import PLAIN, World, completed


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

    @property
    def event_cells(self) -> int:
        """Patches a side that the event encoder makes tokens of."""
        return self.event_side // self.event_patch

    @property
    def event_tokens(self) -> int:
        return self.event_cells**2


@dataclass(frozen=True, slots=True)
class EarlySpec:
    """The early drafter: an encoder over event tokens and the previous answer, and a decoder."""

    trained: str
    width: int
    heads: int
    encoder_layers: int
    layers: int  # of the decoder
    intermediate: int
    previous: int  # tokens of the previous answer that are read
    context: int  # question and answer


@dataclass(frozen=True, slots=True)
class TargetTraining:
    """Steps and rates of the target's phases and its two lessons."""

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
    patch_places_steps: int
    places_steps: int
    patch_things_steps: int
    things_steps: int
    lesson_rate: float
    read_weight: float  # of a lesson's probes


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
class EarlyTraining:
    """Streams that the early drafter learns from, and its steps."""

    streams: int  # answered by the target
    clips: int  # of each stream
    invented: int  # further streams, answered by the ground truth
    encoder_steps: int  # of the event encoder alone
    encoder_rate: float
    steps: int
    batch: int
    rate: float


@dataclass(frozen=True, slots=True)
class AblationSpec:
    """What every row of the ablation learns from, for how long, and on what it is judged; rate and
    feedback are the drafter's.
    """

    streams: int  # answered by the target
    clips: int  # of each stream
    questions: int  # about each clip beside its caption
    align_steps: int
    steps: int
    batch: int
    judged_streams: int  # held out
    judged_clips: int  # of each, the first of which only gives the previous answers


@dataclass(frozen=True, slots=True)
class Recipe:
    """One model pair: everything that `train` and `export` need to make its bundle."""

    name: str
    base: BaseModelSpec
    target: TargetSpec
    drafter: DrafterSpec
    target_training: TargetTraining
    drafter_training: DrafterTraining
    folder: Path  # where the file lies: its own paths start here
    early: EarlySpec | None = None  # a pair without one repeats its last answer as an early draft
    early_training: EarlyTraining | None = None
    ablation: AblationSpec | None = None
    world: World = PLAIN  # what target and drafter are trained, calibrated and judged in

    @classmethod
    def load(cls, path: Path) -> Recipe:
        """Read a recipe file.

        Raises:
            RecipeError: the file is missing, is not TOML, lacks a key or has an unknown one.
        """
        return toml_files.load(cls, path, {"world": completed})
