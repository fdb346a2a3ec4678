"""Patterns of ``like`` and ``ilike``: ``*`` is any run of characters, ``?`` is one."""


def like(pattern: str, text: str) -> bool:
    """Whether ``text`` has the form of ``pattern``, from its beginning to its end.

    Linear in memory and never worse than len(pattern) * len(text) steps, whatever the pattern.
    """
    at = seen = 0
    star = -1
    retry = 0
    while seen < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, retry = at, seen
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", text[seen]):
            at += 1
            seen += 1
        elif star >= 0:
            retry += 1
            at, seen = star + 1, retry
        else:
            return False
    return all(character == "*" for character in pattern[at:])


def fold(text: str) -> str:
    """``text`` as ``ilike`` compares it: case is taken away, character by character.

    Its length stays the same, so that ``?`` still stands for one character: ``ß`` is not ``ss``.
    """
    return text.lower() if text.isascii() else "".join(map(_fold, text))


def _fold(character: str) -> str:
    upper = character.upper()
    if len(upper) != 1:
        upper = character
    lower = upper.lower()
    return lower if len(lower) == 1 else upper
