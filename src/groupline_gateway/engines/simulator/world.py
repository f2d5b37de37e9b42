"""Phones and their groups: the part of the simulated world that its people change.

Functions take a connection and run inside the caller's transaction.
"""

import hashlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from groupline_gateway.contract import Restriction
from groupline_gateway.engines.port import GroupView, ParticipantList, ParticipantView
from groupline_gateway.engines.simulator.names import community_name, group_name
from groupline_gateway.engines.simulator.schemas import AutoReceipts, GroupsWanted, NewGroup
from groupline_gateway.errors import Conflict, NotFound, Refused


@dataclass(frozen=True, slots=True)
class PhoneRecord:
    number: str
    name: str
    restriction: Restriction | None
    receipts: AutoReceipts | None


def load_phones(connection: sqlite3.Connection) -> list[PhoneRecord]:
    rows = connection.execute("SELECT * FROM sim_phones ORDER BY created_at, number")
    return [
        PhoneRecord(
            row["number"],
            row["name"],
            None
            if row["restriction"] is None
            else Restriction.model_validate_json(row["restriction"]),
            None if row["receipts"] is None else AutoReceipts.model_validate_json(row["receipts"]),
        )
        for row in rows
    ]


def insert_phone(connection: sqlite3.Connection, phone: PhoneRecord, at: float) -> None:
    try:
        connection.execute(
            "INSERT INTO sim_phones (number, name, receipts, created_at) VALUES (?, ?, ?, ?)",
            (
                phone.number,
                phone.name,
                None if phone.receipts is None else phone.receipts.model_dump_json(),
                at,
            ),
        )
    except sqlite3.IntegrityError as error:
        raise Conflict("There is a simulated phone with this number already") from error


def delete_phone(connection: sqlite3.Connection, number: str) -> None:
    """Remove a phone, and the groups that nobody is left in."""
    connection.execute("DELETE FROM sim_phones WHERE number = ?", (number,))
    connection.execute(
        "DELETE FROM sim_groups WHERE jid NOT IN (SELECT DISTINCT jid FROM sim_members)"
    )


def save_restriction(
    connection: sqlite3.Connection, number: str, restriction: Restriction | None
) -> None:
    connection.execute(
        "UPDATE sim_phones SET restriction = ? WHERE number = ?",
        (None if restriction is None else restriction.model_dump_json(), number),
    )


def count_groups(connection: sqlite3.Connection) -> dict[str, int]:
    rows = connection.execute("SELECT phone, count(*) AS n FROM sim_members GROUP BY phone")
    return {row["phone"]: row["n"] for row in rows}


def join_groups(connection: sqlite3.Connection, number: str, wanted: GroupsWanted) -> list[str]:
    """Put a phone into groups, making those that do not exist yet; their JIDs."""
    before = connection.execute(
        "SELECT count(*) AS n FROM sim_members WHERE phone = ?", (number,)
    ).fetchone()["n"]
    taken = {row["jid"] for row in connection.execute("SELECT jid FROM sim_groups")}
    groups = wanted.groups
    if isinstance(groups, int):
        groups = _make_up(groups, wanted.communities, before)
    rows = [
        (jid, group.name or group_name(before), group)
        for jid, group in _with_jids(groups, number, taken)
    ]
    connection.executemany(
        "INSERT INTO sim_groups (jid, name, size, announce_only, is_community,"
        " is_community_announce, invite_code) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (jid) DO NOTHING",
        [_group_row(jid, name, group) for jid, name, group in rows],
    )
    connection.executemany(
        "INSERT INTO sim_members (phone, jid, is_admin) VALUES (?, ?, ?)"
        " ON CONFLICT (phone, jid) DO UPDATE SET is_admin = excluded.is_admin",
        [(number, jid, group.is_admin) for jid, _, group in rows],
    )
    return [jid for jid, _, _ in rows]


def leave_group(connection: sqlite3.Connection, number: str, jid: str) -> None:
    gone = connection.execute(
        "DELETE FROM sim_members WHERE phone = ? AND jid = ?", (number, jid)
    ).rowcount
    if not gone:
        raise NotFound("This phone is not in that group")


def set_admin(connection: sqlite3.Connection, number: str, jid: str, is_admin: bool) -> None:
    changed = connection.execute(
        "UPDATE sim_members SET is_admin = ? WHERE phone = ? AND jid = ?", (is_admin, number, jid)
    ).rowcount
    if not changed:
        raise NotFound("This phone is not in that group")


def change_group(
    connection: sqlite3.Connection,
    jid: str,
    *,
    name: str | None,
    announce_only: bool | None,
    size: int | None,
) -> list[str]:
    """Change what is given; the phones that are in the group."""
    changed = connection.execute(
        "UPDATE sim_groups SET name = coalesce(?, name), size = coalesce(?, size),"
        " announce_only = coalesce(?, announce_only) WHERE jid = ?",
        (name, size, announce_only, jid),
    ).rowcount
    if not changed:
        raise NotFound("There is no such group")
    rows = connection.execute("SELECT phone FROM sim_members WHERE jid = ?", (jid,))
    return [row["phone"] for row in rows]


def groups_of(connection: sqlite3.Connection, number: str) -> list[GroupView]:
    rows = connection.execute(
        "SELECT jid, name, size, announce_only, is_community, is_community_announce,"
        " invite_code, is_admin FROM sim_members JOIN sim_groups USING (jid)"
        " WHERE phone = ? ORDER BY jid",
        (number,),
    )
    return [_group_view(row) for row in rows]


def group_of(connection: sqlite3.Connection, number: str, jid: str) -> GroupView:
    row = connection.execute(
        "SELECT jid, name, size, announce_only, is_community, is_community_announce,"
        " invite_code, is_admin FROM sim_members JOIN sim_groups USING (jid)"
        " WHERE phone = ? AND jid = ?",
        (number, jid),
    ).fetchone()
    if row is None:
        raise Refused("This number is not a member of the group")
    return _group_view(row)


def group_name_of(connection: sqlite3.Connection, jid: str) -> str | None:
    row = connection.execute("SELECT name FROM sim_groups WHERE jid = ?", (jid,)).fetchone()
    return None if row is None else str(row["name"])


def participants_of(connection: sqlite3.Connection, number: str, jid: str) -> ParticipantList:
    """The phone itself, and as many others as the group's size says."""
    group = group_of(connection, number, jid)
    me = ParticipantView(f"{number}@s.whatsapp.net", number, group.is_admin, False)
    others = made_up_participants(jid, max(group.size - 1, 0))
    return ParticipantList(group.name, [me, *others])


def made_up_participants(jid: str, count: int) -> list[ParticipantView]:
    """Always the same people for the same group; a third of them only known by their LID."""
    people = []
    for index in range(count):
        token = int.from_bytes(hashlib.sha256(f"{jid}/{index}".encode()).digest()[:6], "big")
        if index % 3 == 2:
            person = ParticipantView(f"{10**14 + token}@lid")
        else:
            phone = f"9100{token % 10**8:08d}"
            person = ParticipantView(f"{phone}@s.whatsapp.net", phone, index == 0, index == 0)
        people.append(person)
    return people


def _group_view(row: sqlite3.Row) -> GroupView:
    return GroupView(
        jid=row["jid"],
        name=row["name"],
        size=row["size"],
        is_admin=bool(row["is_admin"]),
        is_community=bool(row["is_community"]),
        is_community_announce=bool(row["is_community_announce"]),
        announce_only=bool(row["announce_only"]),
        invite_code=row["invite_code"] if row["is_admin"] else None,
    )


def _make_up(count: int, communities: int | None, offset: int) -> list[NewGroup]:
    """Groups as they are found on a real phone: most small, some announcements, some ours."""
    if communities is None:
        communities = 1 if count >= 10 and offset == 0 else 0
    made = []
    for index in range(communities):
        name = community_name(index)
        made.append(NewGroup(name=name, is_community=True, participants=60, is_admin=True))
        made.append(
            NewGroup(
                name=f"{name} – announcements",
                is_community_announce=True,
                announce_only=True,
                participants=60,
                is_admin=True,
            )
        )
    return made + [
        NewGroup(
            name=group_name(position),
            participants=5 + position * 37 % 180,
            is_admin=position % 3 == 0,
            announce_only=position % 9 == 4,
        )
        for position in range(offset, offset + count - 2 * communities)
    ]


def _with_jids(
    groups: list[NewGroup], number: str, taken: set[str]
) -> Iterator[tuple[str, NewGroup]]:
    """A JID for each: the one asked for, or the next that this phone has not used up."""
    position = 0
    for group in groups:
        jid = group.id
        while jid is None:
            candidate = _jid(number, position)
            position += 1
            jid = None if candidate in taken else candidate
        taken.add(jid)
        yield jid, group


def _group_row(jid: str, name: str, group: NewGroup) -> tuple[object, ...]:
    return (
        jid,
        name,
        group.participants,
        group.announce_only,
        group.is_community,
        group.is_community_announce,
        hashlib.sha256(f"invite/{jid}".encode()).hexdigest()[:22],
    )


def _jid(number: str, position: int) -> str:
    token = int.from_bytes(hashlib.sha256(f"{number}/{position}".encode()).digest()[:8], "big")
    return f"120363{token % 10**12:012d}@g.us"
