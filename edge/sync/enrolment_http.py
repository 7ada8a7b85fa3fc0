"""The two HTTPS requests of an enrolment, over one TLS context that the caller chose."""

from __future__ import annotations

import http.client
import ssl
from dataclasses import dataclass

from edge.errors import EnrolmentError
from edge.sync import enrolment_errors as answers
from edge.sync.endpoint import Endpoint

TIMEOUT_SECONDS = 30.0
MAX_ANSWER_BYTES = 1 << 20

# X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED of OpenSSL.
_DATE_ERRORS = (9, 10)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """What came back."""

    status: int
    body: bytes
    date: str
    """The other side's clock (RFC 9110, 6.6.1), empty when it told none."""


class HttpsDoor:
    """The control plane's HTTPS listener. Each request is a connection of its own."""

    def __init__(self, endpoint: Endpoint, context: ssl.SSLContext) -> None:
        self._endpoint = endpoint
        self._context = context

    def get(self, path: str) -> HttpAnswer:
        """GET. Raises EnrolmentError when there is no answer, with what stood in the way."""
        return self._ask("GET", path, None)

    def post_json(self, path: str, body: bytes) -> HttpAnswer:
        """POST a JSON document. Raises EnrolmentError when there is no answer, with what stood in the way."""
        return self._ask("POST", path, body)

    def _ask(self, method: str, path: str, body: bytes | None) -> HttpAnswer:
        headers = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if body else {})
        connection = http.client.HTTPSConnection(
            self._endpoint.host, self._endpoint.port, timeout=TIMEOUT_SECONDS, context=self._context
        )
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            content = answer.read(MAX_ANSWER_BYTES)
            return HttpAnswer(status=answer.status, body=content, date=answer.getheader("Date", ""))
        except ssl.SSLCertVerificationError as error:
            raise self._untrusted(error) from error
        except (OSError, http.client.HTTPException) as error:
            raise answers.unreachable(str(self._endpoint), error) from error
        finally:
            connection.close()

    def _untrusted(self, error: ssl.SSLCertVerificationError) -> EnrolmentError:
        if error.verify_code in _DATE_ERRORS:
            return answers.certificate_dates(error.verify_message)
        return answers.untrusted(str(self._endpoint), error.verify_message)
