"""Quoting: what a file says, fit for a message: one line, nothing that a terminal obeys."""

from __future__ import annotations

from typing import Final

LONGEST: Final = 200  # characters


def quoted(said: object) -> str:
    """`said` as text: white space becomes single spaces, what cannot be printed is escaped."""
    text = " ".join(str(said).split())[:LONGEST]
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
