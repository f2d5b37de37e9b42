"""``python -m tests.support.whatsmeow_gateway``: the gateway's program with the tests' client."""

import asyncio

import uvloop
from tests.support.fake_whatsapp import options

from groupline_gateway.clock import SystemClock
from groupline_gateway.logs import configure_logging
from groupline_gateway.server import serve
from groupline_gateway.settings import load_settings

if __name__ == "__main__":
    configure_logging("json", "INFO")
    chosen = load_settings(engine="whatsmeow")
    chosen.prepare_data_dir()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(chosen, SystemClock(), whatsmeow=options()))
