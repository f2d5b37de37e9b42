"""One sentence for each action of the journal. A test holds the table complete.

``{subject}`` is the name of what it is about; other names are facts of the entry. A fact that an
entry lacks shows as a dash: entries outlive the code that wrote them.
"""

from collections.abc import Mapping
from typing import Any, Final

SENTENCES: Final[Mapping[str, str]] = {
    # Numbers and their sessions
    "number.connected": "{subject} was connected",
    "number.taken_over": (
        "{subject} took its work along: {groups} groups, {messages} messages, "
        "{workshops} workshops, {webinars} webinars, {campaigns} campaigns"
    ),
    "number.disconnected": "{subject} was disconnected, with {messagesDue} messages due",
    "number.restricted": "WhatsApp restricted {subject}: {restriction}",
    "number.unrestricted": "WhatsApp lifted the restriction of {subject}",
    "number.changed": "The settings of {subject} were changed",
    "number.paused": "Sending from {subject} was paused, with {messagesDue} messages due",
    "number.resumed": "Sending from {subject} was resumed, with {waiting} messages waiting",
    "number.handed_over": "The work of {subject} was handed over",
    "session.started": "The pairing of a phone was begun: {subject}",
    "session.refused": "The gateway refused to pair a phone: {subject}",
    "session.revived": "The last pairing was revived: {subject}",
    "session.ended": "A pairing ended: {subject}",
    "session.superseded": "An older pairing made way for a newer one: {subject}",
    "session.other_phone": "Another phone was linked in place of {subject}",
    "session.deleted": "A session was deleted from the history: {subject}",
    "doctor.fixed": "The doctor repaired {subject}: {sentence}",
    # Groups
    "groups.synced": "The groups of {subject} were synced: {savedCount} of {vpsCount} saved",
    "groups.sync_failed": "The sync of the groups of {subject} failed",
    "group.joined": "A number joined the group {subject}",
    "group.left": "A number left the group {subject}",
    "group.renamed": "The group {from} is called {to} now",
    "group.invite_link_fetched": "The invite link of the group {subject} was fetched",
    # Messages
    "messages.scheduled": "{messages} messages of {subject} were scheduled",
    "message.sent": "The message to {subject} was sent",
    "message.accepted": "The gateway took the message to {subject}",
    "message.uncertain": "Nobody knows whether the message to {subject} arrived",
    "message.waiting": "The message to {subject} could not go yet",
    "message.rejected": "The gateway rejected the message to {subject}",
    "message.failed": "The message to {subject} failed",
    "message.expired": "The message to {subject} did not leave in time",
    "message.cancelled": "The message to {subject} was cancelled",
    "message.discarded": "The failed message to {subject} was put away",
    "message.resolved": "The fate of the message to {subject} was decided: {outcome}",
    "message.requeued": "The message to {subject} is sent again",
    "message.arrived": "The message to {subject} arrived although it was called off",
    "message.superseded": "The message to {subject} had been replaced by another",
    "message.report_ambiguous": "A report came that may be about the message to {subject}",
    "message.rejection_overruled": "WhatsApp rejected the message to {subject}, which had arrived",
    "message.moved": "The message to {subject} was moved to another number",
    # Campaigns
    "campaign.created": "The campaign {subject} was created for {groups} groups",
    "campaign.changed": "The campaign {subject} was changed",
    "campaign.deleted": "The draft {subject} was deleted",
    "campaign.scheduled": "The campaign {subject} was scheduled: {messages} messages",
    "campaign.started": "The campaign {subject} began",
    "campaign.paused": "The campaign {subject} was paused",
    "campaign.resumed": "The campaign {subject} was resumed",
    "campaign.cancelled": "The campaign {subject} was cancelled: {messages} messages called off",
    "campaign.retried": "{messages} failed messages of the campaign {subject} are sent again",
    "campaign.verified": "The gateway was asked about {asked} messages of the campaign {subject}",
    "campaign.marked_arrived": "{messages} messages of the campaign {subject} count as arrived",
    "campaign.finished": "The campaign {subject} ended: {status}",
    "campaign.reopened": "The campaign {subject} goes on",
    "campaign.revised": "The result of the campaign {subject} was corrected: {status}",
    # Events, and what they are made of
    "event.created": "The {kind} {subject} was created",
    "event.edited": "{subject} was edited",
    "event.cancelled": "{subject} was cancelled",
    "event.done": "{subject} is over",
    "event.deleted": "A {kind} was deleted: {subject}",
    "event.groups_changed": "The groups of {subject} were changed",
    "event.variables_changed": "The variables of {subject} were changed",
    "event.rescheduled": "{subject} was moved to another time",
    "event.sequence_run": "The sequence of {subject} was run: {scheduled} messages scheduled",
    "event.sent_now": "{messages} messages to the groups of {subject} were sent at once",
    "event.texts_updated": "The texts of {messages} messages of {subject} were brought up to date",
    "event.checked": "{subject} was checked: {problems} problems found",
    "preflight.failed": "Preflight found that {subject} is not ready",
    "template.created": "The template {subject} was created",
    "template.changed": "The template {subject} was changed",
    "template.removed": "The template {subject} was removed",
    "sequence.created": "The sequence {subject} was created",
    "sequence.changed": "The steps of the sequence {subject} were changed",
    "sequence.renamed": "The sequence {subject} was renamed",
    "sequence.removed": "The sequence {subject} was removed",
    # People and access
    "organization.created": "The organization {subject} was created",
    "organization.changed": "The settings of the organization were changed",
    "installation.set_up": "Groupline was set up",
    "member.added": "{subject} was made a member",
    "member.removed": "{subject} was removed from the members",
    "member.role_changed": "The role of {subject} was changed",
    "member.link_renewed": "{subject} was given a new link to set a password",
    "login.opened": "Somebody signed in",
    "login.ended": "A login was ended",
    "login.others_ended": "All other logins were ended",
    "user.renamed": "{subject} changed their name",
    "user.password_changed": "{subject} changed their password",
    "user.password_chosen": "{subject} chose a password",
    "api_key.created": "The API key {subject} was made",
    "api_key.revoked": "The API key {subject} was revoked",
    # Gateways
    "gateway.added": "The gateway {subject} was registered",
    "gateway.changed": "The gateway {subject} was changed",
    "gateway.removed": "The gateway {subject} was removed",
    "gateway.webhooks_refused": "Reports of the gateway {subject} were refused",
    "gateway.webhook_secret_rotated": "The webhook secret of the gateway {subject} was replaced",
    "gateway.webhook_secret_dropped": "The old webhook secret of {subject} is not valid any more",
    "gateway.stray_logged_out": "A session that only the gateway {subject} knew was logged out",
    # Alerts and webhooks
    "alert.put_away": "An alert was put away: {subject}",
    "alert_channel.created": "The alert channel {subject} was added",
    "alert_channel.changed": "The alert channel {subject} was changed",
    "alert_channel.removed": "The alert channel {subject} was removed",
    "alert_channel.failing": "The alert channel {subject} fails",
    "alert_channel.recovered": "The alert channel {subject} works again",
    "webhook_endpoint.created": "The webhook to {subject} was added",
    "webhook_endpoint.changed": "The webhook to {subject} was changed",
    "webhook_endpoint.removed": "The webhook to {subject} was removed",
    "webhook_endpoint.secret_rotated": "The secret of the webhook to {subject} was replaced",
    "webhook_endpoint.failing": "The webhook to {subject} fails",
    "webhook_endpoint.recovered": "The webhook to {subject} works again",
    "webhook_endpoint.disabled": "The webhook to {subject} was switched off by its receiver",
}

SECTIONS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "numbers": ("Numbers", ("number", "session", "doctor")),
    "groups": ("Groups", ("group", "groups")),
    "messages": ("Messages", ("message", "messages")),
    "campaigns": ("Campaigns", ("campaign",)),
    "events": ("Events and templates", ("event", "preflight", "template", "sequence")),
    "people": (
        "People and access",
        ("organization", "installation", "member", "login", "user", "api_key"),
    ),
    "gateways": ("Gateways", ("gateway",)),
    "outgoing": ("Alerts and webhooks", ("alert", "alert_channel", "webhook_endpoint")),
}
"""What the journal can be filtered by: a label, and the beginnings of the actions in it."""


_OUTCOMES: Final[Mapping[str, str]] = {
    "arrived": "it arrived",
    "not_arrived": "it did not arrive",
}


CAMPAIGN_ENDS: Final[Mapping[str, str]] = {
    "completed": "completed",
    "partial_failure": "partly failed",
    "failed": "failed",
    "cancelled": "cancelled",
}
"""As the pages call them. A test holds both together."""


def sentence_of(action: str, subject: str, data: Mapping[str, Any]) -> str:
    """For people. An action that this version does not know shows as its own words."""
    pattern = SENTENCES.get(action)
    if pattern is None:
        words = action.replace("_", " ").replace(".", ": ")
        return f"{words[:1].upper()}{words[1:]} ({subject})"
    facts = {name: value for name, value in data.items() if isinstance(value, str | int | float)}
    if action == "message.resolved":
        facts["outcome"] = _OUTCOMES.get(str(facts.get("outcome")), "–")
    if action in ("campaign.finished", "campaign.revised"):
        facts["status"] = CAMPAIGN_ENDS.get(str(facts.get("status")), "–")
    return pattern.format_map(_Facts(facts | {"subject": subject}))


def note_of(data: Mapping[str, Any]) -> str | None:
    """Why, in somebody's words, where the entry has them."""
    for name in ("sentence", "detail", "error", "details"):
        value = data.get(name)
        if isinstance(value, str) and value:
            return value
    return None


class _Facts(dict[str, Any]):
    def __missing__(self, _name: str) -> str:
        return "–"
