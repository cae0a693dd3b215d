"""What each token of a caption says: a shape, a colour, a motion, something that stands still."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from tokenizers import Tokenizer

from xsd_edge.world.captions import JOINTS, words
from xsd_edge.world.spec import SHAPES
from xsd_edge.world.things import COLOURS, DIRECTIONS, SIZES, SPEEDS

# "still": whatever is said of a thing that does not move in the clip, which no event shows.
KINDS: Final = ("motion", "shape", "size", "colour", "still", "function")
_SAYS: Final = {
    **dict.fromkeys(words(" ".join((*DIRECTIONS, *SPEEDS))), "motion"),
    **dict.fromkeys(("moves", "then", "stops", "stays", "still"), "motion"),
    **dict.fromkeys(SHAPES, "shape"),
    **dict.fromkeys(SIZES, "size"),
    **dict.fromkeys(COLOURS, "colour"),
}
_STANDS: Final = "stays still"


def kinds_of_words(caption: str) -> list[str]:
    """The kind of each character of a caption; what stands between words is "function"."""
    kinds = ["function"] * len(caption)
    start = 0
    for clause in (*JOINTS.finditer(caption), None):
        end = clause.start() if clause else len(caption)
        part = caption[start:end]
        stands = _STANDS in part and "moves" not in part
        for word in re.finditer("[A-Za-z]+", part):
            kind = _SAYS.get(word[0].lower(), "function")
            if stands and kind != "function":
                kind = "still"
            span = slice(start + word.start(), start + word.end())
            kinds[span] = [kind] * len(word[0])
        start = clause.end() if clause else end
    return kinds


def kinds_of_tokens(tokens: Sequence[int], tokenizer: Tokenizer) -> list[str]:
    """The kind of each token: that of its first letter; without letters it is "function"."""
    ends = [len(tokenizer.decode(list(tokens[: i + 1]))) for i in range(len(tokens))]
    caption = tokenizer.decode(list(tokens))
    kinds = kinds_of_words(caption)
    found = []
    for start, end in zip([0, *ends], ends, strict=False):
        letters = [i for i in range(start, min(end, len(caption))) if caption[i].isalpha()]
        found.append(kinds[letters[0]] if letters else "function")
    return found
