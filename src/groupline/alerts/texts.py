"""What alerts say. Pure: facts in, sentences out."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from groupline.numbers.states import banned_sentence


@dataclass(frozen=True, slots=True)
class Said:
    title: str
    text: str
    link: str | None
    """A path of the dashboard."""


def moment(at: datetime, zone: ZoneInfo) -> str:
    local = at.astimezone(zone)
    return f"{local:%a %d %b, %H:%M} {local.tzname()}"


def many(count: int, noun: str) -> str:
    return f"1 {noun}" if count == 1 else f"{count:,} {noun}s"


def lasting(span: timedelta) -> str:
    minutes = max(1, round(span.total_seconds() / 60))
    if minutes < 120:
        return many(minutes, "minute")
    hours = round(minutes / 60)
    return many(hours, "hour") if hours < 48 else many(round(hours / 24), "day")


def impact(due: int, hours: int, first_at: datetime | None, zone: ZoneInfo, now: datetime) -> str:
    """What waits because a number is not there."""
    if not due:
        return f"No message is due in the next {hours} hours."
    verb = "is" if due == 1 else "are"
    first = ""
    if first_at is not None:
        was = "was" if first_at <= now else "is"
        first = f"; the first {was} due {moment(first_at, zone)}"
    return f"{many(due, 'message')} {verb} due in the next {hours} hours{first}."


def disconnected(phone: str, data: Mapping[str, Any], what: str, link: str) -> Said:
    why, helps = data.get("detail"), None if data.get("obstacle") else "Reconnect it."
    sentences = [each for each in (what, why, helps) if each]
    return Said(f"{phone} is disconnected", " ".join(sentences), link)


def banned(
    phone: str, until: datetime | None, what: str, link: str, *, zone: ZoneInfo, now: datetime
) -> Said:
    """Nothing to do but to wait. Its end is named in the reader's zone."""
    return Said(f"{phone} is disconnected", f"{what} {banned_sentence(until, zone, now)}", link)


def connected(phone: str, after: timedelta, link: str, *, is_paused: bool = False) -> Said:
    then = "What waited goes out now, as far as it is still in time."
    if is_paused:
        then = "But sending from it is paused: nothing goes out until somebody resumes it."
    text = f"It was disconnected for {lasting(after)}. {then}"
    return Said(f"{phone} is connected again", text, link)


def restricted(phone: str, data: Mapping[str, Any], zone: ZoneInfo, link: str) -> Said:
    until = data.get("until")
    end = f" until {moment(datetime.fromisoformat(until), zone)}" if until else ""
    reason = data.get("restriction")
    text = f"It may not send{end}" + (
        f" ({reason})." if reason not in (None, "", "restricted") else "."
    )
    return Said(f"WhatsApp restricts {phone}", f"{text} Messages wait.", link)


def messages(kind: str, phone: str, count: int, why: str | None, number: str) -> Said:
    noun = many(count, "message")
    last = f" The last one: {why}" if why else ""
    attention = f"/messages?tab=attention&number={number}"
    if kind == "message.failed":
        return Said(f"{noun} of {phone} failed", f"They will not be sent again.{last}", attention)
    if kind == "message.uncertain":
        text = f"Look into the groups and decide whether to send again.{last}"
        return Said(f"Nobody knows whether {noun} of {phone} arrived", text, attention)
    text = f"They did not leave before their time was over.{last}"
    return Said(f"{noun} of {phone} came too late", text, f"/messages?tab=expired&number={number}")


def gateway_unreachable(name: str, since: str, numbers: int, error: str | None) -> Said:
    waits = f" {many(numbers, 'number')} cannot send meanwhile." if numbers else ""
    said = f" {error}" if error else ""
    return Said(
        f"The gateway “{name}” cannot be reached",
        f"It has not answered since {since}.{waits}{said}",
        "/settings/connection",
    )


def gateway_refused(name: str, numbers: int) -> Said:
    waits = f" {many(numbers, 'number')} cannot send meanwhile." if numbers else ""
    return Said(
        f"The gateway “{name}” refuses our key",
        f"An administrator has to enter its key again.{waits}",
        "/settings/connection",
    )


def gateway_reachable(name: str, after: timedelta) -> Said:
    return Said(
        f"The gateway “{name}” answers again",
        f"It did not for {lasting(after)}.",
        "/settings/connection",
    )


def webhooks_refused(name: str) -> Said:
    return Said(
        f"Reports of the gateway “{name}” are refused",
        "They are not signed with the webhook secret that Groupline knows. Until an administrator "
        "has set the same one on both sides, changes are seen later.",
        "/settings/connection",
    )


def preflight(title: str, data: Mapping[str, Any], link: str | None) -> Said:
    findings = sorted(_listed(data.get("findings")), key=_is_warning)
    found = [sentence for each in findings if (sentence := _sentence(each))]
    text = " ".join(found[:5]) or str(data.get("sentence") or "Preflight found something.")
    more = len(found) - 5
    return Said(f"“{title}” is not ready", f"{text} And {more} more." if more > 0 else text, link)


def campaign(name: str, counts: Mapping[str, Any], link: str) -> Said:
    return Said(f"The campaign “{name}” ended with failures", lost_of_campaign(counts), link)


def lost_of_campaign(counts: Mapping[str, Any]) -> str:
    """Of what was to arrive: what somebody called off or put away was not."""
    wanted = {state: _number(count) or 0 for state, count in counts.items() if state != "cancelled"}
    total = sum(wanted.values())
    lost = total - wanted.get("sent", 0)
    return f"{many(lost, 'message')} of {total:,} did not arrive. Look at them and retry."


def _listed(value: object) -> list[Any]:
    return list(value) if isinstance(value, list) else []


def _is_warning(finding: object) -> bool:
    """What keeps the event from working comes first."""
    return isinstance(finding, Mapping) and finding.get("severity") == "warning"


def _sentence(finding: object) -> str | None:
    if isinstance(finding, str):
        return finding
    if isinstance(finding, Mapping):
        for key in ("sentence", "text", "detail", "title"):
            if isinstance(finding.get(key), str):
                return str(finding[key])
    return None


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None
