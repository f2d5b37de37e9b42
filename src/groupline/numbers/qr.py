"""QR codes as pictures. A gateway sends the text of a code, or a picture of it."""

from __future__ import annotations

import io
from html import escape

import segno

_IMAGE_PREFIX = "data:image/"


def is_image(code: str) -> bool:
    return code.startswith(_IMAGE_PREFIX)


def qr_svg(code: str) -> str:
    """A document that shows the code; a picture is put into one as it is."""
    if is_image(code):
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 264 264">'
            f'<image href="{escape(code, quote=True)}" width="264" height="264"/></svg>'
        )
    picture = io.BytesIO()
    segno.make(code, micro=False).save(
        picture, kind="svg", scale=8, border=4, xmldecl=False, omitsize=True, light="#fff"
    )
    return picture.getvalue().decode()
