"""One exchange with an agent over mutual TLS, within a time limit and a bound: a connection, a request, its answer.

A connection is made for each exchange. So whatever fails before the request is sent can be tried again without harm, and one that an agent
has meanwhile given up is never met.
"""

from __future__ import annotations

import http.client
import ssl
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import urllib3.exceptions
from urllib3.connection import HTTPSConnection

from agent.clock import Clock
from agent.errors import AgentUnreachable, InvalidRequest, NotAllowed, UnexpectedAnswer, UntrustedAgent
from agent.settings import Endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from urllib3.response import BaseHTTPResponse

#: Bytes of an answer. The largest that there is are configurations, which an agent takes up to 16 MiB of.
LIMIT = 32 * 1024 * 1024
_CHUNK = 64 * 1024

#: Seconds for a connection to come about, where a whole exchange has more.
_CONNECTING = 10.0

#: Seconds between two tries to connect.
_PAUSE = 2.0


class Answer(NamedTuple):
    """What came back. Names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class AgentConnection:
    """Where an agent is, who it must be, and who we are to it.

    `timeout`: seconds for an exchange, once connected. `retries`: how many more times to try where no connection comes about.
    """

    def __init__(self, place: Endpoint, amphora_id: str, context: ssl.SSLContext, *, timeout: float, retries: int, clock: Clock) -> None:
        self.place = place
        self._name = amphora_id
        self._context = context
        self._timeout = timeout
        self._retries = retries
        self._clock = clock

    def exchange(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        content_type: str | None = None,
        more: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request, with `more` headers, and its answer, whatever that is. Raises AgentUnreachable, UntrustedAgent, NotAllowed,
        UnexpectedAnswer.
        """
        # The name is the agent's own: what it is reached by may be anything, a link-local address with its zone too.
        headers = {
            "Host": f"{self._name}:{self.place.port}",
            "User-Agent": "hydria",
            "Accept": "*/*",
            "Connection": "close",
            **(more or {}),
        }
        if content_type is not None:
            headers["Content-Type"] = content_type
        connection = self._connected()
        try:
            return self._ask(connection, method, path, content, headers)
        except TimeoutError as error:
            raise AgentUnreachable(f"{self.place}: no whole answer to {method} {path} within {self._timeout:g} s") from error
        except OSError as error:
            reason = (
                f"the connection broke off before an answer to {method} {path} had come ({_words(error)}); it may have been done or not"
            )
            raise self._refused(error) or AgentUnreachable(f"{self.place}: {reason}") from error
        except http.client.HTTPException as error:
            raise UnexpectedAnswer(f"{self.place}: the answer to {method} {path} is not HTTP ({error!r})") from error
        finally:
            connection.close()

    def _connected(self) -> HTTPSConnection:
        for retries in range(self._retries, -1, -1):
            connection = HTTPSConnection(
                self.place.address,
                self.place.port,
                timeout=min(self._timeout, _CONNECTING),
                server_hostname=self._name,
                ssl_context=self._context,
            )
            try:
                connection.connect()
            except ssl.SSLCertVerificationError as error:
                connection.close()
                raise UntrustedAgent(
                    f"{self.place} did not prove to be the agent of amphora {self._name}: {error.verify_message}"
                ) from error
            except (urllib3.exceptions.HTTPError, OSError) as error:
                connection.close()
                refused = self._refused(error)
                if refused or not retries:
                    raise refused or AgentUnreachable(f"{self.place}: no connection: {_words(error)}") from error
                self._clock.sleep(_PAUSE)
            else:
                return connection
        raise AssertionError  # the last try ends in one way or the other

    def _ask(self, connection: HTTPSConnection, method: str, path: str, content: bytes | None, headers: Mapping[str, str]) -> Answer:
        if isinstance(connection.sock, _TimedSocket):
            connection.sock.limit(self._clock, self._timeout)
        try:
            # Who has heard enough, or does not take our certificate, answers and closes before all is sent. What it said is there to be read.
            with suppress(BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
                connection.request(method, path, content, headers, preload_content=False, decode_content=False)
            response = connection.getresponse()
            return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, self._read(response))
        except urllib3.exceptions.HTTPError as error:
            raise _cause(error) from error

    def _read(self, response: BaseHTTPResponse) -> bytes:
        content = bytearray()
        while chunk := response.read(_CHUNK):
            content += chunk
            if len(content) > LIMIT:
                raise UnexpectedAnswer(f"{self.place}: an answer is larger than {LIMIT >> 20} MiB")
        return bytes(content)

    def _refused(self, error: Exception) -> NotAllowed | AgentUnreachable | None:
        """What TLS has to say. An alert means that our certificate is not taken; with TLS 1.3 it comes in place of an answer."""
        if not isinstance(error, ssl.SSLError) or isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return None
        if "ALERT" in (error.reason or ""):
            return NotAllowed(f"{self.place} does not accept the certificate that it was shown ({error.reason})")
        return AgentUnreachable(f"{self.place}: no TLS connection: {error.reason or error}")


class _TimedSocket(ssl.SSLSocket):
    """A TLS socket with an end: whatever is done with it is over in time, however slowly the other side goes on."""

    _clock: Clock | None = None
    _deadline = 0.0

    def limit(self, clock: Clock, seconds: float) -> None:
        """From now on there are `seconds`."""
        self._clock = clock
        self._deadline = clock.monotonic() + seconds

    def recv_into(self, *arguments: Any) -> int:
        """As of any socket."""
        self._hurry()
        return super().recv_into(*arguments)

    def send(self, *arguments: Any) -> int:
        """As of any socket."""
        self._hurry()
        return super().send(*arguments)

    def _hurry(self) -> None:
        if self._clock is not None:
            remaining = self._deadline - self._clock.monotonic()
            if remaining <= 0:
                raise TimeoutError
            self.settimeout(remaining)


def client_context(ca: Path, certificate: Path) -> ssl.SSLContext:
    """TLS for one who trusts the authorities in `ca` and shows `certificate` (with its key). Raises OSError; InvalidRequest, which says which."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    context.sslsocket_class = _TimedSocket
    for path in (ca, certificate):
        path.open("rb").close()  # `ssl` would not say which file it is
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError as error:
        raise InvalidRequest(f"{ca}: not certificates of authorities in PEM ({error.reason or error})") from error
    try:
        context.load_cert_chain(certificate, password=lambda: b"")  # without one, a terminal would be asked
    except ssl.SSLError as error:
        raise InvalidRequest(
            f"{certificate}: not a certificate and its key, in PEM without a passphrase ({error.reason or error})"
        ) from error
    return context


def _cause(error: urllib3.exceptions.HTTPError) -> Exception:
    """What urllib3 has wrapped: of the system, of TLS, of HTTP."""
    if isinstance(error, urllib3.exceptions.TimeoutError):
        return TimeoutError()
    cause = error if isinstance(error, http.client.HTTPException) else error.__cause__ or error.__context__  # some are both
    if isinstance(cause, http.client.IncompleteRead):
        return ConnectionResetError("too little came")
    return cause if isinstance(cause, OSError | http.client.HTTPException) else http.client.HTTPException(str(error))


def _words(error: Exception) -> str:
    """What a person understands of it."""
    cause = error if isinstance(error, OSError) else error.__cause__
    if isinstance(cause, OSError) and not isinstance(cause, TimeoutError):
        return cause.strerror or str(cause) or type(cause).__name__
    return "timed out" if isinstance(error, urllib3.exceptions.TimeoutError | TimeoutError) else str(error)
