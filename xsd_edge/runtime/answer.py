"""An answer and what it took: tokens, rounds, drafts, seconds, and the comparison with plain
decoding.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from xsd_edge.runtime.loop import Round


@dataclass
class Decoding:
    """One answer's tokens and what they took."""

    tokens: list[int] = field(default_factory=list)
    first_tokens: int = 0  # of them brought by the question's own pass
    early_drafted: int = 0  # rode in that pass
    early_accepted: int = 0
    rounds: int = 0  # target passes after it
    drafted: int = 0  # in those
    accepted: int = 0
    first_token_s: float = 0.0  # from when the answer could begin
    answer_s: float = 0.0
    decode_s: float = 0.0  # from the first token to the last

    @property
    def decoded(self) -> int:
        """Tokens that passes after the question's own brought."""
        return len(self.tokens) - self.first_tokens

    def add(self, round_: Round, seconds: float) -> None:
        """A round that ended so many seconds after the answer could begin."""
        if not self.tokens:
            self.first_tokens, self.first_token_s = len(round_.tokens), seconds
            self.early_drafted, self.early_accepted = round_.drafted, round_.accepted
        else:
            self.rounds += 1
            self.drafted += round_.drafted
            self.accepted += round_.accepted
        self.tokens += round_.tokens
        self.answer_s, self.decode_s = seconds, seconds - self.first_token_s


@dataclass
class Totals:
    """Sums over any number of decodings."""

    tokens: int = 0
    decoded: int = 0
    early_drafted: int = 0
    early_accepted: int = 0
    rounds: int = 0
    drafted: int = 0
    accepted: int = 0
    decode_s: float = 0.0

    def add(self, one: Decoding) -> None:
        self.tokens += len(one.tokens)
        self.decoded += one.decoded
        self.early_drafted += one.early_drafted
        self.early_accepted += one.early_accepted
        self.rounds += one.rounds
        self.drafted += one.drafted
        self.accepted += one.accepted
        self.decode_s += one.decode_s

    @property
    def seconds_a_token(self) -> float:
        return self.decode_s / max(self.decoded, 1)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Where greedy speculative and plain decoding part ways, and how close the plain run's choice
    was.
    """

    position: int
    margin: float  # top-2 logit margin of plain decoding there


@dataclass(frozen=True, slots=True)
class Answer:
    """One question about one clip, answered."""

    clip: int
    t0_us: int
    t1_us: int
    question: str
    text: str
    decoding: Decoding
    plain: Decoding | None
    mismatch: Mismatch | None
    events: int
    events_dropped: int
    stages: dict[str, float]
