"""What a caller wrote wrongly is said in words, by the name of its place."""

from datetime import datetime, time
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from annotated_types import Ge, Le, MaxLen, MinLen
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from groupline.api import API_ROUTERS, ROOT_ROUTERS
from groupline.errors import InvalidInput, MalformedRequest, NotFound
from groupline.http.invalid import SCHEMAS, from_validation
from groupline.http.schemas import Moment
from groupline.web import WEB_ROUTERS


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    groups: list[UUID] = []


def findings(kind: Any, value: Any, *place: str | int) -> list[Any]:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    return [{**each, "loc": (*place, *each["loc"])} for each in caught.value.errors()]


def refused(kind: Any, value: Any, *place: str | int, changes: bool = False) -> InvalidInput:
    error = from_validation(findings(kind, value, *place), changes=changes)
    assert isinstance(error, InvalidInput)
    return error


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        (int, "ten", "must be a whole number"),
        (int, None, "must be a whole number"),
        (int, 1.5, "must be a whole number"),
        (int, "9" * 5_000, "must be a whole number"),
        (Annotated[int, Ge(1), Le(500)], "0", "must be at least 1"),
        (Annotated[int, Ge(1), Le(500)], "501", "must be at most 500"),
        (float, "much", "must be a number"),
        (float, [], "must be a number"),
        (bool, "perhaps", "must be true or false"),
        (bool, [], "must be true or false"),
        (UUID, "17", "is not a valid id"),
        (UUID, 17, "is not a valid id"),
        (datetime, "tomorrow", "must be a date and time, like 2026-03-29T18:30:00+02:00"),
        (datetime, [], "must be a date and time, like 2026-03-29T18:30:00+02:00"),
        (Moment, "2026-03-29", "must be a date and time, like 2026-03-29T18:30:00+02:00"),
        (Moment, 1_796_000_000, "must be a date and time, like 2026-03-29T18:30:00+02:00"),
        (time, "noon", "must be a time of day, like 18:30"),
        (time, [], "must be a time of day, like 18:30"),
        (Literal["a", "b"], "c", "must be 'a' or 'b'"),
        (Colour, "green", "must be 'red' or 'blue'"),
        (str, 7, "must be a text"),
        (str, b"\xff", "contains characters that cannot be stored"),
        (Annotated[str, MinLen(1)], "", "must not be empty"),
        (Annotated[str, MinLen(8)], "short", "needs at least 8 characters"),
        (Annotated[str, MaxLen(3)], "long", "takes at most 3 characters"),
        (list[int], "1", "must be a list"),
        (Annotated[list[int], MinLen(1)], [], "must not be empty"),
        (Annotated[list[int], MaxLen(1)], [1, 2], "takes at most 1"),
        (dict[str, int], 1, "must be a JSON object"),
        (Body, 1, "must be a JSON object"),
    ],
)
def test_each_mistake_is_said_in_plain_words(kind: Any, value: Any, why: str) -> None:
    error = refused(kind, value, "query", "limit")
    assert error.fields == {"limit": why}
    assert error.detail == f"limit {why}."


def test_nothing_was_saved_is_said_of_what_would_have_saved_something() -> None:
    error = refused(Body, {"groups": ["x"], "colour": 1}, "body", changes=True)
    fields = {
        "name": "is missing",
        "groups.0": "is not a valid id",
        "colour": "is not a known field",
    }
    assert error.fields == fields
    said = "; ".join(f"{name} {why}" for name, why in fields.items())
    assert error.detail == f"Nothing was saved: {said}."


def test_a_body_that_is_none_is_said_of_the_body() -> None:
    assert refused(Body, None, "body", changes=True).detail == (
        "Nothing was saved: the body must be a JSON object."
    )


def test_what_is_no_json_is_no_question_of_fields() -> None:
    error = from_validation([{"type": "json_invalid", "loc": ("body", 1), "msg": "x"}])
    assert isinstance(error, MalformedRequest)


def schema_types(schema: Any) -> set[str]:
    """Every kind of schema in it; what is only for writing an answer is left out."""
    if isinstance(schema, list | tuple):
        return set().union(*map(schema_types, schema))
    if not isinstance(schema, dict):
        return set()
    own = {schema["type"]} if isinstance(schema.get("type"), str) else set()
    parts = (
        part
        for name, part in schema.items()
        if name not in ("metadata", "serialization", "function")
    )
    return own.union(*map(schema_types, parts))


def dependant_types(dependant: Any) -> set[str]:
    parameters = (
        *dependant.query_params,
        *dependant.path_params,
        *dependant.header_params,
        *dependant.cookie_params,
        *dependant.body_params,
    )
    own = [schema_types(each._type_adapter.core_schema) for each in parameters]
    return set().union(*own, *map(dependant_types, dependant.dependencies))


def test_whatever_a_route_takes_has_its_words() -> None:
    routers: list[APIRouter] = [*API_ROUTERS, *ROOT_ROUTERS, *WEB_ROUTERS]
    routes = [route for router in routers for route in router.routes]
    used = set().union(*(dependant_types(getattr(route, "dependant")) for route in routes))  # noqa: B009
    assert {"int", "uuid", "datetime"} <= used <= SCHEMAS


def test_an_address_with_what_no_id_can_be_is_nobodys() -> None:
    """Ids are opaque: whoever asks for one that is unknown hears the same of any."""
    error = from_validation(findings(UUID, "17", "path", "message_id"))
    assert isinstance(error, NotFound)
