"""The ``/sim`` calls that make things go wrong, and those that look on."""

from enum import Enum

from fastapi import APIRouter

from groupline_gateway.clock import iso
from groupline_gateway.contract import Error
from groupline_gateway.engines.faults import Armed, FaultRule
from groupline_gateway.engines.simulator.parts import Parts
from groupline_gateway.engines.simulator.schemas import (
    Dialect,
    Fault,
    FaultList,
    Limits,
    Removed,
    SimSession,
    SimSessions,
    TrafficReport,
)


def add_faults(router: APIRouter, parts: Parts) -> None:
    _add_rules(router, parts)
    _add_behaviour(router, parts)


def _add_rules(router: APIRouter, parts: Parts) -> None:
    tags: list[str | Enum] = ["simulator: faults"]

    @router.get("/faults", tags=tags, summary="The faults in force")
    async def list_faults() -> FaultList:
        return FaultList(faults=[_fault(armed) for armed in parts.faults.all()])

    @router.post("/faults", tags=tags, status_code=201, summary="Have something go wrong")
    async def add_fault(body: FaultRule) -> Fault:
        """For the next `times` matching requests or by `probability`, per session, per phone
        or for all, on one call or on every one. Faults of several kinds combine; of those
        that end a request the one asked for first does. They last until removed."""
        return _fault(await parts.faults.add(body))

    @router.delete("/faults", tags=tags, summary="Remove all faults")
    async def clear_faults() -> Removed:
        return Removed(removed=await parts.faults.clear())

    @router.delete(
        "/faults/{number}",
        tags=tags,
        summary="Remove one fault",
        responses={404: {"model": Error, "description": "There is no such fault"}},
    )
    async def remove_fault(number: int) -> Removed:
        await parts.faults.remove(number)
        return Removed(removed=1)


def _add_behaviour(router: APIRouter, parts: Parts) -> None:
    tags: list[str | Enum] = ["simulator: behaviour"]

    @router.get("/limits", tags=tags, summary="Requests under way, their peaks and their cap")
    async def traffic() -> TrafficReport:
        return _traffic(parts)

    @router.put("/limits", tags=tags, summary="Set or lift the cap of requests in flight")
    async def limit(body: Limits) -> TrafficReport:
        """Beyond the cap connections are reset. Peaks and counts start over."""
        await parts.options.limit(body)
        parts.traffic.start_over()
        return _traffic(parts)

    @router.get("/dialect", tags=tags, summary="Which variants of the contract are spoken")
    async def dialect() -> Dialect:
        return parts.options.dialect

    @router.put("/dialect", tags=tags, summary="Speak other variants of the contract")
    async def speak(body: Dialect) -> Dialect:
        """Everything that is not given goes back to native."""
        await parts.options.speak(body)
        return parts.options.dialect

    @router.get("/sessions", tags=tags, summary="All sessions the gateway knows")
    async def sessions() -> SimSessions:
        return SimSessions(
            sessions=[
                SimSession(
                    session_id=session.session_id,
                    status=session.status,
                    phone=None if session.phone is None else f"+{session.phone}",
                    reason=session.reason,
                    since=iso(session.since),
                )
                for session in parts.sessions
            ]
        )


def _fault(armed: Armed) -> Fault:
    rule = armed.rule
    return Fault(
        **rule.model_dump(),
        id=armed.id,
        seen=armed.seen,
        fired=armed.fired,
        left=None if rule.times is None else max(rule.times - armed.fired, 0),
    )


def _traffic(parts: Parts) -> TrafficReport:
    traffic = parts.traffic
    return TrafficReport(
        in_flight=traffic.cap,
        current=traffic.current,
        peak=traffic.peak,
        peak_sends=traffic.peak_sends,
        peak_sends_of_a_phone=traffic.peak_sends_of_a_phone,
        requests=traffic.requests,
        resets=traffic.resets,
    )
