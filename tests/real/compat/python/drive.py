"""Drive a node with PyPI's ``ditto-client``: ``drive.py AREA URL``. Exit code 0 if all is well."""

import asyncio
import json
import secrets
import sys

from ditto_client import BasicAuthProvider
from ditto_client.generated.ditto_client import DittoClient
from ditto_client.generated.models.advanced_error import AdvancedError
from ditto_client.generated.models.attributes import Attributes
from ditto_client.generated.models.feature import Feature
from ditto_client.generated.models.feature_properties import FeatureProperties
from ditto_client.generated.models.features import Features
from ditto_client.generated.models.new_policy import NewPolicy
from ditto_client.generated.models.new_thing import NewThing
from ditto_client.generated.models.patch_thing import PatchThing
from ditto_client.generated.models.permission_check_request import PermissionCheckRequest
from ditto_client.generated.models.policy_entries import PolicyEntries
from ditto_client.generated.models.policy_entry import PolicyEntry
from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_http.httpx_request_adapter import HttpxRequestAdapter

RIGHTS = {
    key: {"grant": ["READ", "WRITE"], "revoke": []} for key in ("thing:/", "policy:/", "message:/")
}
ENTRIES = {"owner": {"subjects": {"nginx:ditto": {"type": "user"}}, "resources": RIGHTS}}


def client(url):
    adapter = HttpxRequestAdapter(BasicAuthProvider(user_name="ditto", password="ditto"))
    adapter.base_url = url
    return DittoClient(adapter).api.two


def fresh_id(what):
    return f"org.littoral:{what}-{secrets.token_hex(5)}"


def asking(builder, get="get", headers=None, **parameters):
    """A request configuration with query parameters of ``builder``'s own class."""
    name = f"{type(builder).__name__}{get.capitalize()}QueryParameters"
    kind = getattr(type(builder), name)
    configuration = RequestConfiguration(query_parameters=kind(**parameters))
    for key, value in (headers or {}).items():
        configuration.headers.add(key, value)
    return configuration


async def refused(call, status):
    try:
        answer = await call
    except AdvancedError as e:
        if e.response_status_code != status:
            raise
        return e
    raise AssertionError(f"it was not refused: {answer}")


async def made_thing(api, what, **more):
    thing_id = fresh_id(what)
    policy = NewPolicy(entries=PolicyEntries(additional_data=ENTRIES))
    await api.policies.by_policy_id(thing_id).put(body=policy)
    thing = NewThing(policy_id=thing_id, additional_data=more)
    await api.things.by_thing_id(thing_id).put(body=thing)
    return thing_id


async def things(api):
    thing_id = await made_thing(api, "thing", attributes={"site": "s1", "n": 1})
    one = api.things.by_thing_id(thing_id)
    read = await one.get()
    assert (read.thing_id, read.policy_id) == (thing_id, thing_id)
    assert read.attributes.additional_data["site"] == "s1", read.attributes

    selected = await one.get(asking(one, fields="thingId,_modified,attributes/n"))
    assert selected._modified is not None
    assert selected.policy_id is None
    assert set(selected.attributes.additional_data) == {"n"}

    await one.patch(body=PatchThing(additional_data={"attributes": {"n": 2, "site": None}}))
    assert (await one.attributes.get()).additional_data == {"n": 2}
    await one.attributes.put(body=Attributes(additional_data={"a": {"b": 1}}))
    assert (await one.attributes.get()).additional_data["a"] is not None
    await one.definition.put(body="org.example:lamp:1.0")
    await one.definition.delete()
    assert await one.policy_id.get() == thing_id

    many = await api.things.get(asking(api.things, ids=f"{thing_id},{fresh_id('none')}"))
    assert [found.thing_id for found in many] == [thing_id]

    past = await one.get(RequestConfiguration(headers=header("at-historical-revision", "1")))
    assert past.attributes.additional_data["n"] == 1

    stale = RequestConfiguration(headers=header("If-Match", '"rev:1"'))
    error = await refused(one.patch(PatchThing(additional_data={}), stale), 412)
    assert error.error == "things:precondition.failed"
    unmet = asking(one, "patch", condition="gt(attributes/a/b,7)")
    error = await refused(one.patch(PatchThing(additional_data={}), unmet), 412)
    assert error.error == "things:condition.failed"

    made = await api.things.post(body=NewThing(attributes=Attributes(additional_data={"x": 1})))
    await api.things.by_thing_id(made.thing_id).delete()
    await one.delete()
    assert (await refused(one.get(), 404)).error == "things:thing.notfound"


def header(name, value):
    configuration = RequestConfiguration()
    configuration.headers.add(name, value)
    return configuration.headers


async def features(api):
    thing_id = await made_thing(api, "features")
    all_of_them = api.things.by_thing_id(thing_id).features
    await all_of_them.put(
        body=Features(additional_data={"lamp": {"properties": {"on": True}}, "fan": {}})
    )
    read = await all_of_them.get()
    assert set(read.additional_data) == {"lamp", "fan"}
    lamp = all_of_them.by_feature_id("lamp")
    await lamp.properties.put(body=FeatureProperties(additional_data={"on": False, "n": 3}))
    assert (await lamp.get()).properties.additional_data == {"on": False, "n": 3}
    await lamp.put(body=Feature(properties=FeatureProperties(additional_data={"on": True})))
    assert (await lamp.properties.get()).additional_data == {"on": True}
    await lamp.delete()
    assert (await refused(lamp.get(), 404)).error == "things:feature.notfound"


async def policies(api):
    policy_id = fresh_id("policy")
    one = api.policies.by_policy_id(policy_id)
    await one.put(body=NewPolicy(entries=PolicyEntries(additional_data=ENTRIES)))
    read = await one.get()
    assert read.policy_id == policy_id
    assert "owner" in read.entries.additional_data
    entry = {
        "subjects": {"nginx:reader": {"type": "user"}},
        "resources": {"thing:/": {"grant": ["READ"], "revoke": []}},
    }
    reader = one.entries.by_label("reader")
    await reader.put(body=PolicyEntry(additional_data=entry))
    subjects = await reader.subjects.get()
    assert set(subjects.additional_data) == {"nginx:reader"}
    resources = await reader.resources.get()
    assert set(resources.additional_data) == {"thing:/"}
    await reader.delete()
    assert (await refused(reader.get(), 404)).error == "policies:entry.notfound"
    await one.delete()
    assert (await refused(one.get(), 404)).error == "policies:policy.notfound"

    thing_id = await made_thing(api, "checked")
    question = {
        name: {"resource": "thing:/features/x", "entityId": asked, "hasPermissions": ["WRITE"]}
        for name, asked in (("mine", thing_id), ("unknown", fresh_id("none")))
    }
    answer = await api.check_permissions.post(body=PermissionCheckRequest(additional_data=question))
    assert answer.additional_data == {"mine": True, "unknown": False}
    who = await api.whoami.get()
    assert "nginx:ditto" in who.subjects


async def search(api):
    run = secrets.token_hex(8)
    ids = [await made_thing(api, "found", attributes={"run": run, "n": n}) for n in range(3)]
    where = f'eq(attributes/run,"{run}")'
    found = api.search.things
    count = found.count
    assert await count.get(asking(count, filter=where)) == 3
    page = await found.get(asking(found, filter=where, option="sort(-attributes/n),size(2)"))
    assert [one.thing_id for one in page.items] == [ids[2], ids[1]]
    option = f"sort(-attributes/n),size(2),cursor({page.cursor})"
    rest = await found.get(asking(found, filter=where, option=option))
    assert [one.thing_id for one in rest.items] == [ids[0]]
    assert rest.cursor is None
    assert (await refused(found.get(asking(found, filter="nonsense")), 400)).error == (
        "rql.expression.invalid"
    )


async def messages(api):
    thing_id = await made_thing(api, "messages", features={"lamp": {}})
    one = api.things.by_thing_id(thing_id)
    inbox = one.inbox.messages.by_message_subject("ask")
    await inbox.post(json.dumps("x"), asking(inbox, "post", timeout="0"))
    late = await refused(inbox.post(json.dumps("x"), asking(inbox, "post", timeout="1s")), 408)
    assert late.error == "command.timeout"
    lamp = one.features.by_feature_id("lamp").outbox.messages.by_message_subject("told")
    await lamp.post(json.dumps("x"), asking(lamp, "post", timeout="0"))


async def main(area, url):
    areas = {f.__name__: f for f in (things, features, policies, search, messages)}
    await areas[area](client(url))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
