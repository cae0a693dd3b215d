"""Damaged recordings of every format that we decode ourselves: 20,000 of them, and every cut.

Each is refused in one sentence or gives events that keep the rules (judging.py) and are counted as
its bytes say (accounts.py), within bounds of time and memory. Formats that libraries read have such
tests of their own, fewer and slower.
"""

from __future__ import annotations

import io
import random
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.events.accounts import account, check_account
from tests.events.encoders import evt2_bytes, evt3_bytes, random_events, rows
from tests.events.judging import judged, judged_refusal
from tests.events.test_es import HEADER as ES_HEADER
from tests.events.test_es import es_bytes
from tests.events.test_evt21 import evt21_words, packed
from tests.events.test_records import bin_bytes, dat_bytes
from tests.events.test_text import lines
from xsd_edge.errors import SourceError
from xsd_edge.events.formats import open_recording
from xsd_edge.events.packet import Counters, EventPacket, Geometry
from xsd_edge.events.source import Wanted

VGA = Geometry(640, 480)
FILES = 20_000
SEED = 20_240_607
SLOWEST_S = 2.0  # of processor time for one file; most take a millisecond
MEMORY = 1 << 30  # bytes of address space beyond what the tests take already
EVENTS = random_events(60, 0, 20_000)
ROWS = rows(EVENTS)
VECTORS = np.array([0x8000, 0x0005, 0x3810, 0x4FFF, 0x50FF, 0x6123, 0x2801], "<u2").tobytes()


def evt(version: str, extra: str = "") -> bytes:
    return f"% evt {version}\n% geometry 640x480\n{extra}% end\n".encode()


def npz_bytes() -> bytes:
    file = io.BytesIO()
    columns = {key: getattr(EVENTS, key) for key in "txyp"}
    frames = np.zeros((2, 2, 2, 3), np.uint8)
    times = np.array([1, 2])
    np.savez_compressed(
        file, allow_pickle=False, width=640, height=480, frames=frames, frames_t_us=times, **columns
    )
    return file.getvalue()


def npy_bytes() -> bytes:
    file = io.BytesIO()
    box = np.empty((), object)
    box[()] = {key: getattr(EVENTS, key) for key in "ptxy"}
    np.save(file, box, allow_pickle=True)
    return file.getvalue()


class Sample(NamedTuple):
    """A small intact file, and the length of a record if every cut leaves the ones before whole."""

    name: str
    data: bytes
    header: int
    record: int | None


def samples() -> Iterator[Sample]:
    little, legacy = (evt("2.1", f"% endianness {how}\n") for how in ("little", "legacy"))
    words = evt21_words(EVENTS)
    small = [(t, x % 240, y % 180, p) for t, x, y, p in ROWS]
    dat = b"% Data file containing CD events.\n% Version 2\n% Width 640\n% Height 480\n\x0c\x08"
    for name, header, data, record in (
        ("evt2.raw", evt("2.0"), evt2_bytes(EVENTS), 4),
        ("evt21.raw", little, packed(words, legacy=False), 8),
        ("evt21_legacy.raw", legacy, packed(words, legacy=True), 8),
        ("evt3.raw", evt("3.0"), VECTORS + evt3_bytes(EVENTS), 2),
        ("a.dat", dat, dat_bytes(ROWS), 8),
        ("a.bin", b"", bin_bytes(small), 5),
        ("a.es", ES_HEADER, es_bytes(ROWS), None),
        ("a.csv", b"t,x@640,y@480,p\n", lines(ROWS, "{t},{x},{y},{p}").encode(), None),
        ("a.npz", b"", npz_bytes(), None),
        ("a.npy", b"", npy_bytes(), None),
    ):
        yield Sample(name, header + data, len(header), record)


SAMPLES = tuple(samples())
Mutation = Callable[[random.Random, bytearray], None]


def somewhere(rng: random.Random, data: bytearray) -> int:
    """Any place, the beginning more often: that is where sizes stand."""
    return rng.randrange(min(len(data), rng.choice((64, 400, len(data)))) or 1)


def flip(rng: random.Random, data: bytearray) -> None:
    for _ in range(rng.choice((1, 1, 3, 20))):
        data[somewhere(rng, data)] = rng.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, rng.randrange(256)))


def garbage(rng: random.Random, data: bytearray) -> None:
    at = somewhere(rng, data)
    data[at : at + rng.choice((0, 4, 40))] = rng.randbytes(rng.choice((1, 7, 64, 200)))


def remove(rng: random.Random, data: bytearray) -> None:
    at = somewhere(rng, data)
    del data[at : at + rng.choice((1, 2, 8, 100))]


def cut(rng: random.Random, data: bytearray) -> None:
    del data[rng.randrange(len(data)) :]


def repeat(rng: random.Random, data: bytearray) -> None:
    at, length = somewhere(rng, data), rng.choice((1, 5, 64, 300))
    data[at:at] = data[at : at + length] * rng.choice((1, 2, 50))


def fill(rng: random.Random, data: bytearray) -> None:
    at = somewhere(rng, data)
    data[at : at + 16] = rng.choice((b"\0", b"\xff", b"\x80", b"9", b"\n", b"%")) * 16


def enlarge(rng: random.Random, data: bytearray) -> None:
    """Numbers in headers become huge."""
    digits = [at for at, byte in enumerate(data[:400]) if 48 <= byte <= 57]
    if digits:
        at = rng.choice(digits)
        data[at : at + 1] = rng.choice((b"99999", b"-1", b"4294967296", b"9" * 30, b"0"))


MUTATIONS: tuple[Mutation, ...] = (flip, flip, garbage, remove, cut, repeat, fill, enlarge)


def outcome(path: Path, data: bytes) -> tuple[list[EventPacket], Counters] | None:
    """What the file gives; None if it is refused, as it must be, in one sentence."""
    path.write_bytes(data)
    began = time.process_time()
    try:
        source = open_recording(path, Wanted())
        packets = judged(source)
    except SourceError as error:
        judged_refusal(error)
        return None
    finally:
        assert time.process_time() - began < SLOWEST_S, "it hangs"
    check_account(path.name, data, source.counters)
    return packets, source.counters


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Allocating what a damaged size says fails."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.slow
@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_20_000_damaged_files(tmp_path: Path, sample: Sample) -> None:
    path = tmp_path / sample.name
    accepted = refused = 0
    for number in range(FILES // len(SAMPLES)):
        rng = random.Random(SEED + number)
        data = bytearray(sample.data)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            if data:
                rng.choice(MUTATIONS)(rng, data)
        result = outcome(path, bytes(data))
        accepted, refused = accepted + (result is not None), refused + (result is None)
        if result is not None:
            # A word of 2 bytes has at most 12 events, one of 8 bytes 32; compressed files say their
            # length twice, and a number repeated in text is a line of its own.
            assert sum(map(len, result[0])) <= 6 * len(data) + 6
    assert accepted > 0
    assert refused > 0


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_every_cut(tmp_path: Path, sample: Sample) -> None:
    """A recorder that was killed leaves the beginning: all of it is read, and nothing else."""
    path = tmp_path / sample.name
    whole = outcome(path, sample.data)
    assert whole is not None
    expected = [row for part in whole[0] for row in rows(part)]
    assert len(expected) >= len(ROWS)
    for length in range(len(sample.data)):
        result = outcome(path, sample.data[:length])
        if sample.record is None and sample.name.startswith("a.np"):
            assert result is None  # these have their sizes at the end, or in front
        elif result is not None:
            found = [row for part in result[0] for row in rows(part)]
            assert found[:-1] == expected[: max(len(found) - 1, 0)]
            assert len(found) <= len(expected)
            if sample.record is not None:
                assert found == expected[: len(found)]
                assert result[1].truncated == bool((length - sample.header) % sample.record)


def test_an_intact_file_is_not_refused_for_its_neighbours(tmp_path: Path) -> None:
    for sample in SAMPLES:
        result = outcome(tmp_path / sample.name, sample.data)
        assert result is not None
        seen = replace(result[1], backward_jumps=0)  # EVT3's begins with words of a later time
        assert seen == Counters(events=sum(map(len, result[0])))
        told = account(sample.name, sample.data)
        assert (told is None) == (sample.record is None)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(SAMPLES),
    st.lists(
        st.tuples(st.integers(0, 2**20), st.integers(0, 30), st.binary(max_size=30)), max_size=6
    ),
)
def test_any_damage(
    tmp_path_factory: pytest.TempPathFactory,
    sample: Sample,
    changes: list[tuple[int, int, bytes]],
) -> None:
    data = bytearray(sample.data)
    for at, length, noise in changes:
        start = at % (len(data) + 1)
        data[start : start + length] = noise
    result = outcome(tmp_path_factory.getbasetemp() / sample.name, bytes(data))
    if result is not None and bytes(data) == sample.data:
        assert [row[1:] for part in result[0] for row in rows(part)][-9:] == [
            row[1:] for row in rows_of(sample)
        ][-9:]


def rows_of(sample: Sample) -> list[tuple[int, int, int, int]]:
    if sample.name == "a.bin":
        return [(t, x % 240, y % 180, p) for t, x, y, p in ROWS]
    return ROWS


@pytest.mark.parametrize("size", [1, 5, 4096])
def test_noise_is_refused_or_not_recognised(tmp_path: Path, size: int) -> None:
    for seed in range(20):
        noise = np.random.default_rng(seed).bytes(size)
        for name in ("a.raw", "a.bin", "a.dat", "a.txt"):
            assert outcome(tmp_path / name, noise) is None or (name, size) == ("a.bin", 5)
