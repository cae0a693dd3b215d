"""The bundle: the directory that export writes and the device reads, and nothing else shares.

`bundle.json` names every file with its sha256; a reader checks a file before anything opens it.
`bundle_writer` makes one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from xsd_edge.errors import BundleError

FORMAT = 4
MANIFEST = "bundle.json"
# ONNX Runtime on the CPU or through CUDA, or an engine that TensorRT builds on the device.
BACKENDS = ("cpu", "cuda", "tensorrt")


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One graph input or output; a dimension is a number, or a name where it varies."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file inside the bundle."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Part:
    """One network, possibly in several precisions.

    `files` maps a precision ("fp32", "int8", "fp16", "int4") to its ONNX file; `default` is the one
    to run on `board` where nobody has measured. `inputs` and `outputs` are what the runtime feeds;
    `sizes` gives the length that each named dimension has in a graph whose axes are fixed, and is
    empty where the graph's own axes vary. `reference` is an npz with `in.NAME` and `out.NAME`
    arrays of the graph's own shapes for the parity gate; `tolerance` is the least cosine similarity
    of any output row that still passes, per precision. `attachments` are further files the graph
    needs (external data).
    """

    name: str
    files: dict[str, FileEntry]
    default: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    opset: int
    backend: str = "cpu"  # who runs it: one of BACKENDS
    sizes: dict[str, int] = field(default_factory=dict)
    reference: FileEntry | None = None
    tolerance: dict[str, float] = field(default_factory=dict)
    attachments: tuple[FileEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class TargetInfo:
    """What the decoder must know of the target's graph."""

    layers: int
    kv_heads: int
    head_width: int
    hidden: int
    vocabulary: int
    context: int  # longest sequence the KV cache is made for
    end_tokens: tuple[int, ...]
    masked_tokens: tuple[int, ...]  # padding rows and placeholders: never emitted, by p or q
    cache_dtype: str  # of the KV cache, which the graph shares with its caller


@dataclass(frozen=True, slots=True)
class ClipInfo:
    """What one clip is: frames for the target, an event window for the drafter."""

    frames: int
    image_side: int
    tokens_per_frame: int
    duration_us: int
    image_mean: tuple[float, float, float]
    image_std: tuple[float, float, float]
    resize: str  # "bilinear" for the demo, "bicubic" for CLIP's own preprocessing
    event_side: int  # 0, and no bins, where no network reads events
    event_bins: int


@dataclass(frozen=True, slots=True)
class DrafterInfo:
    """Sizes of the draft head's state; all but `gamma_max` are 0 where nobody has trained one."""

    width: int
    heads: int
    head_width: int
    context: int
    gamma_max: int  # longest draft, whoever drafts
    early_context: int = 0  # rows of the early head, question and answer; 0: there is none

    @property
    def has_head(self) -> bool:
        return self.context > 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """All of bundle.json."""

    format: int
    recipe: str
    board: str
    parts: dict[str, Part]
    files: dict[str, FileEntry]  # tokenizer, embedding, draft_vocabulary, parity, demo clip ...
    prompt: str
    target: TargetInfo
    clip: ClipInfo
    drafter: DrafterInfo
    provenance: dict[str, str]
    world: dict[str, Any] = field(default_factory=dict)  # of its training; empty: the plain one

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Manifest:
        """Parse and check a manifest.

        Raises:
            BundleError: not JSON, another format version, or keys missing or unknown.
        """
        try:
            raw = json.loads(text)
        except ValueError as error:
            raise BundleError(
                f"{MANIFEST} is not JSON ({error}); export the bundle again"
            ) from error
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            found = raw.get("format") if isinstance(raw, dict) else None
            raise BundleError(
                f"{MANIFEST} has format {found}, this version reads {FORMAT}; "
                "export the bundle again"
            )
        try:
            return cls(
                **{
                    **raw,
                    "parts": {name: _part(part) for name, part in raw["parts"].items()},
                    "files": {name: FileEntry(**entry) for name, entry in raw["files"].items()},
                    "target": TargetInfo(**_tuples(raw["target"])),
                    "clip": ClipInfo(**_tuples(raw["clip"])),
                    "drafter": DrafterInfo(**raw["drafter"]),
                }
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise BundleError(
                f"{MANIFEST} is incomplete ({error}); export the bundle again"
            ) from error


def _tuples(table: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}


def _part(raw: Mapping[str, Any]) -> Part:
    def specs(key: str) -> tuple[TensorSpec, ...]:
        return tuple(TensorSpec(**_tuples(spec)) for spec in raw[key])

    if raw["backend"] not in BACKENDS:
        raise BundleError(
            f"{MANIFEST} asks for back-end {raw['backend']!r}, this version has "
            f"{', '.join(BACKENDS)}; export the bundle again"
        )
    return Part(
        **{
            **raw,
            "files": {name: FileEntry(**entry) for name, entry in raw["files"].items()},
            "inputs": specs("inputs"),
            "outputs": specs("outputs"),
            "reference": FileEntry(**raw["reference"]) if raw["reference"] else None,
            "attachments": tuple(FileEntry(**entry) for entry in raw["attachments"]),
        }
    )


class Bundle:
    """A bundle opened for reading. Files are hashed the first time they are asked for."""

    def __init__(self, folder: Path) -> None:
        manifest = folder / MANIFEST
        if not manifest.is_file():
            raise BundleError(
                f"{folder} is not a bundle (no {MANIFEST}); make one with: "
                f"xsd-edge export --target cpu --recipe demo -o {folder}"
            )
        self.folder = folder
        self.manifest = Manifest.from_json(manifest.read_bytes())
        self._checked: set[str] = set()

    def file(self, entry: FileEntry) -> Path:
        """The checked path of one file.

        Raises:
            BundleError: the path leaves the bundle, the file is missing, or its bytes are not the
            manifest's.
        """
        path = self._inside(entry.path)
        if entry.path in self._checked:
            return path
        if not path.is_file():
            raise BundleError(f"{path} is missing; export the bundle again")
        if path.stat().st_size != entry.size or sha256_of(path) != entry.sha256:
            raise BundleError(
                f"{path} is not the file that was exported (sha256 differs); "
                "export the bundle again"
            )
        self._checked.add(entry.path)
        return path

    def named(self, name: str) -> Path:
        """A file of `manifest.files` by name, checked."""
        if name not in self.manifest.files:
            raise BundleError(f"{self.folder} has no {name}; export the bundle again")
        return self.file(self.manifest.files[name])

    def part(self, name: str) -> Part:
        if name not in self.manifest.parts:
            raise BundleError(f"{self.folder} has no part {name!r}; export the bundle again")
        return self.manifest.parts[name]

    def graph(self, name: str, precision: str | None = None) -> Path:
        """The checked ONNX file of a part, with everything it refers to checked too."""
        part = self.part(name)
        chosen = precision or part.default
        if chosen not in part.files:
            raise BundleError(
                f"part {name!r} has no {chosen} graph; it has {', '.join(sorted(part.files))}"
            )
        for attachment in part.attachments:
            self.file(attachment)
        return self.file(part.files[chosen])

    def check_all(self) -> None:
        """Hash every file the manifest names."""
        for part in self.manifest.parts.values():
            for precision in part.files:
                self.graph(part.name, precision)
            if part.reference:
                self.file(part.reference)
        for entry in self.manifest.files.values():
            self.file(entry)

    def _inside(self, relative: str) -> Path:
        pure = PurePosixPath(relative)
        if pure.is_absolute() or ".." in pure.parts or "\\" in relative:
            raise BundleError(f"{MANIFEST} names {relative!r}, outside the bundle; do not use it")
        path = self.folder / pure
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise BundleError(f"{path} leads outside the bundle; do not use it")
        return path


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
