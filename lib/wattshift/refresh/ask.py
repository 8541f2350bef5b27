"""The only function of the project that opens a connection."""

import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from wattshift.refusal import Refusal

MAX_ANSWER_BYTES = 32_000_000

Ask = Callable[[str, Mapping[str, str]], Any]


def asker(address: str, timeout: float) -> Ask:
    """A function that GETs `address/path?params` and gives the JSON answer; numbers with a point come as Decimal.

    Raises Refusal, in one sentence that names the host: no connection, no whole answer within `timeout` seconds, an
    answer with an error status, one that is too long, cut off or not JSON.
    """
    host = urllib.parse.urlsplit(address).netloc

    def ask(path: str, params: Mapping[str, str]) -> Any:
        request = urllib.request.Request(
            f"{address}/{path}?{urllib.parse.urlencode(params)}",
            headers={"Accept": "application/json", "User-Agent": "wattshift"},
        )
        ends = time.monotonic() + timeout
        body = b""
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                while piece := answer.read1(65_536):
                    body += piece
                    if len(body) > MAX_ANSWER_BYTES:
                        raise Refusal(f"{host} sent more than {MAX_ANSWER_BYTES // 1_000_000} MB.")
                    if time.monotonic() > ends:
                        raise TimeoutError
        except urllib.error.HTTPError as error:
            error.close()
            raise Refusal(f"{host} answered with status {error.code}; {_hint(error.code)}.") from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, TimeoutError):
                raise Refusal(f"{host} gave no whole answer within {timeout:g} seconds.") from None
            why = getattr(reason, "strerror", None) or type(reason).__name__
            raise Refusal(f"{host} cannot be reached, or broke off ({why}); try again later.") from None
        try:
            return json.loads(body, parse_float=Decimal)
        except (ValueError, RecursionError):
            raise Refusal(
                f"the answer of {host} is not JSON, or was cut off ({len(body):,} bytes); try again later."
            ) from None

    return ask


def _hint(status: int) -> str:
    if status in (401, 403):
        return "it does not give this without a key"
    if status == 429:
        return "it was asked too often: try again later"
    return "try again later" if status >= 500 else "its interface may have changed"
