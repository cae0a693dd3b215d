"""All findings about one machine, in the order a person mends them."""

from __future__ import annotations

from pathlib import Path

from xsd_edge.doctor.bundle import bundle as look_at_bundle
from xsd_edge.doctor.cameras import cameras
from xsd_edge.doctor.finding import BROKEN, Finding
from xsd_edge.doctor.software import software
from xsd_edge.doctor.system import system
from xsd_edge.machine import Machine


def examine(machine: Machine, bundle: Path | None = None) -> list[Finding]:
    """Look at everything; at a bundle too where one is given."""
    found = [machine_itself(machine), *software(machine), *system(machine), *cameras(machine)]
    return found + (list(look_at_bundle(bundle, machine)) if bundle else [])


def machine_itself(machine: Machine) -> Finding:
    board = machine.board
    text = machine.model or "no Jetson"
    return Finding("machine", "ok", f"{text}; --target {board.name}" if board else text)


def is_ready(findings: list[Finding]) -> bool:
    """Can `run` work?"""
    return not any(finding.state == BROKEN for finding in findings)
