"""`build` with stand-ins for TensorRT and CUDA: cache, parity gate, race, record."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import TINY_BUNDLE
from tests.fakes.board_root import agx_orin, put
from tests.fakes.orin_bundle import PARTS, edit, orin_bundle
from xsd_edge.build.builder import CompileOptions
from xsd_edge.build.run import build, without_engine
from xsd_edge.bundle import Bundle
from xsd_edge.errors import BundleError, DeviceError
from xsd_edge.machine import Machine
from xsd_edge.runtime.engine import allocate, open_engine
from xsd_edge.runtime.engine_store import EngineStore, Record, choose, identity, missing_engines
from xsd_edge.runtime.onnx_engine import OnnxEngine
from xsd_edge.runtime.tensorrt_engine import TensorRtEngine

OPTIONS = CompileOptions()


class Bench:
    """A bundle on a pretended AGX Orin."""

    def __init__(self, folder: Path) -> None:
        self.machine = Machine(agx_orin(folder / "root"))
        self.folder = orin_bundle(folder / "bundle")
        self.world = importlib.import_module("tensorrt").world
        # Small graphs race each other by chance, so one of them sleeps.
        self.world.seconds = {"fp32": 0.002}
        self.said: list[str] = []

    def build(self, options: CompileOptions = OPTIONS, rebuild: bool = False) -> Record:
        return build(self.folder, self.machine, options, rebuild, self.said.append)

    @property
    def store(self) -> EngineStore:
        return EngineStore(Bundle(self.folder))


@pytest.fixture
def bench(fake_gpu: Any, tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_the_faster_precision_is_chosen_and_recorded(bench: Bench, fake_gpu: Any) -> None:
    record = bench.build()
    assert set(record.parts) == set(PARTS)
    for part in record.parts.values():
        assert part.chosen == "int8"
        int8, fp16 = part.candidates["int8"], part.candidates["fp16"]
        assert int8.median_ms is not None
        assert fp16.median_ms is not None
        assert int8.median_ms < fp16.median_ms
        assert (fp16.builder, fp16.typing) == ("python", "strong")
        assert fp16.cosine is not None
        assert fp16.cosine > 0.9999
    assert (record.place.module, record.place.sms) == ("p3701-0005", 8)
    assert (record.place.power_mode, record.place.tensorrt) == ("MODE_30W", "10.3.0")
    assert bench.store.read(record.place) == record
    assert fake_gpu.board.leaks == 0


def test_fp16_stays_where_it_is_faster(bench: Bench) -> None:
    bench.world.seconds = {"int8": 0.002}
    assert {part.chosen for part in bench.build().parts.values()} == {"fp16"}


def test_an_engine_beyond_tolerance_is_not_used(bench: Bench) -> None:
    bench.world.noise = {"int8": 1.0}
    record = bench.build()
    for part in record.parts.values():
        assert part.chosen == "fp16"
        assert part.candidates["int8"].plan is None
        assert "below 0.97" in (part.candidates["int8"].error or "")
        assert part.candidates["int8"].median_ms is None


def test_an_engine_that_does_not_run_is_not_used(bench: Bench, fake_gpu: Any) -> None:
    bench.world.fails = "int8"
    record = bench.build()
    for part in record.parts.values():
        assert part.chosen == "fp16"
        assert "it does not run" in (part.candidates["int8"].error or "")
    assert fake_gpu.board.leaks == 0


def test_measured_costs_belong_to_the_engine(bench: Bench) -> None:
    before = identity(Bundle(bench.folder), "alignment", bench.machine)
    assert before == Bundle(bench.folder).part("alignment").files["fp16"].sha256[:12]
    plan = bench.build().parts["alignment"].candidates["int8"].plan
    assert plan is not None
    assert identity(Bundle(bench.folder), "alignment", bench.machine) == plan[:12]


def test_no_engine_within_tolerance_leaves_the_part_to_onnxruntime(bench: Bench) -> None:
    bench.world.noise = {"int8": 1.0, "fp32": float("nan")}
    record = bench.build()
    assert without_engine(record) == sorted(PARTS)
    choice = choose(Bundle(bench.folder), "alignment", bench.machine)
    assert choice == (None, "no engine passed the parity gate")


def test_the_second_build_compiles_nothing(bench: Bench) -> None:
    first = bench.build()
    built = bench.world.builds
    again = bench.build()
    assert bench.world.builds == built
    for name, part in again.parts.items():
        assert part.candidates["fp16"].build_s is None
        assert part.candidates["fp16"].sha256 == first.parts[name].candidates["fp16"].sha256
    bench.build(rebuild=True)
    assert bench.world.builds == 2 * built


@pytest.mark.parametrize("changed", ["flags", "power mode", "SMs", "TensorRT", "module"])
def test_what_an_engine_depends_on_is_in_its_key(
    bench: Bench, fake_gpu: Any, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    first, options = bench.build(), OPTIONS
    built, root = bench.world.builds, bench.machine.root
    if changed == "flags":
        options = replace(OPTIONS, level=5)
    elif changed == "power mode":
        put(root, "/var/lib/nvpmodel/status", "pmode:0000 fmode:quiet\n")
    elif changed == "SMs":
        fake_gpu.board.sms = 16
    elif changed == "module":
        put(root, "/proc/device-tree/compatible", "nvidia,p3701-0004\0")
    else:
        monkeypatch.setattr(importlib.import_module("tensorrt"), "__version__", "10.16.2")
    if changed != "flags":
        choice = choose(Bundle(bench.folder), "alignment", bench.machine)
        assert choice.plan is None
        assert choice.reason.startswith("nothing is built for TensorRT")
    second = bench.build(options)
    assert bench.world.builds == 2 * built
    plans = [r.parts["alignment"].candidates["fp16"].plan for r in (first, second)]
    assert plans[0] != plans[1]
    assert bench.store.read(second.place) == second


def test_a_changed_graph_is_built_again(bench: Bench) -> None:
    bench.build()

    def swap(manifest: Any) -> None:
        files = manifest["parts"]["alignment"]["files"]
        files["fp16"], files["int8"] = files["int8"], files["fp16"]

    edit(bench.folder, swap)
    choice = choose(Bundle(bench.folder), "alignment", bench.machine)
    assert choice == (None, "the bundle has changed since")
    bench.build()
    assert choose(Bundle(bench.folder), "alignment", bench.machine).plan is not None


def test_weak_typing_is_the_second_way_before_tensorrt_11(bench: Bench) -> None:
    bench.world.strong = False
    record = bench.build()
    assert record.parts["alignment"].candidates["fp16"].typing == "weak"


def test_no_weak_typing_where_the_version_has_none(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.world.strong = False
    monkeypatch.setattr(importlib.import_module("tensorrt"), "BuilderFlag", object)
    error = bench.build().parts["alignment"].candidates["fp16"].error
    assert error is not None
    assert "no tactic" in error
    assert "weakly" not in error


TRTEXEC = """#!/bin/sh
for argument in "$@"; do
  case "$argument" in
    --onnx=*) onnx="${argument#--onnx=}" ;;
    --saveEngine=*) plan="${argument#--saveEngine=}" ;;
  esac
done
printf '%s\\n' "$@" > "$0.arguments"
if [ -e "$0.fails" ]; then echo "[E] Error[9]: out of luck"; exit 1; fi
printf '{"tensorrt": "10.3.0", "onnx": "%s"}' "$onnx" > "$plan"
"""


def install_trtexec(bench: Bench) -> Path:
    program = put(bench.machine.root, "/usr/src/tensorrt/bin/trtexec", TRTEXEC)
    program.chmod(0o755)
    return program


def test_trtexec_is_the_last_way(bench: Bench) -> None:
    program = install_trtexec(bench)
    bench.world.strong = bench.world.weak = False
    record = bench.build()
    for part in record.parts.values():
        assert part.chosen is not None
        assert part.candidates["fp16"].builder == "trtexec"
    arguments = Path(f"{program}.arguments").read_text().splitlines()
    assert {"--stronglyTyped", "--skipInference", "--memPoolSize=workspace:512"} <= set(arguments)


def test_what_trtexec_says_is_told(bench: Bench) -> None:
    program = install_trtexec(bench)
    Path(f"{program}.fails").touch()
    bench.world.strong = bench.world.weak = False
    error = bench.build().parts["alignment"].candidates["fp16"].error or ""
    assert "out of luck" in error
    assert "python, strongly typed" in error


def test_a_cached_plan_that_does_not_load_is_built_again(bench: Bench) -> None:
    record = bench.build()
    plan = record.parts["alignment"].candidates["fp16"].plan
    assert plan is not None
    (bench.store.folder / plan).write_bytes(b"half")
    again = bench.build().parts["alignment"].candidates["fp16"]
    assert again.build_s is not None
    assert again.plan == plan


def test_the_session_takes_the_chosen_engine(bench: Bench) -> None:
    record = bench.build()
    chosen = record.parts["alignment"].candidates["int8"].plan
    assert chosen is not None
    choice = choose(Bundle(bench.folder), "alignment", bench.machine)
    assert choice.plan == bench.store.folder / chosen


def test_an_altered_plan_is_refused(bench: Bench) -> None:
    plan = bench.build().parts["alignment"].candidates["int8"].plan
    assert plan is not None
    (bench.store.folder / plan).write_bytes(b"other")
    with pytest.raises(BundleError, match="not the engine that was built"):
        choose(Bundle(bench.folder), "alignment", bench.machine)


def test_an_unreadable_record(bench: Bench) -> None:
    path = bench.store.record_path(bench.build().place)
    path.write_text(path.read_text().replace('"format": 1', '"format": 0'))
    with pytest.raises(BundleError, match=r"format 0.*xsd-edge build"):
        choose(Bundle(bench.folder), "alignment", bench.machine)
    bench.build()  # writes it anew
    assert choose(Bundle(bench.folder), "alignment", bench.machine).plan is not None


def test_interrupted_it_goes_on_where_it_was(bench: Bench) -> None:
    bench.world.interrupt_at = 4  # in the second part's second engine
    with pytest.raises(KeyboardInterrupt):
        bench.build()
    assert not [path for path in bench.store.folder.iterdir() if path.name.startswith(".")]
    assert choose(Bundle(bench.folder), "alignment", bench.machine).plan is not None
    assert choose(Bundle(bench.folder), "event_memory", bench.machine) == (None, "not built")
    bench.build()
    assert bench.world.builds == 5
    assert choose(Bundle(bench.folder), "event_memory", bench.machine).plan is not None


def test_timings_are_kept(bench: Bench) -> None:
    bench.build()
    (cache,) = bench.store.folder.glob("timing-*.cache")
    assert cache.read_bytes() == b"." * bench.world.builds


def test_a_bundle_for_a_cpu_needs_no_engines(fake_gpu: Any, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"needs no engines.*--target orin"):
        build(TINY_BUNDLE, Machine(tmp_path), OPTIONS, False, print)


def test_a_folder_that_cannot_be_written(bench: Bench) -> None:
    bench.store.folder.write_text("in the way")
    with pytest.raises(DeviceError, match="move the bundle"):
        bench.build()


def test_a_part_without_reference(bench: Bench) -> None:
    edit(bench.folder, lambda m: m["parts"]["alignment"].update(reference=None))
    with pytest.raises(BundleError, match="no reference outputs"):
        bench.build()


def test_open_engine_runs_what_was_built(bench: Bench, fake_gpu: Any) -> None:
    bundle, reference = Bundle(bench.folder), Bundle(TINY_BUNDLE)
    part = bundle.part("alignment")
    assert isinstance(open_engine(bundle, "alignment"), OnnxEngine)
    # The session looks at the machine itself; here that is one that is no Jetson.
    record = build(bench.folder, Machine(), OPTIONS, False, bench.said.append)
    assert record.place.module == "Orin"
    engine = open_engine(bundle, "alignment")
    assert isinstance(engine, TensorRtEngine)
    feeds = {"features": np.random.default_rng(0).normal(size=(1, 16, 24)).astype(np.float32)}
    found, expected = allocate(part.outputs), allocate(part.outputs)
    engine.run(feeds, found)
    chosen = record.parts["alignment"].chosen
    OnnxEngine(reference.graph("alignment", "int8" if chosen == "int8" else "fp32")).run(
        feeds, expected
    )
    np.testing.assert_allclose(found["aligned"], expected["aligned"], rtol=1e-5)
    engine.close()


def test_a_run_without_engines_says_so(bench: Bench) -> None:
    said = missing_engines(Bundle(bench.folder))
    assert said is not None
    assert "alignment, event_memory" in said
    assert f"xsd-edge build {bench.folder}" in said
    build(bench.folder, Machine(), OPTIONS, False, bench.said.append)
    assert missing_engines(Bundle(bench.folder)) is None
    assert missing_engines(Bundle(TINY_BUNDLE)) is None
