"""The bundle: what is written is what is read, and nothing else is believed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from xsd_edge.bundle import (
    FORMAT,
    MANIFEST,
    Bundle,
    ClipInfo,
    DrafterInfo,
    FileEntry,
    Manifest,
    Part,
    TargetInfo,
    TensorSpec,
)
from xsd_edge.bundle_writer import BundleWriter
from xsd_edge.errors import BundleError


def filled(writer: BundleWriter, content: bytes = b"graph") -> Manifest:
    """A small manifest whose files `writer` has."""
    for relative, what in (
        ("encoder.onnx", content),
        ("encoder.onnx.data", b"weights"),
        ("reference/encoder.npz", b"arrays"),
        ("tokenizer.json", b"{}"),
    ):
        writer.path(relative).write_bytes(what)
    encoder = Part(
        name="event_encoder",
        files={"fp32": writer.entry("encoder.onnx")},
        default="fp32",
        inputs=(TensorSpec("events", "float32", (1, 10, 64, 64)),),
        outputs=(TensorSpec("features", "float32", (1, "cells", 192)),),
        opset=20,
        reference=writer.entry("reference/encoder.npz"),
        tolerance={"fp32": 0.999},
        attachments=(writer.entry("encoder.onnx.data"),),
    )
    return Manifest(
        format=FORMAT,
        recipe="demo",
        board="cpu",
        parts={"event_encoder": encoder},
        files={"tokenizer": writer.entry("tokenizer.json")},
        prompt="USER: <video>\n{question} ASSISTANT:",
        target=TargetInfo(30, 3, 64, 576, 49152, 1024, (2,), (15, 16), "float32"),
        clip=ClipInfo(8, 64, 17, 10**6, (0.5,) * 3, (0.5,) * 3, "bilinear", 64, 5),
        drafter=DrafterInfo(384, 6, 64, 256, 8),
        provenance={"tool": "test"},
    )


def write(folder: Path, content: bytes = b"graph") -> Manifest:
    with BundleWriter(folder) as writer:
        manifest = filled(writer, content)
        writer.commit(manifest)
    return manifest


def altered(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Rewrite the manifest of a finished bundle."""
    path = folder / MANIFEST
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle on disk."""
    write(tmp_path / "bundle")
    return tmp_path / "bundle"


def test_round_trip(tmp_path: Path) -> None:
    manifest = write(tmp_path / "bundle")
    bundle = Bundle(tmp_path / "bundle")
    assert bundle.manifest == manifest
    bundle.check_all()
    assert bundle.graph("event_encoder").read_bytes() == b"graph"
    assert bundle.named("tokenizer").read_bytes() == b"{}"
    assert os.listdir(tmp_path) == ["bundle"]


def test_the_same_content_gives_the_same_manifest(tmp_path: Path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b")
    assert (tmp_path / "a" / MANIFEST).read_bytes() == (tmp_path / "b" / MANIFEST).read_bytes()


def test_no_bundle_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="xsd-edge export"):
        Bundle(tmp_path)


@pytest.mark.parametrize("relative", ["encoder.onnx", "encoder.onnx.data"])
@pytest.mark.parametrize("damage", [b"GRAPHxx", b"grapf", b""])
def test_a_changed_file_is_not_opened(folder: Path, relative: str, damage: bytes) -> None:
    (folder / relative).write_bytes(damage)
    with pytest.raises(BundleError, match="is not the file that was exported"):
        Bundle(folder).graph("event_encoder")


def test_a_file_that_is_gone(folder: Path) -> None:
    (folder / "encoder.onnx").unlink()
    with pytest.raises(BundleError, match="is missing"):
        Bundle(folder).graph("event_encoder")


def test_check_all_reaches_every_file(folder: Path) -> None:
    files = [p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST]
    assert len(files) == 4
    for path in files:
        before = path.read_bytes()
        path.write_bytes(before + b"!")
        with pytest.raises(BundleError, match=path.name):
            Bundle(folder).check_all()
        path.write_bytes(before)


@pytest.mark.parametrize("name", ["/etc/passwd", "../outside", "a/../../outside", "..\\outside"])
def test_a_path_that_leaves_the_bundle(folder: Path, name: str) -> None:
    outside = folder.parent / "outside"
    outside.write_bytes(b"{}")

    def escape(raw: dict[str, Any]) -> None:
        raw["files"]["tokenizer"]["path"] = name

    altered(folder, escape)
    with pytest.raises(BundleError, match=r"outside the bundle|leads outside"):
        Bundle(folder).named("tokenizer")


@pytest.mark.parametrize("link", ["tokenizer.json", "reference"])
def test_a_symlink_that_leaves_the_bundle(folder: Path, link: str) -> None:
    """Same bytes, so only the way there tells."""
    outside = folder.parent / "outside"
    (folder / link).rename(outside)
    (folder / link).symlink_to(outside)
    with pytest.raises(BundleError, match="leads outside"):
        Bundle(folder).check_all()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda raw: raw.update(format=99), "has format 99"),
        (lambda raw: raw.pop("format"), "has format None"),
        (
            lambda raw: raw["parts"]["event_encoder"].update(backend="abacus"),
            "back-end 'abacus'",
        ),
        (lambda raw: raw.pop("prompt"), "incomplete"),
        (lambda raw: raw.update(surprise=1), "incomplete"),
        (lambda raw: raw["clip"].pop("frames"), "incomplete"),
        (lambda raw: raw["target"].update(surprise=1), "incomplete"),
        (lambda raw: raw["parts"]["event_encoder"].pop("reference"), "incomplete"),
        (lambda raw: raw["parts"]["event_encoder"]["files"]["fp32"].pop("sha256"), "incomplete"),
        (lambda raw: raw.update(parts=[]), "incomplete"),
    ],
)
def test_a_manifest_we_cannot_follow(
    folder: Path, change: Callable[[dict[str, Any]], None], complaint: str
) -> None:
    altered(folder, change)
    with pytest.raises(BundleError, match=complaint):
        Bundle(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"format": 1}', b"\xff\xfe{}"])
def test_a_manifest_that_is_none(folder: Path, content: bytes) -> None:
    (folder / MANIFEST).write_bytes(content)
    with pytest.raises(BundleError, match="export the bundle again"):
        Bundle(folder)


def test_names_that_are_not_there(folder: Path) -> None:
    bundle = Bundle(folder)
    with pytest.raises(BundleError, match="no part 'vision'"):
        bundle.part("vision")
    with pytest.raises(BundleError, match="no int8 graph; it has fp32"):
        bundle.graph("event_encoder", "int8")
    with pytest.raises(BundleError, match="has no embedding"):
        bundle.named("embedding")


def cut_short(written: Manifest) -> None:
    """An export that fails when all files are there but the commit has not begun."""
    raise ZeroDivisionError(written.recipe)


def test_nothing_has_the_real_name_before_the_commit(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "bundle") as writer:
        filled(writer)
        assert not (tmp_path / "bundle").exists()


def test_a_failed_export_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), BundleWriter(tmp_path / "bundle") as writer:
        cut_short(filled(writer))
    assert os.listdir(tmp_path) == []


def test_a_failed_export_keeps_the_old_bundle(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError), BundleWriter(folder) as writer:
        cut_short(filled(writer, b"newer"))
    Bundle(folder).check_all()
    assert os.listdir(folder.parent) == ["bundle"]


def test_a_new_bundle_takes_the_old_ones_place(folder: Path) -> None:
    write(folder, b"newer")
    assert Bundle(folder).graph("event_encoder").read_bytes() == b"newer"
    assert os.listdir(folder.parent) == ["bundle"]


def test_a_manifest_that_does_not_fit_its_files_is_not_committed(folder: Path) -> None:
    wrong = FileEntry("tokenizer.json", "0" * 64, 2)
    with BundleWriter(folder) as writer, pytest.raises(BundleError, match="sha256 differs"):
        writer.commit(replace(filled(writer, b"newer"), files={"tokenizer": wrong}))
    assert Bundle(folder).graph("event_encoder").read_bytes() == b"graph"


def test_someone_elses_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "draft.tex").touch()
    with pytest.raises(BundleError, match="not a bundle; choose another"):
        BundleWriter(tmp_path / "thesis")
    assert os.listdir(tmp_path) == ["thesis"]


def test_a_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(BundleError, match="choose another"):
        BundleWriter(tmp_path / "notes")


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    write(tmp_path / "bundle")
    Bundle(tmp_path / "bundle").check_all()


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.test_bundle import filled
from xsd_edge.bundle_writer import BundleWriter

left = int(sys.argv[2])
def watch(event, arguments):
    global left
    if event.partition(".")[0] in ("open", "os", "shutil", "tempfile", "ctypes", "fcntl"):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), getattr(signal, sys.argv[3]))
sys.addaudithook(watch)

with BundleWriter(Path(sys.argv[1])) as writer:
    writer.commit(filled(writer, b"newer"))
print(left)
"""
FAR = 1000  # more file-system calls than a writer makes


def killed(folder: Path, calls: int, sign: str) -> subprocess.CompletedProcess[bytes]:
    """A writer that is sent a signal at its n-th call that touches the file system."""
    arguments = [sys.executable, "-c", KILLED, str(folder), str(calls), sign]
    return subprocess.run(arguments, cwd=ROOT, capture_output=True, check=False)


@pytest.mark.parametrize("sign", ["SIGKILL", "SIGINT"])
def test_killed_anywhere_a_whole_bundle_stands(folder: Path, sign: str) -> None:
    """The old bundle or the new one is in place, complete; the next writer tidies up."""
    total = FAR - int(killed(folder, FAR, sign).stdout)
    assert total > 15
    for calls in range(1, total + 1, 3):
        write(folder, b"graph")
        done = killed(folder, calls, sign)
        assert done.returncode == -signal.Signals[sign], done.stderr.decode()
        Bundle(folder).check_all()
        assert Bundle(folder).graph("event_encoder").read_bytes() in (b"graph", b"newer")
        write(folder, b"newer still")
        assert os.listdir(folder.parent) == ["bundle"]


def test_a_writer_that_is_alive_is_left_alone(folder: Path) -> None:
    with BundleWriter(folder) as first:
        filled(first)
        with BundleWriter(folder) as second:
            second.commit(filled(second, b"newer"))
        assert first.path("tokenizer.json").is_file()
    assert os.listdir(folder.parent) == ["bundle"]
