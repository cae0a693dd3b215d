"""What changed between two profiles, and which of it is more than noise."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from xsd_edge.console import Table
from xsd_edge.profiling.document import FORMAT, KIND, Document, ProfileError
from xsd_edge.profiling.statistics import Estimate, change, holm, permutation_p

SIGNIFICANT = 0.05  # of the adjusted p-value
SECTIONS = ("machine", "bundle", "source", "settings", "answers", "per_clip_ms")  # read here
# What makes two machines the same board; power mode and software may be what was changed.
SAME_BOARD = ("model", "processor", "architecture", "cores")
CONDITIONS = ("power_mode", "clocks_pinned", "jetpack", "kernel", "python", "software")


class Figure(NamedTuple):
    """One figure of both profiles. `p` is adjusted for all figures tested together (Holm)."""

    name: str
    unit: str
    before: float
    after: float
    ratio: Estimate | None
    p: float

    @property
    def significant(self) -> bool:
        return self.p < SIGNIFICANT


class Comparison(NamedTuple):
    """`conditions` names what else differs: settings, power mode, software."""

    figures: list[Figure]
    conditions: dict[str, tuple[Any, Any]]

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "xsd-edge profile comparison",
            "figures": [
                {
                    **f._asdict(),
                    "ratio": f.ratio and f.ratio._asdict(),
                    "significant": f.significant,
                }
                for f in self.figures
            ],
            "changed": [f.name for f in self.figures if f.significant],
            "conditions": {k: {"before": a, "after": b} for k, (a, b) in self.conditions.items()},
        }


def load(path: Path) -> Document:
    """A profile that `--json` wrote.

    Raises:
        ProfileError: it cannot be read, or is no profile of this format.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProfileError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ProfileError(f"{path} is not JSON; write it with: profile --json > FILE") from error
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise ProfileError(f"{path} is no profile; write it with: xsd-edge profile --json > FILE")
    if document.get("format") != FORMAT:
        raise ProfileError(
            f"{path} has format {document.get('format')}, this version reads {FORMAT}; "
            "profile the bundle again"
        )
    if missing := [section for section in SECTIONS if section not in document]:
        raise ProfileError(f"{path} is incomplete (no {missing[0]}); profile the bundle again")
    return document


def compare(before: Document, after: Document, *, force: bool) -> Comparison:
    """Every figure that both profiles have clip by clip.

    Raises:
        ProfileError: another board or another bundle, unless `force`; or nothing in common.
    """
    for what, names in _differences(before, after):
        if not force:
            raise ProfileError(
                f"the profiles are of different {what}: {names}; --force compares all the same"
            )
    one, other = dict(_samples(before)), dict(_samples(after))
    shared = [name for name in one if name in other]
    tested = [(name, one[name], other[name]) for name in shared]
    p_values = holm([permutation_p(a, b) for _, a, b in tested])
    figures = [_figure(*each, p) for each, p in zip(tested, p_values, strict=True)]
    if not figures:
        raise ProfileError("the profiles have no figure in common; profile the bundle again")
    return Comparison(figures, _conditions(before, after))


def table(found: Comparison) -> Table:
    """The comparison for people."""
    rows = [
        (
            figure.name.replace("_", " "),
            f"{figure.before:.3f}{figure.unit}",
            f"{figure.after:.3f}{figure.unit}",
            _percent(figure.ratio),
            f"{figure.p:.3f}",
            "changed" if figure.significant else "",
        )
        for figure in found.figures
    ]
    header = ("figure", "before", "after", "change [95 %]", "p", "")
    return Table("What changed (means a clip; p by permutation, Holm-adjusted)", header, rows)


def _differences(before: Document, after: Document) -> Iterator[tuple[str, str]]:
    boards = [tuple(d["machine"][key] for key in SAME_BOARD) for d in (before, after)]
    if boards[0] != boards[1]:
        yield "boards", " and ".join(_shown(board) for board in boards)
    bundles = [d["bundle"]["id"] for d in (before, after)]
    if bundles[0] != bundles[1]:
        shown = [f"{d['bundle']['recipe']} {d['bundle']['id'][:12]}" for d in (before, after)]
        yield "bundles", " and ".join(shown)


def _shown(board: Sequence[Any]) -> str:
    model, processor, architecture, cores = board
    return f"{model or processor or architecture} ({cores} cores)"


def _conditions(before: Document, after: Document) -> dict[str, tuple[Any, Any]]:
    found = {}
    for section, keys in (
        ("machine", CONDITIONS),
        ("settings", tuple(before["settings"])),
        ("source", ("camera", "frames")),
    ):
        for key in keys:
            pair = before[section].get(key), after[section].get(key)
            if pair[0] != pair[1]:
                found[key] = pair
    return found


def _samples(document: Document) -> Iterator[tuple[str, list[float]]]:
    """Values clip by clip: stages as means of their calls, the rest from the answers."""
    answers: dict[int, list[dict[str, Any]]] = {}
    for answer in document["answers"]:
        answers.setdefault(answer["clip"], []).append(answer)
    clips = list(answers.values())

    def total(clip: list[dict[str, Any]], key: str) -> float:
        return float(sum(answer[key] for answer in clip))

    for key in ("answer_ms", "first_token_ms", "plain_answer_ms", "plain_first_token_ms"):
        yield key, [total(clip, key) / len(clip) for clip in clips]
    yield "answer_speedup", [total(c, "plain_answer_ms") / total(c, "answer_ms") for c in clips]
    shares = [(total(c, "accepted"), total(c, "drafted")) for c in clips]
    accepted = [part / whole for part, whole in shares if whole]
    if accepted:
        yield "accepted_share", accepted
    for stage, means in document["per_clip_ms"].items():
        yield f"{stage}_ms", [mean for mean in means if mean is not None]


def _figure(name: str, before: list[float], after: list[float], p: float) -> Figure:
    unit = " ms" if name.endswith("_ms") else ""
    one, other = (sum(values) / len(values) for values in (before, after))
    ratio = change(before, after) if one > 0 else None
    return Figure(name.removesuffix("_ms"), unit, one, other, ratio, p)


def _percent(ratio: Estimate | None) -> str:
    if ratio is None:
        return "-"
    value, low, high = (f"{(each - 1) * 100:+.1f}" for each in ratio)
    return f"{value} % [{low}, {high}]"
