"""The message of another library's error as one line of whole sentences.

Keras wraps its messages over several lines and adds configs and examples to them. This file decides
which part is told.
"""

import re

LONGEST = 500

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# What comes after one of these is an example, a dump of arguments, or a whole config.
_TAIL = re.compile(
    r"(?:Full object config:|Arguments received by|Example:|config=\{|Received: config=).*", re.S
)
_WRAPPED = re.compile(r"(?:Exception|Error) encountered:\s+")
_DUMP = re.compile(r"\{[^{}]{80,}\}")
# How lines start that say where an error rose and not what it was.
_FRAME = re.compile(
    r"(?:in user code:|Exception encountered when calling|Graph execution error|Detected at node"
    r"|<stack traces unavailable>|Stack trace for op definition|File \")"
)


def one_line(text: str) -> str:
    """Return the telling part of a message on one line, cut at the end of a sentence alone.

    Args:
        text: Of an exception; may have several paragraphs.

    Returns:
        The first paragraph that says something, in whole sentences, of about `LONGEST` characters
        at most; "" where there is none.
    """
    plain = _COLOURS.sub("", text)
    # "Error when deserializing class 'A' using config={...}. Exception encountered: ..."
    *_, told = _WRAPPED.split(plain)
    whole = _DUMP.sub("{...}", _TAIL.sub("", told if told.strip() else plain))
    # What ends with a colon goes on behind the empty line.
    paragraphs = [_first_sentences(part) for part in re.split(r"(?<!:)\n\s*\n", whole)]
    return _whole_sentences(next(filter(None, paragraphs), ""))


def _first_sentences(paragraph: str) -> str:
    """Return its lines up to the first that ends a sentence; others go on in the next one."""
    told: list[str] = []
    lines = iter([" ".join(line.split()) for line in paragraph.splitlines() if line.strip()])
    for line in lines:
        if _FRAME.match(line):
            if line.startswith("File "):
                next(lines, None)  # the code that stands there
            continue
        told.append(line)
        if line[-1] in ".!?":
            break
    return " ".join(told)


def _whole_sentences(text: str) -> str:
    if text.endswith(":") and ". " in text:  # what it announced is left out
        text = text[: text.rindex(". ") + 1]
    if len(text) <= LONGEST:
        return text
    ends = [found.end() for found in re.finditer(r"[.!?](?=\s)", text)]
    fitting = [end for end in ends if end <= LONGEST]
    # A sentence that is longer than that stays whole.
    return text[: fitting[-1]] if fitting else text[: ends[0]] if ends else text
