"""The REST API: JSON routes over the use cases. One module per resource."""

from fastapi import APIRouter

from groupline.api import (
    account,
    alert_channels,
    api_keys,
    campaign_actions,
    campaigns,
    events,
    gateway_reports,
    gateways,
    groups,
    health,
    hooks,
    journal,
    live,
    members,
    messages,
    messages_bulk,
    metrics,
    numbers,
    organization,
    sequences,
    sessions,
    setup,
    templates,
    webhook_endpoints,
)

API_ROUTERS: tuple[APIRouter, ...] = (
    account.router,
    setup.router,
    organization.router,
    members.router,
    api_keys.router,
    gateways.router,
    gateway_reports.router,
    numbers.router,
    sessions.router,
    groups.router,
    groups.sync_router,
    messages_bulk.router,
    messages.router,
    events.workshops_router,
    events.webinars_router,
    templates.router,
    sequences.router,
    campaigns.router,
    campaign_actions.router,
    journal.router,
    alert_channels.router,
    webhook_endpoints.router,
    live.router,
)
ROOT_ROUTERS: tuple[APIRouter, ...] = (health.router, metrics.router, hooks.router)
"""Outside /api: for machines that watch this one, and for gateways."""
