"""What went wrong with the database, in the words of the error tree."""

from typing import Final

import psycopg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoFreeConnection

from groupline.errors import DatabaseFailed, DatabaseOutcomeUnknown, DatabaseUnreachable

_LOOK: Final = "Look what is there before you repeat it."
_CANNOT_BE_REACHED: Final = "The database cannot be reached right now."
_BUSY: Final = "The database is held up by something else right now."
_LOST: Final = frozenset(
    {
        "25P03",  # we were silent within a transaction, for the server
        "53300",  # too many connections
        "57P01",  # an administrator ended the connection
        "57P02",  # the server crashed
        "57P03",  # it is starting up, or shutting down
    }
)
_CONNECTION_FAILED: Final = "08"
_LOCKED: Final = "55P03"
_Reason = tuple[str, str]


class OutcomeUnknown(SQLAlchemyError):
    """The connection broke at the commit: all of the transaction is saved, or nothing."""


def explained(error: SQLAlchemyError, *, changes: bool, partly: bool = False) -> DatabaseFailed:
    """What the database said, without the statement and its values.

    ``changes``: something was to be changed. ``partly``: some of it was committed before.
    """
    code, words = reason(error)
    said = {"upstreamCode": code, "details": words}
    if isinstance(error, OutcomeUnknown):
        return DatabaseOutcomeUnknown(
            "The connection to the database broke while this was being saved: it was saved "
            "completely, or not at all.",
            hint=_LOOK,
            **said,
        )
    if changes and partly:
        return DatabaseFailed(
            "The database failed in the middle of this: a part of it may be saved.",
            hint=_LOOK,
            **said,
        )
    if is_unreachable(error):
        unchanged = " Nothing was changed." if changes else ""
        what = _BUSY if code == _LOCKED else _CANNOT_BE_REACHED
        return DatabaseUnreachable(what + unchanged, **said)
    if changes:
        return DatabaseFailed("The database could not save this; nothing was changed.", **said)
    return DatabaseFailed("The database could not answer.", **said)


def is_unreachable(error: BaseException) -> bool:
    """Whether the database did not answer, or only that it is held up, rather than refuse."""
    if isinstance(error, NoFreeConnection):
        return True
    cause = getattr(error, "orig", None) or error
    if not isinstance(cause, psycopg.Error):
        return False
    code = cause.sqlstate
    if code is None:  # the connection broke, or none could be made
        return isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError)
    return code in _LOST or code == _LOCKED or code.startswith(_CONNECTION_FAILED)


def reason(error: BaseException) -> _Reason:
    """The database's own code, and the first line of what it said."""
    cause: BaseException = error
    if isinstance(error, OutcomeUnknown) and error.__cause__ is not None:
        cause = error.__cause__
    if isinstance(cause, DBAPIError) and cause.orig is not None:
        cause = cause.orig
    code = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", None)
    words = str(cause).strip().splitlines()
    return code or type(cause).__name__, words[0][:300] if words else ""
