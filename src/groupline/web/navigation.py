"""What the menu offers, by section. A page that does not exist is not offered."""

from dataclasses import dataclass

from groupline.orgs.rules import Permission, Principal


@dataclass(frozen=True, slots=True)
class NavItem:
    key: str
    label: str
    url: str
    icon: str
    needs: Permission = Permission.READ
    phone: bool = False
    """Also stands in the bar at the bottom of a phone."""


@dataclass(frozen=True, slots=True)
class NavSection:
    label: str | None
    items: tuple[NavItem, ...]


_SECTIONS = (
    NavSection(
        None,
        (
            NavItem("overview", "Overview", "/", "overview", phone=True),
            NavItem("workshops", "Workshops", "/workshops", "workshops", phone=True),
            NavItem("webinars", "Webinars", "/webinars", "webinars"),
            NavItem("send", "Send", "/send", "send", Permission.SEND, phone=True),
            NavItem("groups", "Groups", "/groups", "groups"),
            NavItem("campaigns", "Campaigns", "/campaigns", "campaigns"),
            NavItem("messages", "Messages", "/messages", "messages", phone=True),
            NavItem("templates", "Templates", "/templates", "templates"),
            NavItem("sequences", "Sequences", "/sequences", "sequences"),
            NavItem("journal", "Journal", "/journal", "journal"),
        ),
    ),
    NavSection(
        "Settings",
        (
            NavItem("connection", "WhatsApp connection", "/settings/connection", "phone"),
            NavItem("organization", "Organization", "/settings/organization", "organization"),
            NavItem("members", "Members", "/settings/members", "members", Permission.MEMBERS),
            NavItem("api-keys", "API keys", "/settings/api-keys", "key", Permission.MEMBERS),
            NavItem(
                "gateways", "Gateways", "/settings/gateways", "gateways", Permission.INSTALLATION
            ),
            NavItem("alerts", "Alerts", "/settings/alerts", "bell", Permission.OUTGOING),
            NavItem("webhooks", "Webhooks", "/settings/webhooks", "webhook", Permission.OUTGOING),
            NavItem("account", "Your account", "/settings/account", "user"),
        ),
    ),
)


def navigation_for(principal: Principal) -> tuple[NavSection, ...]:
    sections = (
        NavSection(
            section.label, tuple(item for item in section.items if principal.may(item.needs))
        )
        for section in _SECTIONS
    )
    return tuple(section for section in sections if section.items)
