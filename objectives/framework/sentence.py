"""Shorten another library's error message to one line.

Keras wraps its messages over several lines and adds configs and examples.
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
# Starts of lines that say where an error was raised, not what it was.
_FRAME = re.compile(
    r"(?:in user code:|Exception encountered when calling|Graph execution error|Detected at node"
    r"|<stack traces unavailable>|Stack trace for op definition|File \")"
)


def one_line(text: str) -> str:
    """Return the first paragraph with content of an error message, on one line.

    It is cut at the end of a sentence, after about `LONGEST` characters; "" without content.
    """
    plain = _COLOURS.sub("", text)
    # "Error when deserializing class 'A' using config={...}. Exception encountered: ..."
    *_, inner = _WRAPPED.split(plain)
    whole = _DUMP.sub("{...}", _TAIL.sub("", inner if inner.strip() else plain))
    # A paragraph that ends with a colon continues after the empty line.
    paragraphs = map(_first_sentences, re.split(r"(?<!:)\n\s*\n", whole))
    return _whole_sentences(next(filter(None, paragraphs), ""))


def _first_sentences(paragraph: str) -> str:
    """Return the lines of a paragraph up to the first that ends a sentence."""
    kept: list[str] = []
    lines = iter([" ".join(line.split()) for line in paragraph.splitlines() if line.strip()])
    for line in lines:
        if _FRAME.match(line):
            if line.startswith("File "):
                next(lines, None)  # the source line
            continue
        kept.append(line)
        if line[-1] in ".!?":
            break
    return " ".join(kept)


def _whole_sentences(text: str) -> str:
    if text.endswith(":") and ". " in text:  # drop a sentence that announces a missing part
        text = text[: text.rindex(". ") + 1]
    if len(text) <= LONGEST:
        return text
    ends = [found.end() for found in re.finditer(r"[.!?](?=\s)", text)]
    fitting = [end for end in ends if end <= LONGEST]
    # A longer first sentence stays whole.
    return text[: fitting[-1]] if fitting else text[: ends[0]] if ends else text
