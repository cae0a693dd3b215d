"""Recipe, board and calibration files: where they lie, and how a table becomes a dataclass."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import MappingProxyType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from xsd_edge.errors import RecipeError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")


def find(folder: str, spec: str) -> Path:
    """The TOML file that `spec` means: a path to an existing file, or a name in `folder`.

    Raises:
        RecipeError: neither; the message lists the known names.
    """
    if Path(spec).is_file():
        return Path(spec)
    known = named(folder)
    if spec in known:
        return known[spec]
    if spec.endswith(".toml") or "/" in spec:
        raise RecipeError(f"{spec} does not exist; give a TOML file or one of: {', '.join(known)}")
    raise RecipeError(f"{folder} has no {spec!r}; known: {', '.join(known)}, or a path to a file")


def named(folder: str) -> dict[str, Path]:
    """Every name in `folder`: the working directory's files win over the shipped ones."""
    package = Path(__file__).parent
    places = [package / "_data" / folder, Path(folder)]
    if (package.parent / "pyproject.toml").is_file():  # the checkout that the package lies in
        places.insert(1, package.parent / folder)
    return {path.stem: path for place in places for path in sorted(place.glob("*.toml"))}


def read(path: Path) -> dict[str, Any]:
    """Parse one file.

    Raises:
        RecipeError: the file cannot be read, or is not TOML in UTF-8.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not valid TOML: {error}") from error


def load(
    kind: type[T],
    path: Path,
    completing: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = MappingProxyType({}),
) -> T:
    """Read a file into a dataclass; a field `folder: Path` is where the file lies, not a key.

    `completing` writes out the named tables before they are checked.

    Raises:
        RecipeError: as `read` and `fill`.
    """
    assert is_dataclass(kind)
    table = read(path)
    if "folder" in table:
        raise RecipeError(f"{path}: unknown key folder")
    for name, complete in completing.items():
        if isinstance(table.get(name), dict):
            try:
                table[name] = complete(table[name])
            except ValueError as error:
                raise RecipeError(f"{path}: {name}: {error}") from error
    placed = {"folder": path.parent} if "folder" in get_type_hints(kind) else {}
    return fill(kind, {**table, **placed}, path)


def fill(kind: type[T], table: Mapping[str, Any], path: Path, where: str = "") -> T:
    """Make a dataclass of a table, strictly: each key known, present or defaulted, of its type.

    Raises:
        RecipeError: names the file and the key; a ValueError of the dataclass's own checks too.
    """
    assert is_dataclass(kind)
    hints = get_type_hints(kind)
    dotted = f"{where}." if where else ""
    for key in table:
        if key not in hints:
            known = ", ".join(name for name, hint in hints.items() if hint is not Path)
            raise RecipeError(f"{path}: unknown key {dotted}{key}; known: {known}")
    for field in fields(kind):
        optional = field.default is not MISSING or field.default_factory is not MISSING
        if field.name not in table and not optional:
            raise RecipeError(f"{path}: {dotted}{field.name} is missing")
    values = {key: _convert(value, hints[key], path, dotted + key) for key, value in table.items()}
    try:
        return kind(**values)
    except ValueError as error:
        raise RecipeError(f"{path}: {where or 'file'}: {error}") from error


def _convert(value: Any, hint: Any, path: Path, where: str) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (UnionType, Union):  # X | None: a key that is left out means None
        return _convert(value, inner[0], path, where)
    if origin is tuple and isinstance(value, (list, tuple)):
        kinds = [inner[0]] * len(value) if inner[-1] is Ellipsis else list(inner)
        if len(kinds) == len(value):
            pairs = enumerate(zip(value, kinds, strict=True))
            return tuple(_convert(v, k, path, f"{where}[{i}]") for i, (v, k) in pairs)
    if origin is dict and isinstance(value, dict):
        return {k: _convert(v, inner[1], path, f"{where}.{k}") for k, v in value.items()}
    if is_dataclass(hint) and isinstance(value, dict):
        return fill(hint, value, path, where)  # type: ignore[arg-type]  # a dataclass type, not an instance
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is hint or (hint is Path and isinstance(value, Path)):
        return value
    raise RecipeError(f"{path}: {where} must be {_described(hint)}, not {value!r}")


def _described(hint: Any) -> str:
    if is_dataclass(hint):
        return "a table"
    return str(hint).replace("typing.", "") if get_origin(hint) else hint.__name__
