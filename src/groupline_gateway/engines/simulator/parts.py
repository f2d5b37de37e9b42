"""The parts of the simulator that its engine, its edge and its calls share."""

from dataclasses import dataclass

from groupline_gateway.clock import Clock
from groupline_gateway.engines.faults import Faults
from groupline_gateway.engines.simulator.options import Options
from groupline_gateway.engines.simulator.people import People
from groupline_gateway.engines.simulator.phones import PhoneBook
from groupline_gateway.engines.simulator.sessions import SessionBook
from groupline_gateway.engines.simulator.traffic import Traffic
from groupline_gateway.store import Store


@dataclass(frozen=True, slots=True)
class Parts:
    store: Store
    clock: Clock
    faults: Faults
    traffic: Traffic
    options: Options
    phones: PhoneBook
    sessions: SessionBook
    people: People
