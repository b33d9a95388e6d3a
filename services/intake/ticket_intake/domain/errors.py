"""What a message can be refused for."""

from __future__ import annotations


class NotUnderstood(ValueError):
    """An authentic message that cannot become a ticket. path: where in the message. why: what is wrong and how to mend
    it; it holds no text of the ticket."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


_CODE_LENGTH = 40


def code(value: object) -> str:
    """A value as an error may name it: a short code as it is, anything that could be people's text by its kind."""
    if value is None or isinstance(value, bool | int | float):
        return repr(value)[:_CODE_LENGTH]
    if isinstance(value, str):
        if len(value) <= _CODE_LENGTH and all(c.isalnum() or c in " _-.:/" for c in value):
            return repr(value)
        return f"a text of {len(value)} characters"
    return "a list" if isinstance(value, list) else "an object"
