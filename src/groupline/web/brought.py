"""A table that a person uploads or pastes: looked at first, then taken."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fastapi import Request
from starlette.datastructures import UploadFile

from groupline.events.tables import MAX_BYTES

GROUPS_EXAMPLE: Final = "group\nMorning Workshop\n120363041234567890@g.us"


@dataclass(frozen=True, slots=True)
class Brought:
    """What a person uploaded or pasted."""

    data: bytes | str
    fields: Mapping[str, str]
    """What else the form says."""

    @property
    def taken(self) -> bool:
        """They have seen what it says, and take it."""
        return self.fields.get("take") == "true"

    @property
    def text(self) -> str:
        if isinstance(self.data, str):
            return self.data
        return self.data.decode("utf-8", "replace").removeprefix("\ufeff")


async def read_brought(request: Request) -> Brought:
    async with request.form() as form:
        file = form.get("file")
        fields = {name: value for name, value in form.items() if isinstance(value, str)}
        data: bytes | str = fields.pop("text", "")
        if isinstance(file, UploadFile) and file.size:
            data = await file.read(MAX_BYTES + 1)
        return Brought(data, fields)
