"""Show names that a user gave, of classes and files, in figures and messages."""

_JOINERS = "\u200c\u200d"  # parts of Persian words and of emoji
LONGEST = 30  # characters of a name in a figure


def shown(name: str, longest: int = LONGEST) -> str:
    """Return a name that can be drawn, printed and stored as UTF-8.

    Bytes of a file name that are no text, control characters and line breaks become escapes, as in Python. Too long
    names lose their middle.

    Args:
        name: any text.
        longest: the most characters to keep.
    """
    text = "".join(letter if letter.isprintable() or letter in _JOINERS else _escaped(letter) for letter in name)
    if len(text) <= longest:
        return text
    end = (longest - 1) // 3
    return f"{text[: longest - 1 - end]}\N{HORIZONTAL ELLIPSIS}{text[-end:]}"


def _escaped(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # how Python decodes a byte that is no text (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode("ascii")
