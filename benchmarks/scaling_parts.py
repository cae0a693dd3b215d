"""What scaling.py measures on: a target with more positions, and files of random events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from benchmarks.genai_loop import link
from xsd_edge.bundle import Bundle
from xsd_edge.events.clips import ClipReader, Slice
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.source import open_source
from xsd_edge.events.writers.evt3 import EVT3

PACKET = 1 << 16  # events encoded at once


def longer_target(bundle: Bundle, folder: Path, positions: int) -> Path:
    """The bundle's target with RoPE's tables (Su et al. 2021, arXiv 2104.09864) for so many
    positions, weights linked, not copied.
    """
    graph = bundle.graph("target")
    data = graph.with_name(f"{graph.name}.data")
    link(data, folder / data.name)
    network = onnx.load(str(graph), load_external_data=False)
    tables = {t.name: t for t in network.graph.initializer if t.name in ("cos_cache", "sin_cache")}
    sines = table_of(tables["sin_cache"], data)
    # Row 1 holds the sines of the rates, all of which are in (0, 1].
    angles = np.outer(np.arange(positions), np.arcsin(sines[1].astype(np.float64)))
    for name, values in (("cos_cache", np.cos(angles)), ("sin_cache", np.sin(angles))):
        tables[name].CopyFrom(numpy_helper.from_array(values.astype(sines.dtype), name))
    longer = folder / "longer.onnx"
    onnx.save(network, str(longer))
    return longer


def table_of(constant: onnx.TensorProto, data: Path) -> NDArray[Any]:
    """A constant's values; onnx's own reader refuses files that have a second name."""
    if constant.data_location != onnx.TensorProto.EXTERNAL:
        return numpy_helper.to_array(constant)
    dtype = onnx.helper.tensor_dtype_to_np_dtype(constant.data_type)
    place = {entry.key: entry.value for entry in constant.external_data}
    shape, offset = tuple(constant.dims), int(place.get("offset", 0))
    return np.memmap(data, dtype, "r", offset, shape)


def write_events(path: Path, sensor: Geometry, mev_per_s: float) -> Path:
    """One second of random events as an EVT3 recording."""
    rng, count = np.random.default_rng(0), round(mev_per_s * 1e6)
    encoder = EVT3.encoder()
    with path.open("wb") as file:
        file.write(EVT3.header(sensor, 0))
        t = np.sort(rng.integers(0, 1_000_000, count))
        for at in range(0, count, PACKET):
            times = t[at : at + PACKET]
            x, y, p = (rng.integers(0, n, len(times)) for n in (sensor.width, sensor.height, 2))
            packet = EventPacket(
                times, x.astype(np.uint16), y.astype(np.uint16), p.astype(np.uint8)
            )
            file.write(encoder.encode(packet))
    return path


def read_clip(recording: Path, clip_us: int, slices: int) -> list[Slice]:
    """The first clip of a recording, nothing of it thinned."""
    source = open_source(str(recording))
    reader = ClipReader(source, clip_us, slices, drop_late=False)
    found = []
    for part in reader:
        found.append(part)
        if part.last:
            break
    reader.close()
    source.close()
    return found
