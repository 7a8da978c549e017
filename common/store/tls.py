"""Whether Redis can be spoken to by TLS; if not, what stands in the way, in words that say what to do.

Clients of Redis, and Celery, take whatever goes wrong with TLS for a Redis that is away, and try again.
"""

from __future__ import annotations

import socket
import ssl
from urllib.parse import unquote, urlsplit

from common.errors import BrokerUnavailable, SettingsError
from common.redis_url import CA_FILE, CERT_FILE, KEY_FILE, TLS_SETTINGS, without_tls_options

_TIMEOUT_SECONDS = 5.0
_PORT = 6379

# OpenSSL's numbers of what is wrong with a certificate.
_NOT_YET_VALID, _EXPIRED = 9, 10
_OTHER_NAME, _OTHER_ADDRESS = 62, 64

# Parts of the names that OpenSSL gives to what a server says when it wants a certificate, and to what is no TLS.
_ABOUT_OUR_CERTIFICATE = ("CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE")
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH")


def require_tls(url: str) -> None:
    """Raise if the Redis at a `rediss://` URL answers, and cannot be spoken to; return if it is away.

    Raises
    ------
    SettingsError
        If a file that the settings name cannot be used.
    BrokerUnavailable
        If its certificate cannot be verified, it refuses ours or asks for one, or it speaks no TLS. The message
        begins with what the Redis at that address does.
    """
    options = without_tls_options(url)[1]
    if options is None:
        return
    files = {name: str(options[name]) for name in TLS_SETTINGS if name in options}
    context, parts = _context(files), urlsplit(url)
    host = unquote(parts.hostname or "")
    try:
        connection = socket.create_connection((host, parts.port or _PORT), _TIMEOUT_SECONDS)
    except OSError:
        return
    with connection:
        try:
            encrypted = context.wrap_socket(connection, server_hostname=host)
        except ssl.SSLCertVerificationError as error:
            raise BrokerUnavailable(_why_not_verified(error, files)) from error
        except ssl.SSLError as error:
            raise BrokerUnavailable(_why_no_handshake(error, files)) from error
        except TimeoutError as error:
            raise BrokerUnavailable(
                "does not answer by TLS: name the port on which it speaks TLS, or write redis:// where it speaks none"
            ) from error
        except OSError:
            return
        with encrypted:
            _require_answer(encrypted, files)


def _context(files: dict[str, str]) -> ssl.SSLContext:
    """Return what clients of Redis verify with; raise `SettingsError` if a file cannot be used."""
    context = ssl.create_default_context()
    if (ca_file := files.get(CA_FILE)) is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except OSError as error:  # ssl.SSLError is one
            raise SettingsError(
                f"{TLS_SETTINGS[CA_FILE]}: {ca_file} cannot be used ({_words(error)}): it must hold, as PEM, the "
                "certificate of the authority that signed Redis' own"
            ) from error
    if (cert_file := files.get(CERT_FILE)) is not None:
        try:
            context.load_cert_chain(cert_file, files.get(KEY_FILE), password=_no_passphrase)
        except OSError as error:
            raise SettingsError(
                f"{TLS_SETTINGS[CERT_FILE]}: {cert_file} cannot be used with the key in {files.get(KEY_FILE)}, which "
                f"{TLS_SETTINGS[KEY_FILE]} names ({_words(error)}): both must be PEM, and belong together"
            ) from error
    return context


def _require_answer(encrypted: ssl.SSLSocket, files: dict[str, str]) -> None:
    """Raise `BrokerUnavailable` if the server ends the connection: of TLS 1.3 it looks at our certificate only now."""
    try:
        encrypted.sendall(b"PING\r\n")
        if encrypted.recv(1):
            return
    except TimeoutError:
        return
    except OSError as error:
        raise BrokerUnavailable(_about_our_certificate(files, _words(error))) from error
    raise BrokerUnavailable(_about_our_certificate(files, "it ended the connection"))


def _why_not_verified(error: ssl.SSLCertVerificationError, files: dict[str, str]) -> str:
    said = error.verify_message
    if error.verify_code in (_OTHER_NAME, _OTHER_ADDRESS):
        return (
            f"shows a certificate for another name ({said}): write into SENTINEL_REDIS_URL a name or address that "
            "stands in it as subjectAltName, or have one made that has this name"
        )
    if error.verify_code in (_NOT_YET_VALID, _EXPIRED):
        return f"shows a certificate that is not valid now ({said}): renew it, or set the clock of this machine"
    by = f"what {TLS_SETTINGS[CA_FILE]} names ({files[CA_FILE]})" if CA_FILE in files else "this system's authorities"
    return (
        f"shows a certificate that {by} did not sign ({said}): set {TLS_SETTINGS[CA_FILE]} to a file with the "
        "certificate of the authority that did"
    )


def _why_no_handshake(error: ssl.SSLError, files: dict[str, str]) -> str:
    said = _words(error)
    if isinstance(error, ssl.SSLEOFError) or any(part in said for part in _NO_TLS):
        return f"speaks no TLS ({said}): name the port on which it does, or write redis:// where it speaks none"
    if any(part in said for part in _ABOUT_OUR_CERTIFICATE):
        return _about_our_certificate(files, said)
    return f"cannot be spoken to by TLS ({said}): see its log"


def _about_our_certificate(files: dict[str, str], said: str) -> str:
    if CERT_FILE not in files:
        return (
            f"asks for a certificate ({said}): set {TLS_SETTINGS[CERT_FILE]} and {TLS_SETTINGS[KEY_FILE]}, or let it "
            "ask for none (tls-auth-clients no)"
        )
    return (
        f"refuses the certificate of {TLS_SETTINGS[CERT_FILE]} ({said}): name one that the authority in its "
        "tls-ca-cert-file signed, and that has not expired"
    )


def _no_passphrase() -> str:
    # Without this OpenSSL asks for one on the terminal, and a process waits there for ever.
    raise SettingsError(
        f"{TLS_SETTINGS[KEY_FILE]} names a key that is encrypted, and nobody is there to type its passphrase: name one "
        "that is not, and that this user alone can read"
    )


def _words(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or str(error)
    return error.strerror or str(error)
