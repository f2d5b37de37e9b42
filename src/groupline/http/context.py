"""How a route gets at the parts of this process."""

from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from groupline.runtime import Runtime


def runtime_of(connection: HTTPConnection) -> Runtime:
    runtime: Runtime = connection.app.state.runtime
    return runtime


CurrentRuntime = Annotated[Runtime, Depends(runtime_of)]
