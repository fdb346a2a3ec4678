"""A node that takes tokens of an OpenID provider, which is a real HTTP server here."""

import base64
import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

pytestmark = [pytest.mark.real, pytest.mark.slow]

LITTORAL = Path(sys.executable).with_name("littoral")


@pytest.fixture
def provider():
    """Its address, and what signs tokens of it."""
    key = RSAKey.generate_key(2048, {"kid": "one"})
    documents = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            found = documents.get(self.path)
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(json.dumps(found or {}).encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    base = f"http://127.0.0.1:{server.server_address[1]}"
    documents["/.well-known/openid-configuration"] = {"jwks_uri": f"{base}/keys"}
    documents["/keys"] = {"keys": [key.as_dict(private=False)]}
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def token(life_s=600, **claims):
        body = {"iss": base, "exp": int(time.time()) + life_s, **claims}  # noqa: TID251
        return jwt.encode({"alg": "RS256", "kid": "one"}, body, key)

    yield base, token
    server.shutdown()
    server.server_close()


@pytest.fixture
def node(provider, tmp_path):
    """The HTTP address of a node that takes the provider's tokens."""
    issuers = {"plant": {"issuers": [provider[0]], "subjects": ["{{ jwt:email }}"]}}
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("LITTORAL_")}  # noqa: TID251
    process = subprocess.Popen(
        [
            LITTORAL, "up", "--dev", "--die-with-parent", "--data-dir", tmp_path / "data",
            "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--link", "127.0.0.1:0",
        ],
        env=inherited
        | {
            "LITTORAL_AUTH__ISSUERS": json.dumps(issuers),
            "LITTORAL_AUTH__ADMIN_SUBJECTS": "plant:boss@x",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None
    address = ""
    for line in process.stdout:
        if found := re.search(r"HTTP\s+(http://\S+)", line):
            address = found.group(1)
        if "data " in line and address:
            break
    assert address, "the node did not start"
    yield address
    process.terminate()
    process.wait(20)
    with contextlib.suppress(OSError):
        process.stdout.close()


def get(url, authorization):
    request = urllib.request.Request(url, headers={"authorization": authorization})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as e:
        with e:
            return e.code, json.load(e)


def test_a_token_of_the_provider_signs_in(node, provider):
    _, token = provider
    status, me = get(f"{node}/api/2/whoami", f"Bearer {token(email='alice@x')}")
    assert (status, me["defaultSubject"]) == (200, "plant:alice@x")
    boss = f"Bearer {token(email='boss@x')}"
    assert get(f"{node}/api/littoral/v1/tenants", boss)[0] == 200
    alice = f"Bearer {token(email='alice@x')}"
    assert get(f"{node}/api/littoral/v1/tenants", alice)[0] == 403


def test_others_and_old_ones_do_not(node, provider):
    base, token = provider
    status, problem = get(f"{node}/api/2/whoami", f"Bearer {token(life_s=-60, email='a@x')}")
    assert (status, problem["error"]) == (401, "gateway:authentication.failed")
    other = token(iss=base + "0", email="a@x")
    status, problem = get(f"{node}/api/2/whoami", f"Bearer {other}")
    assert (status, problem["error"]) == (401, "gateway:jwt.issuer.notsupported")


def test_passwords_work_beside_tokens(node):
    basic = base64.b64encode(b"ditto:ditto").decode()
    assert get(f"{node}/api/2/whoami", f"Basic {basic}")[1]["defaultSubject"] == "nginx:ditto"
