"""``groupline``: the commands, each with ``--help`` and ``--json``."""

import typer

from groupline.cli import (
    campaigns,
    database,
    doctor,
    events,
    gateways,
    installation,
    message_receipts,
    messages_bulk,
    numbers,
    people,
    processes,
    send,
    texts,
)

app = typer.Typer(
    name="groupline",
    help="Sends WhatsApp messages to groups, on time, around workshops and webinars.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

processes.register(app)
installation.register(app)
people.register(app)
send.register(app)
messages_bulk.register(send.app)
message_receipts.register(send.app)
texts.register(app)
doctor.register(app)
app.add_typer(database.app, name="db")
app.add_typer(campaigns.app, name="campaigns")
app.add_typer(gateways.app, name="gateways")
app.add_typer(numbers.app, name="numbers")
app.add_typer(events.app, name="events")
