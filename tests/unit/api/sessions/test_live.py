"""The live channel over WebSockets: commands to devices, events of devices, announcements."""

import asyncio
import base64
import json
from dataclasses import replace
from urllib.parse import quote

from littoral.api import build_app
from littoral.identity import Identities, IdentitySettings, Issuer

T = "/api/2/things/org.acme:pump"
PUMP = {"policyId": "org.littoral:default", "attributes": {"a": 1, "site": "s1"}}
LIVE = "org.acme/pump/things/live/"


def signal(kind, action, path="/", value=None, **headers):
    frame = {
        "topic": f"{LIVE}{kind}/{action}",
        "headers": {"correlation-id": "c"} | headers,
        "path": path,
    }
    return frame if value is None else frame | {"value": value}


def answer_to(frame, status, value=None):
    answer = {k: frame[k] for k in ("topic", "path", "headers")} | {"status": status}
    return answer if value is None else answer | {"value": value}


async def eve(node, **grants):
    node.registry.put_user("eve", generated_password="e")
    whole = {
        f"{k}:/": {"grant": ["READ", "WRITE"], "revoke": []} for k in ("thing", "policy", "message")
    }
    policy = {
        "entries": {
            "owner": {"subjects": {"nginx:ditto": {"type": "x"}}, "resources": whole},
            "eve": {
                "subjects": {"nginx:eve": {"type": "x"}},
                "resources": {k: {"grant": v, "revoke": []} for k, v in grants.items()},
            },
        }
    }
    await node.call("PUT", "/api/2/policies/org.acme:p", policy)
    await node.call("PUT", T, PUMP | {"policyId": "org.acme:p"})


def test_a_refusal_says_on_which_channel_the_answer_was_waited_for(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        async with node.socket() as asker:
            await asker.accepted()
            asked = signal("commands", "retrieve", "/attributes")
            asked["topic"] = "org.acme/pump/things/twin/commands/retrieve"
            asked["headers"] |= {"live-channel-condition": "exists(attributes)", "timeout": "1s"}
            late = await asker.ask(asked)
            assert (late["status"], late["headers"]["channel"]) == (408, "live")
            assert late["headers"]["live-channel-condition-matched"] == "true"

    on_node(main)


def test_a_live_command_is_answered_by_the_device_itself(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        async with node.socket() as asker, node.socket() as device:
            await asker.accepted()
            await device.accepted()
            assert await device.ask("START-SEND-LIVE-COMMANDS") == "START-SEND-LIVE-COMMANDS:ACK"
            asker.say(signal("commands", "modify", "/attributes/a", 7, **{"x-run": "1"}))
            heard = await device.json()
            assert (heard["topic"], heard["path"], heard["value"]) == (
                LIVE + "commands/modify",
                "/attributes/a",
                7,
            )
            assert heard["headers"]["x-run"] == "1"
            assert heard["headers"]["ditto-originator"] == "nginx:ditto"
            assert heard["headers"]["response-required"] is True
            device.say(answer_to(heard, 204))
            done = await asker.json()
            assert (done["status"], done["topic"]) == (204, LIVE + "commands/modify")
            asker.say(signal("commands", "retrieve", "/attributes/a"))
            device.say(answer_to(await device.json(), 200, 41))
            assert (await asker.json())["value"] == 41
            assert (await node.call("GET", T + "/attributes/a")).json == 1, "the twin is not asked"
            # HTTP gets to the same device.
            async with asyncio.TaskGroup() as tasks:
                call = tasks.create_task(node.call("GET", T + "/attributes/a?channel=live"))
                device.say(answer_to(await device.json(), 200, 42))
            assert call.result().json == 42

    on_node(main)


def test_a_live_command_that_nobody_answers_is_late_and_one_without_response_is_silent(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        async with node.socket() as socket:
            await socket.accepted()
            late = await socket.ask(signal("commands", "retrieve", "/attributes/a", timeout="3s"))
            assert late["status"] == 408
            assert late["topic"] == LIVE + "errors"
            socket.say(
                signal("commands", "modify", "/attributes/a", 1, **{"response-required": False})
            )
            assert await socket.is_silent(20)
            # An answer to nothing harms nobody.
            socket.say(signal("commands", "modify", "/attributes/a") | {"status": 204})
            assert await socket.is_silent()

    on_node(main)


def test_live_commands_need_what_the_twin_needs_and_are_heard_by_those_who_may_read(on_node):
    async def main(node):
        await eve(node, **{"thing:/attributes/site": ["READ"]})
        async with node.socket() as ditto, node.socket(user=("eve", "e")) as other:
            await ditto.accepted()
            await other.accepted()
            await other.ask("START-SEND-LIVE-COMMANDS?namespaces=org.acme")
            refused = await other.ask(signal("commands", "modify", "/attributes/site", "x"))
            assert refused["status"] == 403
            ditto.say(signal("commands", "modify", "/attributes/a", 2, timeout="1s"))
            ditto.say(
                signal(
                    "commands",
                    "modify",
                    "/attributes/site",
                    "y",
                    **{"correlation-id": "d"},
                    timeout="1s",
                )
            )
            assert (await other.json())["path"] == "/attributes/site"
            assert await other.is_silent()

    on_node(main)


def test_live_events_go_to_those_who_filter_for_them(on_node):
    async def main(node):
        await eve(node, **{"thing:/attributes/site": ["READ"]})
        async with (
            node.socket() as device,
            node.socket() as listener,
            node.socket(user=("eve", "e")) as other,
        ):
            for socket in (device, listener, other):
                await socket.accepted()
            narrowed = quote("and(gt(attributes/a,5),eq(topic:action,'modified'))", safe="")
            await listener.ask(
                f"START-SEND-LIVE-EVENTS?filter={narrowed}&extraFields=attributes/site"
            )
            await other.ask("START-SEND-LIVE-EVENTS")
            for value in (3, 8):
                device.say(signal("events", "modified", "/attributes/a", value))
            device.say(signal("events", "created", "/attributes/a", 9))
            heard = await listener.json()
            assert (heard["value"], heard["extra"]) == (8, {"attributes": {"site": "s1"}})
            assert await listener.is_silent()
            assert await other.is_silent()
            refused = await other.ask(signal("events", "modified", "/attributes/a", 1))
            assert refused["value"]["error"] == "things:event.notallowed"
            assert (await node.call("GET", T + "/attributes/a")).json == 1

    on_node(main)


def test_messages_are_filtered_and_enriched(on_node):
    async def main(node):
        await node.call("PUT", T, PUMP)
        async with node.socket() as sender, node.socket() as listener:
            await sender.accepted()
            await listener.accepted()
            narrowed = quote("and(like(topic:subject,'al*'),eq(attributes/site,'s1'))", safe="")
            await listener.ask(f"START-SEND-MESSAGES?filter={narrowed}&extraFields=attributes")
            for subject in ("alarm", "other"):
                path = f"/outbox/messages/{subject}"
                sender.say(
                    signal("messages", subject, path, {"n": 1}, **{"response-required": False})
                )
            heard = await listener.json()
            assert heard["topic"] == LIVE + "messages/alarm"
            assert heard["extra"] == {"attributes": PUMP["attributes"]}
            assert await listener.is_silent()

    on_node(main)


def test_subjects_are_told_that_they_leave_a_policy(on_node):
    async def main(node):
        await eve(node, **{"thing:/": ["READ"]})
        async with node.socket(user=("eve", "e")) as other, node.socket() as ditto:
            await other.accepted()
            await ditto.accepted()
            for socket in (other, ditto):
                await socket.ask("START-SEND-POLICY-ANNOUNCEMENTS")
            subject = {"type": "x", "announcement": {"whenDeleted": True}}
            entry = "/api/2/policies/org.acme:p/entries/eve/subjects/nginx:eve"
            assert (await node.call("PUT", entry, subject)).status < 300
            assert (await node.call("DELETE", entry)).status == 204
            told = await other.json()
            assert told["topic"] == "org.acme/p/policies/announcements/subjectDeletion"
            assert told["value"]["subjectIds"] == ["nginx:eve"]
            assert await ditto.is_silent()

    on_node(main)


class Signer:
    """A `TokenVerifier` and `KeyFetcher` of tokens that are their own claims."""

    def verify(self, token, keys):
        body = token.split(".")[1]
        return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))

    async def fetch(self, url):
        return b'{"jwks_uri":"https://issuer/keys","keys":[]}'


def with_tokens(node):
    settings = IdentitySettings(issuers=(Issuer("oidc", ("https://issuer",)),))
    identities = Identities(
        node.registry, node.clock, node.entropy, settings, verifier=Signer(), fetcher=Signer()
    )
    node.door = build_app(replace(node.parts, identities=identities))


def token(node, subject, life_s):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    claims = {"iss": "https://issuer", "sub": subject, "exp": node.clock.now_ms() // 1000 + life_s}
    return f"{part({'alg': 'ES256', 'kid': 'k'})}.{part(claims)}.sig"


def test_a_session_lasts_as_long_as_its_token_and_a_new_one_prolongs_it(on_node):
    async def main(node):
        with_tokens(node)
        path = f"/ws/2?access_token={token(node, 'alice', 60)}"
        async with node.socket(user=None, path=path) as socket:
            await socket.accepted()
            await asyncio.sleep(50)
            socket.say(f"JWT-TOKEN?jwtToken={token(node, 'alice', 100)}")
            assert await socket.is_silent(60)
            expired = await socket.json()
            assert expired["status"] == 401
            assert expired["value"]["error"] == "gateway:websocket.session.expired"
            assert (await socket.next())["type"] == "websocket.close"

    on_node(main)


def test_somebody_elses_token_ends_the_session(on_node):
    async def main(node):
        with_tokens(node)
        path = f"/ws/2?access_token={token(node, 'alice', 60)}"
        async with node.socket(user=None, path=path) as socket:
            await socket.accepted()
            closed = await socket.ask(f"JWT-TOKEN?jwtToken={token(node, 'mallory', 100)}")
            assert (closed["status"], closed["value"]["error"]) == (
                403,
                "gateway:websocket.session.closed",
            )
            assert (await socket.next())["type"] == "websocket.close"

    on_node(main)
