"""The table's rows: what each drafter sees, and what the theory expected of it."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

Events = Literal["none", "raw", "aligned"]


@dataclass(frozen=True, slots=True)
class Row:
    """One drafter. All read the tokens so far; everything else is said here."""

    name: str
    title: str
    events: Events = "none"  # raw: the encoder's features, without alignment
    attended: bool = False  # each event token for itself; else only their mean
    frame: bool = False  # the visual tokens of the clip's first frame
    hidden: bool = False  # the target's hidden states of what is verified
    previous: bool = False  # the last clip's answer to the same question
    lookup: bool = False  # no network: what the previous answer says next
    expected: tuple[float, float] | None = None  # acceptance by the theory

    @property
    def aligned(self) -> bool:
        return self.events == "aligned"


ROWS: Final = (
    Row("text", "text only"),
    Row("raw", "raw event features", "raw", expected=(0.3, 0.4)),
    Row("aligned", "+ alignment MLP", "aligned", expected=(0.5, 0.6)),
    Row("attended", "+ cross-attention to event tokens", "aligned", True, expected=(0.6, 0.7)),
    Row("qualified", "+ first frame's tokens", "aligned", True, True, expected=(0.7, 0.8)),
    Row("hidden", "target hidden states", hidden=True),
    Row("hidden_events", "target hidden states + events", "aligned", True, hidden=True),
    Row(
        "hidden_events_frame",
        "target hidden states + events + first frame's tokens",
        "aligned",
        True,
        True,
        hidden=True,
    ),
    Row("lookup", "previous answer, looked up", lookup=True),
    Row("previous", "previous answer", previous=True),
    Row("previous_events", "previous answer + events", "aligned", True, previous=True),
)
BY_NAME: Final = MappingProxyType({row.name: row for row in ROWS})
# The rows that are measured again where the frame camera fails; "attended" shows what events alone
# are then worth.
DEGRADED_TOO: Final = (
    "attended",
    "hidden",
    "hidden_events",
    "hidden_events_frame",
    "lookup",
    "previous",
    "previous_events",
)
