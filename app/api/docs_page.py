"""``/docs``: Swagger UI, and what the page says where that cannot be loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import HTMLResponse

if TYPE_CHECKING:
    from fastapi import FastAPI

_PLACE: Final = '<div id="swagger-ui">'
_WITHOUT: Final = (
    "<p>This page is drawn by Swagger UI, which the browser loads from cdn.jsdelivr.net. If you read this for longer "
    'than a moment, it could not be loaded; the same is in <a href="openapi.json">openapi.json</a>, which needs '
    "nobody else.</p>"
)
"""Swagger UI replaces what stands in its place."""


def install(app: FastAPI) -> None:
    """Add the page."""
    page = get_swagger_ui_html(openapi_url="openapi.json", title=f"{app.title} - Swagger UI").body
    html = bytes(page).decode().replace(_PLACE, _PLACE + _WITHOUT, 1)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(html)
