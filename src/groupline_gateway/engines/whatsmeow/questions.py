"""Questions about groups, put to the worker of a session."""

import asyncio
from collections.abc import Callable
from typing import Any

from groupline_gateway.engines.port import GroupView, ParticipantList, ParticipantView
from groupline_gateway.engines.whatsmeow import answers
from groupline_gateway.engines.whatsmeow.process import CallFailed, WorkerGone
from groupline_gateway.engines.whatsmeow.protocol import Frame, Op
from groupline_gateway.engines.whatsmeow.runner import Runner
from groupline_gateway.errors import NoAnswer, NotConnected

_GROUPS_SECONDS = 90.0
_ONE_GROUP_SECONDS = 18.0


class Questions:
    """``connected`` finds the runner of a connected session, or raises."""

    def __init__(self, connected: Callable[[str], Runner]) -> None:
        self._connected = connected

    async def groups(self, session_id: str) -> list[GroupView]:
        answer = await self._ask(session_id, Op.GROUPS, _GROUPS_SECONDS)
        return [_group(each) for each in answer["groups"]]

    async def invite(self, session_id: str, jid: str) -> str:
        answer = await self._ask(session_id, Op.INVITE, _ONE_GROUP_SECONDS, jid=jid)
        return str(answer["link"]).rpartition("/")[2]

    async def participants(self, session_id: str, jid: str) -> ParticipantList:
        answer = await self._ask(session_id, Op.PARTICIPANTS, _ONE_GROUP_SECONDS, jid=jid)
        return ParticipantList(
            answer["name"],
            [
                ParticipantView(
                    id=each["id"],
                    phone=each["phone"],
                    is_admin=each["isAdmin"],
                    is_super_admin=each["isSuperAdmin"],
                )
                for each in answer["participants"]
            ],
        )

    async def _ask(self, session_id: str, op: Op, seconds: float, **given: Any) -> Frame:
        worker = self._connected(session_id).worker
        if worker is None:
            raise NotConnected
        try:
            async with asyncio.timeout(seconds):
                return await worker.ask(op, **given)
        except CallFailed as error:
            raise answers.question_error(error.text) from error
        except WorkerGone as error:
            raise NotConnected("The session is not connected: it is starting again") from error
        except TimeoutError as error:
            raise NoAnswer("WhatsApp did not answer in time") from error


def _group(frame: Frame) -> GroupView:
    return GroupView(
        jid=frame["jid"],
        name=frame["name"],
        size=frame["size"],
        is_admin=frame["isAdmin"],
        is_community=frame["isCommunity"],
        is_community_announce=frame["isCommunityAnnounce"],
        announce_only=frame["announceOnly"],
    )
