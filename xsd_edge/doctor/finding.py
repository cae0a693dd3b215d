"""One thing that doctor looked at."""

from __future__ import annotations

from dataclasses import dataclass

OK, ADVICE, BROKEN = "ok", "advice", "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """`state` is "ok", "advice" (run works, but slower or less safely) or "broken" (run, or a part
    of it, cannot work). `mend` is a command; only what is ok needs none.
    """

    name: str
    state: str
    text: str
    mend: str | None = None

    def __post_init__(self) -> None:
        assert self.state in (OK, ADVICE, BROKEN)
        assert self.mend or self.state == OK
