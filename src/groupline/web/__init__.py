"""The dashboard: server-rendered pages over the same use cases as the API."""

from fastapi import APIRouter

WEB_ROUTERS: tuple[APIRouter, ...] = ()
