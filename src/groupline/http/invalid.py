"""A request that does not have the shape it should have, said to whoever wrote it.

The validator knows each mistake by a type; what it says of it is meant for programmers.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from groupline.errors import (
    GrouplineError,
    InvalidInput,
    MalformedRequest,
    NotFound,
    UnsupportedBody,
)

SCHEMAS: Final = frozenset(
    "bool datetime default dict enum float function-before int list literal model model-field"
    " model-fields nullable str time uuid".split()
)
"""What routes take. Another kind makes mistakes of other types: they need their words below."""

_WHOLE: Final = "must be a whole number"
_NUMBER: Final = "must be a number"
_BOOLEAN: Final = "must be true or false"
_ID: Final = "is not a valid id"
_MOMENT: Final = "must be a date and time, like 2026-03-29T18:30:00+02:00"
_TIME_OF_DAY: Final = "must be a time of day, like 18:30"
_OBJECT: Final = "must be a JSON object"
_EMPTY: Final = "must not be empty"
_UNCLEAR: Final = "is not valid"
_WORDS: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "extra_forbidden": "is not a known field",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "bool_type": _BOOLEAN,
    "bool_parsing": _BOOLEAN,
    "uuid_type": _ID,
    "uuid_parsing": _ID,
    "datetime_type": _MOMENT,
    "datetime_parsing": _MOMENT,
    "datetime_from_date_parsing": _MOMENT,
    "datetime_object_invalid": _MOMENT,
    "time_type": _TIME_OF_DAY,
    "time_parsing": _TIME_OF_DAY,
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "string_type": "must be a text",
    "string_unicode": "contains characters that cannot be stored",
    "string_too_short": "needs at least {min_length} characters",
    "string_too_long": "takes at most {max_length} characters",
    "list_type": "must be a list",
    "too_short": "needs at least {min_length}",
    "too_long": "takes at most {max_length}",
    "dict_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
}
_ON_PAGES: Final[Mapping[str, str]] = {"q": "The search"}
"""What pages call a field whose name means nothing to people."""
_PLACES: Final = frozenset({"body", "query", "path", "header", "cookie"})


def from_validation(
    errors: Sequence[Any], *, changes: bool = True, for_people: bool = False
) -> GrouplineError:
    """The validator's findings, by the name of the field as the caller wrote it, or as people see
    it. ``changes``: the request would have changed something."""
    if any(error["type"] == "json_invalid" for error in errors):
        return MalformedRequest("The body is not valid JSON.")
    if any(_is_unread(error) for error in errors):
        return UnsupportedBody("The body is read as JSON, if Content-Type says application/json.")
    if any(error["loc"][:1] == ("path",) and error["type"] == "uuid_parsing" for error in errors):
        return NotFound("There is nothing at this address.")  # what no id can be is nobody's
    fields: dict[str, str] = {}
    for error in errors:
        fields.setdefault(_name(error["loc"]), _why(error))
    names = _ON_PAGES if for_people else {}
    said = "; ".join(f"{names.get(name, _spoken(name))} {why}" for name, why in fields.items())
    return InvalidInput(f"Nothing was saved: {said}." if changes else f"{said}.", fields=fields)


def _is_unread(error: Mapping[str, Any]) -> bool:
    """The body came as it was sent: nothing said that it is JSON."""
    return tuple(error["loc"]) == ("body",) and isinstance(error.get("input"), bytes)


def _name(place: Sequence[str | int]) -> str:
    path = place[1:] if place and place[0] in _PLACES else place
    if place[:1] == ("query",):
        path = path[:1]  # one that may be said several times has a single name
    return ".".join(map(str, path)) or "body"


def _spoken(name: str) -> str:
    return "the body" if name == "body" else name


def _why(error: Mapping[str, Any]) -> str:
    facts = error.get("ctx", {})
    if facts.get("min_length") == 1:
        return _EMPTY
    return _WORDS.get(error["type"], _UNCLEAR).format_map(facts)
