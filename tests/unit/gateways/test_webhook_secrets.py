"""How webhook secrets are kept, and which of them are good."""

from datetime import timedelta

from tests.support.clock import NOW

from groupline.gateways.webhook_secrets import (
    WebhookSecret,
    put_new_secret,
    stored_secrets,
    valid_secrets,
    write_webhook_secrets,
)
from groupline.models import Gateway
from groupline.vault import Vault

VAULT = Vault("a key of these tests")


def gateway(*secrets: str | WebhookSecret) -> Gateway:
    return Gateway(webhook_secrets=write_webhook_secrets(VAULT, secrets))


def test_none_is_none() -> None:
    assert valid_secrets(VAULT, Gateway(webhook_secrets=None), NOW) == []


def test_those_of_earlier_versions_are_read() -> None:
    assert stored_secrets(VAULT, gateway("new", "old")) == [
        WebhookSecret("new"),
        WebhookSecret("old"),
    ]


def test_one_whose_time_is_up_is_not_good() -> None:
    row = gateway("new", WebhookSecret("old", NOW))
    assert [each.value for each in valid_secrets(VAULT, row, NOW)] == ["new"]
    before = NOW - timedelta(seconds=1)
    assert [each.value for each in valid_secrets(VAULT, row, before)] == ["new", "old"]


def test_the_same_secret_again_is_no_rotation() -> None:
    row = gateway("one")
    put_new_secret(VAULT, row, "one", NOW)
    assert stored_secrets(VAULT, row) == [WebhookSecret("one")]


def test_a_rotation_does_not_prolong_the_life_of_the_old_one() -> None:
    soon = NOW + timedelta(hours=1)
    row = gateway(WebhookSecret("old", soon))
    put_new_secret(VAULT, row, "new", NOW)
    assert stored_secrets(VAULT, row) == [WebhookSecret("new"), WebhookSecret("old", soon)]


def test_secrets_are_in_no_representation() -> None:
    assert "old" not in repr(WebhookSecret("old"))
