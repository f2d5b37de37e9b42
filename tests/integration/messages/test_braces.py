"""Rule 8 at the last moment: no variable leaves, and a brace that was meant arrives as one."""

import pytest
from tests.integration.messages.outbox import Outbox


async def test_an_escaped_brace_arrives_as_a_brace(outbox: Outbox) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender, content=r"Use \{name\} in the form")

    await outbox.work()

    assert (await outbox.message(message_id)).status == "sent"
    (delivery,) = await outbox.gateway.deliveries(group=sender.jids[0])
    assert delivery["text"] == "Use {name} in the form"


@pytest.mark.parametrize("text", ["{zoom_link}", "{zoom link}", "{{zoom}}", "{Zoom_Link}", "{zoom"])
async def test_whatever_looks_like_a_variable_stays_here(outbox: Outbox, text: str) -> None:
    sender = await outbox.add_sender()
    message_id = await outbox.write(sender, content=f"Join: {text} now")

    await outbox.work()

    message = await outbox.message(message_id)
    assert (message.status, message.error_code) == ("failed", "unresolved_variable")
    assert text in (message.error_message or "")
    assert await outbox.copies(sender.jids[0]) == 0
