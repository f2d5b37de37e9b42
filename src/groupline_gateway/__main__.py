"""``python -m groupline_gateway``: run the gateway until it is told to stop."""

import argparse
import asyncio
import os
import sys
from typing import Any

import uvloop

from groupline_gateway.clock import SystemClock
from groupline_gateway.errors import StartRefused
from groupline_gateway.logs import configure_logging
from groupline_gateway.server import serve
from groupline_gateway.settings import PREFIX, Settings, load_settings, second_settings

EXIT_REFUSED = 2


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 0 after a clean stop, 2 when it cannot start as it was set up."""
    given = _parse(arguments)
    try:
        settings = load_settings(**given)
        settings.prepare_data_dir()
        also = second_settings()
        if also is not None:
            also.prepare_data_dir()
        _run(settings, also)
    except StartRefused as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_REFUSED
    return 0


def _run(settings: Settings, also: Settings | None) -> None:
    # The store's threads hand the interpreter back and forth at every statement; at the usual
    # 5 ms each hand-over may have to wait that long, which halves the sends in a second.
    sys.setswitchinterval(0.0002)
    os.umask(0o077)  # what a gateway writes down is nobody else's business
    configure_logging(settings.log_format, settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, SystemClock(), also=also))


def _parse(arguments: list[str] | None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(
        prog="groupline gateway",
        description="Groupline's own WhatsApp gateway.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"Everything can also be set by environment variables:\n\n{_variables()}",
    )
    parser.add_argument("--engine", help="simulator (default) or whatsmeow")
    parser.add_argument("--host", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", help="port to listen on (default 8421)")
    parser.add_argument("--data-dir", help="where the store and the pairings live")
    values = vars(parser.parse_args(arguments))
    return {name: value for name, value in values.items() if value is not None}


def _variables() -> str:
    fields = Settings.model_fields.items()
    width = max(len(name) for name, _ in fields)
    return "\n".join(
        f"  {PREFIX}{name.upper():<{width}}  {field.description}"
        + ("" if field.default is None else f" (default {field.default})")
        for name, field in fields
    )


if __name__ == "__main__":
    sys.exit(main())
