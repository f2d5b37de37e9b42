"""The REST API: JSON routes over the use cases. One module per resource."""

from fastapi import APIRouter

from groupline.api import health, live

API_ROUTERS: tuple[APIRouter, ...] = (live.router,)
ROOT_ROUTERS: tuple[APIRouter, ...] = (health.router,)
"""Outside /api: for machines that watch this one, and for gateways."""
