"""A profile for people: the verdict first, then one table a question."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from xsd_edge.console import Table
from xsd_edge.profiling.document import Document
from xsd_edge.profiling.verdict import TIMES

UNKNOWN = "-"


def tables(document: Document) -> Iterator[Table]:
    """All tables; one whose sensor or section is missing says so with dashes, or is left out."""
    yield _stages(document)
    yield _speed(document)
    yield _costs(document)
    if document["acceptance"]["by_position"]:
        yield _acceptance(document)
    yield _memory(document)
    yield _power(document)


def _stages(document: Document) -> Table:
    header = ("stage", "n", "mean", "p50", "p95", "p99", "max", "share", "budget")
    rows = [
        (
            name.replace("_", " "),
            str(row["n"]) if row["n"] else UNKNOWN,
            *(number(row[f"{key}_ms"], 3) for key in ("mean", "p50", "p95", "p99", "max")),
            f"{row['share']:.1%}",
            _budget(row),
        )
        for name, row in document["stages"].items()
        if row["n"] or name == "other"
    ]
    return Table("Stages of the drafted answers (ms)", header, rows)


def _budget(row: dict[str, Any]) -> str:
    allowed = row["budget_ms"]
    if allowed is None or row["p95_ms"] is None:
        return UNKNOWN
    return f"{allowed:g}{' exceeded' if row['p95_ms'] > allowed else ''}"


def _speed(document: Document) -> Table:
    rows = [
        (
            what.replace("_", " "),
            interval(found["measured"], TIMES),
            number(found.get("predicted"), 2, TIMES),
        )
        for what, found in document["speedup"].items()
    ]
    return Table("Speed-up over plain decoding", ("of", "measured [95 %]", "predicted"), rows)


def _costs(document: Document) -> Table:
    costs, limits = document["costs"], document["break_even"]["by_gamma"]
    by_gamma = {limit["gamma"]: limit for limit in limits}
    rows = []
    for point in costs["v"]:
        gamma = point["rows"] - 1
        limit = by_gamma.get(gamma, {"alpha": None, "speedup_at_alpha": None})
        rows.append(
            (
                str(point["rows"]),
                interval(point),
                str(gamma) if gamma else "plain",
                number(limit["alpha"], 2) if limit["alpha"] is not None or not gamma else "never",
                number(limit["speedup_at_alpha"], 2, TIMES),
            )
        )
    title = (
        f"Costs: a plain step {costs['step_ms']:.2f} ms, c = {interval(costs['c'])}, "
        f"alpha = {interval(document['acceptance']['alpha'])}"
    )
    return Table(title, ("rows", "v", "gamma", "break-even alpha", "speed-up at alpha"), rows)


def _acceptance(document: Document) -> Table:
    accepted = document["acceptance"]
    title = (
        f"Acceptance: {number(accepted['tokens_per_round'], 2)} tokens a round, "
        f"{accepted['accepted']} of {accepted['drafted']} drafts in {accepted['rounds']} rounds"
    )
    counts = accepted["accepted_histogram"]
    rows = [("none", UNKNOWN, UNKNOWN, str(counts.get("0", 0)))]
    for each in accepted["by_position"]:
        position, judged = str(each["position"]), str(each["judged"])
        rows.append((position, judged, interval(each["alpha"]), str(counts.get(position, 0))))
    return Table(
        title, ("position", "judged", "alpha [95 %]", "rounds that accepted so many"), rows
    )


def _memory(document: Document) -> Table:
    memory = document["memory"]
    rows = [
        (
            part,
            megabytes(held["file_bytes"]),
            megabytes(held["rss_bytes"]),
            megabytes(held["kv_bytes"] or None),
        )
        for part, held in memory["engines"].items()
    ]
    rows.append(("process", UNKNOWN, megabytes(memory["rss_bytes"]), megabytes(memory["kv_bytes"])))
    title = f"Memory (MB), peak {megabytes(memory['peak_rss_bytes'])}"
    return Table(title, ("part", "file", "resident", "KV cache"), rows)


def _power(document: Document) -> Table:
    power, machine = document["power"], document["machine"]
    rows = [
        ("power mode", str(machine["power_mode"] or UNKNOWN)),
        ("clocks pinned", {None: UNKNOWN, True: "yes", False: "no"}[machine["clocks_pinned"]]),
        ("mean power", number(power["mean_w"], 2, " W")),
        ("energy an answer, drafted", number(power["drafted"]["energy_per_answer_j"], 3, " J")),
        ("energy an answer, plain", number(power["plain"]["energy_per_answer_j"], 3, " J")),
        ("energy a token, drafted", number(power["drafted"]["energy_per_token_j"], 4, " J")),
        ("energy a token, plain", number(power["plain"]["energy_per_token_j"], 4, " J")),
        ("GPU load", number(document["gpu_load"], 2)),
    ]
    rows += [(f"rail {name}", f"{w['mean']:.2f} W") for name, w in power["rails_w"].items()]
    rows += [(name, f"{t['max']:.1f} \u00b0C") for name, t in document["temperatures_c"].items()]
    rows += [(name, f"{f['mean']:.0f} MHz") for name, f in document["clocks_mhz"].items()]
    return Table("Power and clocks (- where the board shows none)", ("sensor", "value"), rows)


def number(value: float | None, digits: int, unit: str = "") -> str:
    return UNKNOWN if value is None else f"{value:.{digits}f}{unit}"


def interval(found: dict[str, float] | None, unit: str = "") -> str:
    """An estimate as 1.80x [1.70, 1.90]."""
    if found is None:
        return UNKNOWN
    return f"{found['value']:.2f}{unit} [{found['low']:.2f}, {found['high']:.2f}]"


def megabytes(count: int | None) -> str:
    return UNKNOWN if count is None else f"{count / 1e6:.1f}"
