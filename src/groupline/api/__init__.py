"""The REST API: JSON routes over the use cases. One module per resource."""

from fastapi import APIRouter

from groupline.api import gateways, health, hooks, live, metrics

API_ROUTERS: tuple[APIRouter, ...] = (gateways.router, live.router)
ROOT_ROUTERS: tuple[APIRouter, ...] = (health.router, metrics.router, hooks.router)
"""Outside /api: for machines that watch this one, and for gateways."""
