"""What cannot work is refused before the port is open, by a sentence that names what to change."""

from __future__ import annotations

import logging
import os
import socket

import onnxruntime as ort
import pytest

from app.__main__ import main
from app.announcement import announce
from app.errors import InvalidSetting
from app.listening import bind
from app.settings import Settings

NOTHING = "{folder}/nope"


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch):
    for name in list(os.environ):
        if name.startswith("SEQRANK_"):
            monkeypatch.delenv(name)


@pytest.fixture
def refused(monkeypatch, capsys, tmp_path):
    """Run the command line; return what it said. The port must stay closed."""
    monkeypatch.setattr("app.listening.bind", lambda *_: pytest.fail("the port was opened"))

    def run(*arguments, **settings):
        for name, value in settings.items():
            monkeypatch.setenv(name, value.format(folder=tmp_path))
        code = main(list(arguments))
        said = capsys.readouterr().err.splitlines()
        assert (code, len(said)) == (2, 1)
        return said[0].replace(str(tmp_path), "{folder}")

    return run


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SEQRANK_REDIS_URL", "http://x", "begins with 'http', expected one of redis://"),
        ("SEQRANK_REDIS_URL", "redis://:s3cret@h:port", "cannot be parsed"),
        ("SEQRANK_REDIS_READ_URL", "embedded", "is 'embedded', expected one of redis://"),
        ("SEQRANK_API_KEYS", ",", "is not usable: it holds no key"),
        ("SEQRANK_API_KEYS_FILE", NOTHING, "is '{folder}/nope': it cannot be read: No such file"),
        ("SEQRANK_ADMIN_KEYS_FILE", NOTHING, "is '{folder}/nope': it cannot be read: No such file"),
        ("SEQRANK_BUNDLE_PUBLIC_KEY", NOTHING, "is '{folder}/nope': the public key {folder}/nope cannot be read"),
    ],
)
def test_a_setting_that_cannot_work_is_named_before_the_port_is_open(refused, name, value, sentence):
    """One line, with the variable first, and code 2."""
    said = refused("--bundle", "unused", **{name: value})
    assert said.startswith(f"seqrank: {name} {sentence}")
    assert "s3cret" not in said


@pytest.mark.parametrize("scheme", ["rediss", "rediss+cluster"])
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("SEQRANK_REDIS_TLS_CA_FILE", "SEQRANK_REDIS_TLS_CA_FILE is '{folder}/nope': the TLS files"),
        (
            "SEQRANK_REDIS_TLS_CERT_FILE",
            "SEQRANK_REDIS_TLS_CERT_FILE is '{folder}/nope' and SEQRANK_REDIS_TLS_KEY_FILE",
        ),
    ],
)
def test_a_tls_file_that_is_not_there_is_named_before_the_port_is_open(refused, scheme, name, sentence):
    """Alone and on a cluster, whose client would say so at the first request only."""
    said = refused("--bundle", "unused", SEQRANK_REDIS_URL=f"{scheme}://h", **{name: NOTHING})
    assert said.startswith(f"seqrank: {sentence}")


def test_cuda_that_is_not_built_in_is_named_before_the_port_is_open(refused, monkeypatch):
    """The sentence names the variable, what was found, and what to do."""
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    said = refused("--bundle", "unused", SEQRANK_PROVIDER="cuda")
    assert said.startswith("seqrank: SEQRANK_PROVIDER is 'cuda': CUDA was asked for and cannot be had: ")
    assert "only CPUExecutionProvider; install seqrank[cuda]" in said


@pytest.mark.parametrize("option", [("--port", "99999"), ("--workers", "0")])
def test_the_option_that_was_given_is_named(refused, option):
    """Not a variable that nobody set."""
    assert refused(*option).startswith(f"seqrank: {option[0]} is '{option[1]}': input should be ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--prot", "8101"], "unrecognized arguments: --prot"),
        (["sevre"], "argument command: invalid choice: 'sevre', expected serve or doctor"),
    ],
)
def test_what_the_command_line_does_not_know_is_named(capsys, arguments, sentence):
    """A misspelt option is the mistake, not the value behind it."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"python -m app: error: {sentence}"


@pytest.mark.parametrize(
    ("settings", "opened"),
    [
        ({}, ["rank", "send feedback", "read and delete users", "add, change and delete items"]),
        ({"admin_keys": "root"}, ["rank", "send feedback", "read any user's history"]),
        ({"api_keys": "alpha"}, []),
        ({"api_keys": "alpha", "admin_keys": "root"}, []),
    ],
)
def test_what_is_open_is_said_at_start(caplog, settings, opened):
    """The warning lists everything that somebody without a key may do, and there is none if that is nothing."""
    caplog.set_level(logging.INFO, logger="seqrank")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        announce(Settings(**settings), listening)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == bool(opened)
    assert all(word in warnings[0] for word in opened)


def test_an_ipv6_address_is_said_as_a_url_has_it(caplog):
    """The address can be copied from the log."""
    caplog.set_level(logging.INFO, logger="seqrank")

    class Listening:
        def getsockname(self):
            return "::1", 8000, 0, 0

    announce(Settings(), Listening())
    assert caplog.records[0].url == "http://[::1]:8000"


@pytest.mark.parametrize("host", ["a..b", "nobody.invalid", "192.0.2.1"])
def test_a_host_that_cannot_be_listened_on_is_a_sentence(host):
    """A name that is none, one that nobody knows, and another machine's address."""
    with pytest.raises(InvalidSetting, match=f"^{host}:8000 cannot be listened on: .*; --host and --port"):
        bind(host, 8000)
