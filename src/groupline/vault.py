"""Encryption at rest for what must be readable again: gateway keys, webhook secrets, proxies."""

import base64

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from groupline.errors import GrouplineError


class VaultKeyMismatch(GrouplineError):
    code, title = "vault_key_mismatch", "A stored secret cannot be read"


class Vault:
    """Encrypts with a key derived from ``SECRET_KEY``; another key cannot read it."""

    def __init__(self, secret_key: str) -> None:
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"groupline vault 1")
        self._fernet = Fernet(base64.urlsafe_b64encode(derived.derive(secret_key.encode())))

    def encrypt(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, token: str) -> str:
        try:
            return self._fernet.decrypt(token.encode()).decode()
        except InvalidToken as error:
            raise VaultKeyMismatch(
                "A secret in the database was stored under another SECRET_KEY.",
                hint="Start Groupline with the SECRET_KEY that it was set up with.",
            ) from error
