"""How a route gets at the parts of this process."""

import re
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from groupline.runtime import Runtime


def runtime_of(connection: HTTPConnection) -> Runtime:
    runtime: Runtime = connection.app.state.runtime
    return runtime


_ONE_TIME_LINK = re.compile(r"^/setup/[^/]+")


def path_for_logs(path: str) -> str:
    """A one-time link opens an account: who reads the log must not be able to follow it."""
    return _ONE_TIME_LINK.sub("/setup/…", path)


CurrentRuntime = Annotated[Runtime, Depends(runtime_of)]
