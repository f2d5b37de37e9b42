"""Passwords: argon2id, away from the event loop."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

_argon2id = PasswordHash((Argon2Hasher(),))
# Each hash takes 64 MiB and a core for a while: more at once would starve everything else.
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="password")


@cache
def _hash_of_nobody() -> str:
    return _argon2id.hash("nobody has this password")


async def hash_password(password: str) -> str:
    return await asyncio.get_running_loop().run_in_executor(_threads, _argon2id.hash, password)


async def verify_password(password: str, password_hash: str | None) -> bool:
    """Without a hash (nobody has this address) it takes just as long, and is wrong."""
    return await asyncio.get_running_loop().run_in_executor(
        _threads, _verify, password, password_hash
    )


def _verify(password: str, password_hash: str | None) -> bool:
    matches = _argon2id.verify(password, password_hash or _hash_of_nobody())
    return matches and password_hash is not None
