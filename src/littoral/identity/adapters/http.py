"""Documents of issuers over HTTPS with httpx."""

import httpx

from littoral.identity.errors import KeysUnavailable
from littoral.identity.model import KEYS_BYTES_MAX

_TIMEOUT_S = 5.0


class HttpKeyFetcher:
    """A `KeyFetcher`. No redirects: an issuer's keys are where it says, or nowhere."""

    async def fetch(self, url: str) -> bytes:
        """See `KeyFetcher.fetch`."""
        try:
            async with (
                httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=True) as client,
                client.stream("GET", url, headers={"accept": "application/json"}) as answer,
            ):
                if answer.status_code != 200:
                    raise KeysUnavailable(f"{url} answered {answer.status_code}.")
                data = b""
                async for piece in answer.aiter_bytes():
                    data += piece
                    if len(data) > KEYS_BYTES_MAX:
                        break
                return data
        except httpx.HTTPError as e:
            raise KeysUnavailable(
                f"{url} cannot be reached: {e}.", hint="See that the node can reach the issuer."
            ) from e
