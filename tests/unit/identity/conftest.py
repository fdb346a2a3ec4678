"""Identities on a real registry and log, in memory and on virtual time; tokens are really signed."""

import asyncio
import base64
import json
import random

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from littoral.identity import Identities, IdentitySettings, Issuer, KeysUnavailable, Proofs
from littoral.identity.adapters.jose import JoseVerifier
from littoral.kernel.ids import NodeId
from littoral.log import Log
from littoral.log.adapters.committer import InlineCommitter
from littoral.log.adapters.memory import MemoryStore
from littoral.registry import Registry, seed_development
from littoral.registry.adapters.argon2 import InlineArgon2Hasher
from littoral.simulate import SeededEntropy, VirtualClock, run

BASE = "https://accounts.example.com"
KEYS_URL = f"{BASE}/keys"


class Web:
    """A `KeyFetcher`: documents by address, which may be taken away."""

    def __init__(self):
        self.documents = {
            f"{BASE}/.well-known/openid-configuration": json.dumps({"jwks_uri": KEYS_URL}).encode()
        }
        self.asked = []

    async def fetch(self, url):
        self.asked.append(url)
        await asyncio.sleep(0.01)
        if url not in self.documents:
            raise KeysUnavailable(f"{url} cannot be reached.")
        return self.documents[url]


class Issuers:
    """An OpenID provider: its keys, what it publishes, and the tokens that it signs."""

    def __init__(self, web):
        self.web = web
        self.keys = {
            "rsa": RSAKey.generate_key(2048, {"kid": "rsa"}),
            "ec": ECKey.generate_key("P-256", {"kid": "ec"}),
            "ed": OKPKey.generate_key("Ed25519", {"kid": "ed"}),
        }
        self.publish(*self.keys.values())

    def publish(self, *keys):
        document = {"keys": [key.as_dict(private=False) for key in keys]}
        self.web.documents[KEYS_URL] = json.dumps(document).encode()

    def token(self, now_ms, alg="RS256", key=None, *, kid=True, life_s=600, **claims):
        kinds = {"RS": "rsa", "PS": "rsa", "ES": "ec", "Ed": "ed"}
        key = key or self.keys[kinds[alg[:2]]]
        body = {"iss": BASE, "sub": "alice", "exp": now_ms // 1000 + life_s, **claims}
        header = {"alg": alg} | ({"kid": key.kid} if kid else {})
        return jwt.encode(header, body, key, algorithms=[alg])


class World:
    def __init__(self, settings):
        loop = asyncio.get_running_loop()
        self.clock = VirtualClock(loop)
        entropy = SeededEntropy(random.Random(7))
        self.log = Log.open(
            store=MemoryStore(),
            committer=InlineCommitter(loop),
            clock=self.clock,
            entropy=entropy,
            node=NodeId("cloud"),
            loop=loop,
        )
        self.registry = Registry(self.log, InlineArgon2Hasher(entropy), self.clock, entropy)
        seed_development(self.registry)
        self.web = Web()
        self.issuer = Issuers(self.web)
        self.identities = Identities(
            self.registry,
            self.clock,
            entropy,
            settings,
            verifier=JoseVerifier(),
            fetcher=self.web,
        )

    def token(self, **claims):
        return self.issuer.token(self.clock.now_ms(), **claims)

    async def bearer(self, token):
        return await self.identities.identify(Proofs(authorization=f"Bearer {token}"))

    async def basic(self, name, password):
        text = base64.b64encode(f"{name}:{password}".encode()).decode()
        return await self.identities.identify(Proofs(authorization=f"Basic {text}"))


@pytest.fixture
def in_world():
    """Runs ``async def main(world)`` in the virtual world."""

    def start(main, *, settings=None, **issuer):
        async def world():
            chosen = settings or IdentitySettings(
                issuers=(Issuer("plant", ("accounts.example.com",), **issuer),)
            )
            return await main(World(chosen))

        return run(world())

    return start
