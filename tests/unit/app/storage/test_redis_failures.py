"""Sentences for what Redis says."""

from __future__ import annotations

import socket
import ssl

import pytest
from redis import exceptions

from app.storage.redis_failures import reply_failure, storage_failure


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (exceptions.TimeoutError("Timeout reading from host"), "did not answer in time"),
        (TimeoutError(), "did not answer in time"),
        (exceptions.ConnectionError("Connection refused"), "cannot be reached"),
        (ConnectionResetError(), "cannot be reached"),
        (AttributeError("'NoneType' object has no attribute 'writelines'"), "cannot be reached"),
        (exceptions.BusyLoadingError("is loading", status_code="LOADING"), "still loading"),
        (exceptions.ReadOnlyError("You can't write", status_code="READONLY"), "read-only replica"),
        (exceptions.OutOfMemoryError("command not allowed", status_code="OOM"), "memory limit"),
        (exceptions.ResponseError("MISCONF Errors writing to the AOF file"), "cannot save to its disk"),
        (exceptions.ResponseError("Command # 1 (GET k) of pipeline caused error: ('WRONGTYPE x',)"), "another program"),
        (exceptions.ConnectionError("max number of clients reached"), "see its maxclients"),
        (RuntimeError("unable to perform operation on <TCPTransport closed=True>"), "closed the connection"),
        (exceptions.ResponseError("ERR key user-secret-id"), "the error 'ERR'"),
        (exceptions.RedisClusterException("slot 1 not covered"), "RedisClusterException"),
    ],
)
def test_an_error_becomes_a_sentence(error, sentence):
    """What was tried and what is wrong are named; Redis's own words, which may hold keys, are not."""
    message = str(storage_failure(error, doing="store the events"))
    assert message.startswith("could not store the events: ")
    assert sentence in message
    assert "user-secret-id" not in message


@pytest.mark.parametrize(
    ("cause", "sentence"),
    [
        (socket.gaierror(-2, "Name or service not known"), "the host name of Redis cannot be resolved"),
        (ConnectionRefusedError(111, "Connect call failed"), "nothing listens at its address"),
        (FileNotFoundError(2, "No such file"), "there is no socket at its path"),
        (PermissionError(13, "Permission denied"), "its socket may not be used by this user"),
        (ssl.SSLCertVerificationError("self-signed certificate"), "TLS certificate was not accepted"),
        (ssl.SSLError("wrong version number"), "the TLS connection to Redis failed"),
        (TimeoutError(), "did not answer in time"),
    ],
)
def test_a_connection_that_cannot_be_had_says_why(cause, sentence):
    """What the system said when redis-py tried to connect is told, though redis-py raises an error of its own."""
    error = exceptions.ConnectionError("Error connecting")
    error.__cause__ = cause
    assert sentence in str(storage_failure(error, doing="store the events"))


def test_why_a_certificate_was_not_accepted_is_said():
    """One that has expired is not mended by naming another authority."""
    error = ssl.SSLCertVerificationError("certificate verify failed")
    error.verify_message = "certificate has expired"
    assert "was not accepted (certificate has expired)" in str(storage_failure(error, doing="store"))


def test_who_knows_why_the_store_is_away_is_believed():
    """A reason from the embedded store replaces the guess about a broken connection, but not what Redis itself said."""
    broken, refused = exceptions.ConnectionError("Connection closed"), exceptions.ResponseError("OOM command")
    assert str(storage_failure(broken, doing="store", away="the disk is full")) == "could not store: the disk is full"
    assert "memory limit" in str(storage_failure(refused, doing="store", away="the disk is full"))


def test_an_error_reply_becomes_a_sentence():
    """The rank path's error replies are named alike."""
    message = str(reply_failure("LOADING Redis is loading the dataset in memory", doing="read from Redis"))
    assert message == "could not read from Redis: Redis is still loading its data"
    assert "'ERR'" in str(reply_failure("ERR unknown", doing="read from Redis"))
    assert "see its maxclients" in str(reply_failure("ERR max number of clients reached", doing="read from Redis"))
