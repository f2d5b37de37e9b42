"""Secrets at rest can be read with the key they were stored under, and with no other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groupline.vault import Vault, VaultKeyMismatch

KEY = "k" * 32


@given(st.text())
def test_what_was_stored_comes_back(text: str) -> None:
    vault = Vault(KEY)
    stored = vault.encrypt(text)
    assert vault.decrypt(stored) == text
    assert vault.encrypt(text) != stored


def test_another_key_cannot_read_it() -> None:
    stored = Vault(KEY).encrypt("the gateway's key")
    with pytest.raises(VaultKeyMismatch, match="another SECRET_KEY"):
        Vault("j" * 32).decrypt(stored)
