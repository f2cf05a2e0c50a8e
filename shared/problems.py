"""What is wrong with a document, in one line for people."""

from typing import Final

from pydantic import ValidationError

_LONGEST_DETAIL: Final = 300


def first_problem(error: ValidationError, whole: str) -> str:
    """Return where a document is wrong first and how, without its values; ``whole`` names the document."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or whole
    line = " ".join(f"{where}: {first['msg'].removeprefix('Value error, ')}".split())[:_LONGEST_DETAIL]
    return line + (f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else "")
