"""A parameter of the address that no route knows is refused, as a field of a body is.

Somebody who writes ``?state=failed`` for ``?status=failed`` would get all messages and not see why.
"""

from collections.abc import Iterator

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from groupline.errors import InvalidInput


def only_known_parameters(request: Request) -> None:
    """For ``dependencies=`` of a router: compares the query with what the route declares."""
    route = request.scope.get("route")
    if not request.query_params or not isinstance(route, APIRoute):
        return
    known = set(_declared(route.dependant))
    unknown = [name for name in dict.fromkeys(request.query_params) if name not in known]
    if not unknown:
        return
    listed = ", ".join(sorted(known))
    raise InvalidInput(
        f"There is no parameter {', '.join(unknown)} here.",
        fields=dict.fromkeys(unknown, "is not a parameter of this address"),
        hint=f"It takes {listed}." if known else "It takes no parameters.",
    )


def _declared(dependant: Dependant) -> Iterator[str]:
    for parameter in dependant.query_params:
        yield parameter.alias
    for needed in dependant.dependencies:
        yield from _declared(needed)
