"""Patterns of ``like`` and ``ilike``: ``*`` is any run of characters, ``?`` is one."""


def like(pattern: str, text: str) -> bool:
    """Whether ``text`` has the form of ``pattern``, from its beginning to its end.

    What stands between stars is looked for once each, from left to right: no pattern makes it slow.
    """
    first, *others = pattern.split("*")
    if not others:
        return len(text) == len(pattern) and _find(first, text, 0, len(text)) == 0
    last = others.pop()
    at, end = len(first), len(text) - len(last)
    if at > end or _find(first, text, 0, at) != 0 or _find(last, text, end, len(text)) != end:
        return False
    for part in others:
        found = _find(part, text, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def _find(part: str, text: str, start: int, end: int) -> int:
    """Where ``part``, without a star in it, is first in ``text[start:end]``; -1 if it is nowhere.

    With question marks all places are tried at once, a bit each (shift-and).
    """
    if "?" not in part:
        return text.find(part, start, end)
    anything = sum(1 << at for at, character in enumerate(part) if character == "?")
    fits: dict[str, int] = {}
    for at, character in enumerate(part):
        if character != "?":
            fits[character] = fits.get(character, anything) | 1 << at
    begun, whole = 0, 1 << len(part) - 1
    for at in range(start, end):
        begun = (begun << 1 | 1) & fits.get(text[at], anything)
        if begun & whole:
            return at - len(part) + 1
    return -1


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
