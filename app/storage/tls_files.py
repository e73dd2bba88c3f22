"""Opens the PEM files that a TLS connection to Redis needs."""

from __future__ import annotations

import ssl

from app.errors import InvalidSetting


def tls_context(*, ca_file: str, cert_file: str, key_file: str, check_host_name: bool) -> ssl.SSLContext:
    """Return the context of a connection.

    Args:
        ca_file: Of the authority; empty means the system's.
        cert_file: Of a client certificate; empty means none.
        key_file: Of its key; empty means that the certificate's file holds it.
        check_host_name: Whether the server's certificate must carry the host's name.

    Raises:
        InvalidSetting: If a file cannot be used; the sentence names the variable.
    """
    setting = f"SEQRANK_REDIS_TLS_CA_FILE is {ca_file!r}"
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
        context.check_hostname = check_host_name
        if cert_file:
            setting = f"SEQRANK_REDIS_TLS_CERT_FILE is {cert_file!r} and SEQRANK_REDIS_TLS_KEY_FILE {key_file!r}"
            context.load_cert_chain(cert_file, key_file or None)
    except (OSError, ssl.SSLError) as error:
        raise InvalidSetting(f"{setting}: the TLS files for Redis cannot be used: {error}") from error
    return context
