"""Power mode, clocks and memory: what makes a board slower than it is, or ends a run."""

from __future__ import annotations

from collections.abc import Iterator

from xsd_edge.doctor.finding import ADVICE, BROKEN, OK, Finding
from xsd_edge.machine import Machine

GIB = 1 << 30
LEAST = 512 << 20  # the demo bundle's run
CMA_FOR_BUILDS = 900 << 20  # large engines failed with JetPack 6.2.1's default on an Orin Nano
DESKTOP_OFF = "sudo systemctl isolate multi-user.target"
PROGRAMS = "ps aux --sort=-rss | head"
MORE_CMA = r"sudo sed -i '/^ *APPEND/ s/$/ cma=950M/' /boot/extlinux/extlinux.conf && sudo reboot"
MORE_SWAP = (
    "sudo fallocate -l 16G /swapfile && sudo chmod 600 /swapfile && sudo mkswap /swapfile "
    "&& sudo swapon /swapfile"
)


def system(machine: Machine) -> Iterator[Finding]:
    """All of this module's findings; power and clocks only where there is an nvpmodel."""
    if machine.is_jetson:
        yield power_mode(machine)
        yield clocks(machine)
    memory = machine.memory
    if memory is None:
        yield Finding(
            "memory", BROKEN, "/proc/meminfo cannot be read", "sudo mount -t proc proc /proc"
        )
        return
    text = f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB free"
    if memory.available >= LEAST:
        yield Finding("memory", OK, text)
    else:
        mend = DESKTOP_OFF if machine.is_jetson else PROGRAMS
        yield Finding("memory", BROKEN, f"{text}; run needs at least 0.5", mend)
    if machine.is_jetson:
        yield contiguous(memory.cma, memory.cma_free)
    yield swap(machine, memory.swap, memory.swap_free)


def power_mode(machine: Machine) -> Finding:
    modes, current = machine.power_modes, machine.power_mode
    if current is None:
        text = "nvpmodel's state cannot be read, so engines cannot be kept apart by power mode"
        return Finding("power mode", ADVICE, text, "sudo systemctl restart nvpmodel")
    # MAXN and MAXN_SUPER lift every limit, whatever their number here.
    full = [number for number, name in modes.items() if name.startswith("MAXN")]
    if not full or current.startswith("MAXN"):
        return Finding("power mode", OK, current)
    name = modes[full[0]]
    return Finding(
        "power mode", ADVICE, f"{current}; {name} is faster", f"sudo nvpmodel -m {full[0]}"
    )


def clocks(machine: Machine) -> Finding:
    pinned = machine.clocks_pinned
    if pinned:
        return Finding("clocks", OK, "pinned at the power mode's highest")
    text = "cannot be read" if pinned is None else "not pinned: times will vary with the load"
    return Finding("clocks", ADVICE, text, "sudo jetson_clocks")


def contiguous(total: int, free: int) -> Finding:
    text = f"{free >> 20} of {total >> 20} MiB free"
    if total >= CMA_FOR_BUILDS:
        return Finding("CMA", OK, text)
    return Finding("CMA", ADVICE, f"{text}; building large engines may fail", MORE_CMA)


def swap(machine: Machine, total: int, free: int) -> Finding:
    if total:
        return Finding("swap", OK, f"{free / GIB:.1f} of {total / GIB:.1f} GiB free")
    if not machine.is_jetson:
        return Finding("swap", OK, "none")
    return Finding("swap", ADVICE, "none; a build that needs more memory is killed", MORE_SWAP)
