"""Errors that a user can mend."""

from __future__ import annotations

import pytest

from xsd_edge import errors
from xsd_edge.runtime.options import OptionError


def kinds() -> list[type[errors.XsdEdgeError]]:
    found: list[type[errors.XsdEdgeError]] = [OptionError]
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, errors.XsdEdgeError):
            found.append(value)
    return found


@pytest.mark.parametrize("kind", kinds())
def test_exit_codes_are_small_and_not_the_shells(kind: type[errors.XsdEdgeError]) -> None:
    assert 1 <= kind.exit_code < 126  # 126 and up are the shell's and signals'


@pytest.mark.parametrize("kind", [k for k in kinds() if k.__module__ == "xsd_edge.errors"])
def test_the_tree_in_the_docstring_is_complete(kind: type[errors.XsdEdgeError]) -> None:
    assert kind.__name__ in (errors.__doc__ or "")


def test_a_missing_extra_names_the_command() -> None:
    error = errors.ExtraMissingError("reading .h5", "h5")
    assert str(error) == 'reading .h5 needs an extra: pip install "xsd-edge[h5]"'
