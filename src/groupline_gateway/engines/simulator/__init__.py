"""An engine for trying, showing and testing: phones that exist only here, faults on demand."""

from groupline_gateway.engines.simulator.engine import SimulatorEngine

__all__ = ["SimulatorEngine"]
