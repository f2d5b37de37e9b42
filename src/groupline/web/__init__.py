"""The dashboard: server-rendered pages over the same use cases as the API."""

from fastapi import APIRouter

from groupline.web import (
    account,
    alerts,
    api_docs,
    connection,
    connection_actions,
    events,
    gateways,
    group_picker,
    groups,
    messages,
    overview,
    send,
    sequences,
    settings_people,
    setup,
    template_pages,
    webhooks,
)

WEB_ROUTERS: tuple[APIRouter, ...] = (
    account.router,
    alerts.router,
    api_docs.router,
    connection.router,
    connection_actions.router,
    events.workshops_router,
    events.webinars_router,
    gateways.router,
    group_picker.router,
    groups.router,
    messages.router,
    overview.router,
    send.router,
    sequences.router,
    settings_people.router,
    setup.router,
    template_pages.router,
    webhooks.router,
)
