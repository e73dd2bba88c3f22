"""Settings are typed, bounded and spelt right, or the process does not start."""

from __future__ import annotations

import pytest

from app.errors import InvalidSetting
from app.settings import Settings, read_settings


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch):
    import os

    for name in list(os.environ):
        if name.startswith("SEQRANK_"):
            monkeypatch.delenv(name)


def test_a_misspelt_variable_is_refused_with_the_nearest_name(monkeypatch):
    """An unknown ``SEQRANK_`` name stops the start and names what was probably meant."""
    monkeypatch.setenv("SEQRANK_TIMEOUT_MSEC", "5")
    with pytest.raises(InvalidSetting, match=r"SEQRANK_TIMEOUT_MSEC is no setting.*SEQRANK_TIMEOUT_MS\b"):
        read_settings()


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "70000"), ("TIMEOUT_MS", "0"), ("PROVIDER", "tpu"), ("WORKERS", "x")]
)
def test_a_value_out_of_bounds_is_refused_by_name(monkeypatch, name, value):
    """The sentence names the variable."""
    monkeypatch.setenv(f"SEQRANK_{name}", value)
    with pytest.raises(InvalidSetting, match=f"SEQRANK_{name}"):
        read_settings()


def test_the_sentence_holds_the_value_and_what_is_expected(monkeypatch):
    """Whoever reads it knows what was set and which values are possible."""
    monkeypatch.setenv("SEQRANK_PORT", "70000")
    with pytest.raises(InvalidSetting) as caught:
        read_settings()
    assert str(caught.value) == "SEQRANK_PORT is '70000': input should be less than or equal to 65535"


@pytest.mark.parametrize("name", ["SEQRANK_API_KEYS", "SEQRANK_ADMIN_KEYS"])
@pytest.mark.parametrize("value", [",", " ", " , ,"])
def test_a_list_of_keys_without_a_key_is_refused(monkeypatch, name, value):
    """Read as "no keys" it would open everything to everybody."""
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSetting) as caught:
        read_settings()
    assert str(caught.value).startswith(f"{name} is not usable: it holds no key, expected keys with commas")


def test_an_option_that_was_given_is_named_and_no_variable():
    """Whoever typed ``--port`` reads of ``--port``."""
    with pytest.raises(InvalidSetting) as caught:
        read_settings(port=99_999, workers=None)
    assert str(caught.value) == "--port is '99999': input should be less than or equal to 65535"


@pytest.mark.parametrize("origin", ["shop.example", "https://shop.example/", "https://a.example, b.example"])
def test_an_origin_that_no_browser_sends_is_refused(monkeypatch, origin):
    """What cannot match any browser's ``Origin`` header stops the start instead of doing nothing."""
    monkeypatch.setenv("SEQRANK_CORS_ORIGINS", origin)
    with pytest.raises(InvalidSetting, match="is no origin, expected scheme://host"):
        read_settings()


def test_the_command_line_goes_before_the_environment(monkeypatch):
    """A given value wins, one that is not given does not."""
    monkeypatch.setenv("SEQRANK_PORT", "1")
    monkeypatch.setenv("SEQRANK_HOST", "h")
    settings = read_settings(port=2, host=None)
    assert (settings.port, settings.host) == (2, "h")


def test_an_empty_variable_is_the_default(monkeypatch):
    """Compose files pass empty strings for what is not set."""
    monkeypatch.setenv("SEQRANK_API_KEYS", "")
    monkeypatch.setenv("SEQRANK_MAX_ITEMS", "")
    settings = read_settings()
    assert (settings.names_in("api_keys"), settings.max_items) == ((), 2000)


def test_secrets_do_not_show(monkeypatch):
    """Printing the settings shows no key, URL or secret."""
    monkeypatch.setenv("SEQRANK_API_KEYS", "alpha, beta,")
    monkeypatch.setenv("SEQRANK_REDIS_URL", "redis://:hunter2@host")
    settings = read_settings()
    assert settings.names_in("api_keys") == ("alpha", "beta")
    assert "alpha" not in repr(settings)
    assert "hunter2" not in repr(settings)


def test_settings_do_not_change():
    """The settings are frozen."""
    with pytest.raises(ValueError, match="frozen"):
        Settings().port = 1  # type: ignore[misc]
