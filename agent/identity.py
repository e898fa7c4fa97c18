"""The agent's own certificate, by which a controller knows it, and the authority whose clients it serves."""

from __future__ import annotations

import ssl
import threading

from agent.errors import InvalidRequest
from agent.files import replace_file
from agent.memory_file import in_memory
from agent.settings import LiveSettings, Settings

_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"

#: The settings that say whom a controller will find, and who may come.
_CONCERNED = ("agent_server_ca", "agent_server_cert", "agent_tls_protocol", "amphora_id")

#: An in-memory handshake takes three messages; more turns than this and it does not end.
_TURNS = 10


class Identity:
    """Makes the TLS side of connections of what the settings in force name, and takes a new certificate."""

    def __init__(self, settings: LiveSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        settings.guards.append(self._guard)

    @property
    def amphora_id(self) -> str | None:
        """The name that the certificate has to carry."""
        return self._settings.current.amphora_id

    def context(self) -> ssl.SSLContext:
        """For one connection: files are read anew each time, so that what is in place now counts. Raises OSError (ssl.SSLError too)."""
        settings = self._settings.current
        return _server_context(settings, settings.agent_server_cert.read_bytes())

    def certificate(self) -> bytes:
        """The certificate in place, DER. Raises OSError; InvalidRequest where it is none."""
        return ssl.PEM_cert_to_DER_cert(_leaf(self._settings.current.agent_server_cert.read_bytes()))

    def authority(self) -> bytes:
        """The certificates of the clients' authority, PEM. Raises OSError."""
        return self._settings.current.agent_server_ca.read_bytes()

    def check(self, settings: Settings) -> None:
        """Raises InvalidRequest where these settings would leave the agent without a certificate that a controller can trust."""
        try:
            content = settings.agent_server_cert.read_bytes()
        except OSError as error:
            raise InvalidRequest(f"the agent's certificate {settings.agent_server_cert} cannot be read: {error.strerror}") from error
        self._examine(settings, content)

    def _guard(self, settings: Settings) -> None:
        """Looks at new settings where they are about this; a certificate that is in use is not to keep others from being changed."""
        current = self._settings.current
        if any(getattr(settings, name) != getattr(current, name) for name in _CONCERNED):
            self.check(settings)

    def replace(self, content: bytes) -> None:
        """Puts an uploaded certificate with its key in place, for connections from now on. Those that there are go on.

        Raises InvalidRequest, and nothing changes, where it does not parse, does not match its key, is not valid now, does not carry the
        amphora's id, or no handshake comes about with it; OSError.
        """
        with self._lock:
            settings = self._settings.current
            self._examine(settings, content)
            replace_file(settings.agent_server_cert, content, 0o600)

    @staticmethod
    def _examine(settings: Settings, content: bytes) -> None:
        leaf = _leaf(content)
        try:
            server = _server_context(settings, content)
        except OSError as error:
            reason = getattr(error, "reason", None) or error.strerror or "no reason given"
            raise InvalidRequest(
                f"the certificate and its key, or the authority {settings.agent_server_ca}, cannot be used: {reason}"
            ) from error
        # No authority asks for itself; who serves is looked at here, not who calls.
        server.verify_mode = ssl.CERT_NONE
        try:
            _handshake(server, _caller(leaf, settings.amphora_id), settings.amphora_id)
        except ssl.SSLCertVerificationError as error:
            raise InvalidRequest(f"no controller would trust this certificate: {error.verify_message}") from error
        except (ssl.SSLError, ValueError) as error:
            raise InvalidRequest(f"no TLS handshake comes about with this certificate: {error}") from error


def _leaf(content: bytes) -> str:
    """The first certificate of a PEM file: the one that is presented."""
    begin = content.find(_BEGIN)
    end = content.find(_END, begin)
    if begin < 0 or end < 0:
        raise InvalidRequest("the certificate: there is none in it; PEM with a certificate and its key is needed")
    return content[begin : end + len(_END)].decode("ascii", "replace")


def _server_context(settings: Settings, certificate: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3 if settings.agent_tls_protocol == "TLSv1.3" else ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cafile=settings.agent_server_ca)
    # Read once: `ssl` opens the file for the certificate and again for the key, and another one may have taken its place meanwhile.
    with in_memory(certificate) as path:
        # With a password given, an encrypted key is an error instead of a question on the terminal.
        context.load_cert_chain(path, password="")
    # A resumed session would outlive a change of certificates.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    return context


def _caller(leaf: str, amphora_id: str | None) -> ssl.SSLContext:
    """A controller that trusts this very certificate: so all but the issuer is judged, whom nobody here knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = amphora_id is not None
    context.hostname_checks_common_name = False
    try:
        context.load_verify_locations(cadata=leaf)
    except (ssl.SSLError, ValueError) as error:
        raise InvalidRequest(f"the certificate: it cannot be parsed ({getattr(error, 'reason', None) or error})") from error
    return context


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str | None) -> None:
    """A whole handshake in memory. Raises ssl.SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    theirs = client.wrap_bio(to_client, to_server, server_hostname=name)
    unfinished = [theirs, ours]
    for _ in range(_TURNS):
        for side in list(unfinished):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            unfinished.remove(side)
        if not unfinished:
            return
    raise ssl.SSLError("it does not come to an end")
