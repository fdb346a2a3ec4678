"""The SDK over HTTP against a node: things, policies, permissions, search, messages, registry."""

import contextlib
import threading

import pytest

from littoral.client import (
    AlreadyThere,
    Check,
    Client,
    ConditionFailed,
    InvalidRequest,
    NoAnswer,
    NotAllowed,
    NotAuthenticated,
    NotThere,
    rql,
)

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_a_thing_lives_and_dies(client, made):
    thing_id = made(attributes={"a": 1})
    read = client.things.read(thing_id)
    assert (read.revision, read.value["attributes"]) == (1, {"a": 1})
    assert client.things.put(thing_id, 2, "/attributes/b").created
    written = client.things.merge(thing_id, {"attributes": {"a": None}})
    assert (written.created, written.revision) == (False, 3)
    assert client.things.get(thing_id, "/attributes") == {"b": 2}
    assert client.things.get(thing_id, fields=["_revision", "attributes/b"]) == {
        "_revision": 3,
        "attributes": {"b": 2},
    }
    assert client.things.get(thing_id, at_revision=1)["attributes"] == {"a": 1}
    client.things.delete(thing_id)
    with pytest.raises(NotThere) as e:
        client.things.get(thing_id)
    assert e.value.code == "things:thing.notfound"


def test_a_thing_gets_an_id(client):
    written = client.things.create({"attributes": {"x": 1}}, namespace="org.littoral.made")
    assert written.created
    assert written.value["thingId"].startswith("org.littoral.made:")


def test_preconditions_and_conditions_hold(client, made):
    thing_id = made(attributes={"a": 1})
    etag = client.things.read(thing_id).etag
    assert client.things.read(thing_id, if_none_match=etag).not_modified
    client.things.put(thing_id, 2, "/attributes/a", if_match="*")
    with pytest.raises(ConditionFailed) as e:
        client.things.put(thing_id, {"policyId": thing_id}, if_match=etag)
    assert e.value.code == "things:precondition.failed"
    with pytest.raises(ConditionFailed) as e:
        client.things.put(thing_id, 3, "/attributes/a", condition=rql.eq("attributes/a", 1))
    assert e.value.code == "things:condition.failed"
    with pytest.raises(ConditionFailed):
        client.things.put(thing_id, 2, "/attributes/a", if_equal="skip")
    with pytest.raises(InvalidRequest) as e:
        client.things.put(thing_id, 3, "/attributes/a", condition="nonsense")
    assert e.value.code == "things:condition.invalid"


def test_parts_of_a_patch_have_conditions_of_their_own(client, made):
    thing_id = made(attributes={"a": 1, "b": 1})
    patch = {"attributes": {"a": 5, "b": 5}}
    conditions = {"attributes/a": rql.gt("attributes/a", 3)}
    client.things.merge(thing_id, patch, merge_conditions=conditions)
    assert client.things.get(thing_id, "/attributes") == {"a": 1, "b": 5}


def test_metadata_is_written_and_read(client, made):
    thing_id = made(attributes={"a": 1})
    client.things.put(thing_id, 2, "/attributes/a", put_metadata={"*/unit": "K"})
    found = client.things.get(thing_id, fields="_metadata")
    assert found == {"_metadata": {"attributes": {"a": {"unit": "K"}}}}
    read = client.things.read(thing_id, get_metadata=["attributes/a/unit"])
    assert read.metadata == {"attributes": {"a": {"unit": "K"}}}


def test_desired_properties_are_merged(client, made):
    thing_id = made(features={"lamp": {"desiredProperties": {"on": True, "level": 3}}})
    client.things.desire(thing_id, "lamp", {"level": 5})
    assert client.things.get(thing_id, "/features/lamp/desiredProperties") == {
        "on": True,
        "level": 5,
    }


def test_a_policy_is_built_piece_by_piece(client, fresh, made):
    thing_id = made()
    rights = {"thing:/attributes": ["READ"]}
    client.policies.put_entry(thing_id, "guests", subjects=["nginx:guest"], grant=rights)
    client.policies.put_subject(thing_id, "guests", "nginx:other", kind="a friend")
    client.policies.put_resource(thing_id, "guests", "thing:/features/lamp", grant=["WRITE"])
    entry = client.policies.get(thing_id, "/entries/guests")
    assert set(entry["subjects"]) == {"nginx:guest", "nginx:other"}
    assert set(entry["resources"]) == {"thing:/attributes", "thing:/features/lamp"}
    client.policies.delete_subject(thing_id, "guests", "nginx:other")
    client.policies.delete(thing_id, "/entries/guests")
    with pytest.raises(NotThere):
        client.policies.get(thing_id, "/entries/guests")


def test_policies_are_imported_and_resolved(client, made):
    base, thing_id = made(), made()
    rights = {"thing:/": ["READ"]}
    client.policies.put_entry(base, "readers", subjects=["nginx:reader"], grant=rights)
    client.policies.import_from(thing_id, base)
    assert client.policies.get(thing_id, "/imports") == {base: {}}
    assert len(client.policies.resolved(thing_id)["entries"]) > 1


def test_permissions_are_asked(client, made, fresh):
    thing_id = made()
    assert client.whoami().subjects == ("nginx:ditto",)
    assert client.may(thing_id, "thing:/features/x", "READ", "WRITE")
    checks = {"a": Check(thing_id, "thing:/"), "b": Check(fresh("none"), "thing:/")}
    assert client.check(checks) == {"a": True, "b": False}


def test_who_is_unknown_or_not_allowed_is_told(dev_node, client):
    stranger = Client(dev_node.url, user="ditto", password="wrong")
    with stranger, pytest.raises(NotAuthenticated):
        stranger.whoami()
    with pytest.raises(NotAllowed):
        client.status()


def test_an_api_key_is_made_used_and_revoked(dev_node, admin):
    made = admin.administration.issue_api_key(["app:dashboard"], comment="test", ttl_s=60)
    with Client(dev_node.url, token=made.key) as app:
        assert app.whoami().default_subject == "app:dashboard"
        assert made.id in [one.id for one in admin.administration.api_keys()]
        admin.administration.revoke_api_key(made.id)
        with pytest.raises(NotAuthenticated):
            app.whoami()


def test_a_user_is_made_and_removed(dev_node, admin):
    admin.administration.put_user("sdk-user", "a long sentence")
    with Client(dev_node.url, user="sdk-user", password="a long sentence") as client:
        assert client.whoami().subjects
    assert "sdk-user" in [one.name for one in admin.administration.users()]
    admin.administration.delete_user("sdk-user")


def test_a_message_that_nobody_answers_is_late(client, made):
    with pytest.raises(NoAnswer) as e:
        client.messages.send(made(), "ask", {"a": 1}, timeout_s=0.2)
    assert e.value.code == "command.timeout"


def test_a_message_waits_in_the_mailbox_until_it_is_taken_back(client, made):
    thing_id = made()
    sent = client.messages.send(thing_id, "start", {"a": 1}, timeout_s=0, keep_s=600)
    assert sent.status == 202
    (mail,) = client.messages.waiting(thing_id)
    assert mail.subject == "start"
    client.messages.cancel(thing_id, mail.message_id)
    assert client.messages.waiting(thing_id) == []


def test_search_finds_counts_and_pages(client, made, fresh):
    run = fresh("run")
    ids = [made(attributes={"run": run, "n": n}) for n in range(7)]
    query = rql.eq("attributes/run", run)
    assert client.search.count(query) == 7
    found = client.search.things(query, sort=["-attributes/n"], size=3, fields="thingId")
    assert [one["thingId"] for one in found] == ids[::-1]
    both = rql.both(query, rql.is_in("attributes/n", 1, 2))
    assert sorted(client.search.ids(both)) == sorted(ids[1:3])
    assert client.search.first(query, sort=["attributes/n"])["thingId"] == ids[0]
    assert client.search.first(rql.both(query, rql.gt("attributes/n", 99))) is None
    long = rql.either(query, *(rql.eq("attributes/none", "x" * 60) for _ in range(60)))
    assert client.search.count(long) == 7


def test_all_things_are_paged(client, made):
    ids = {made() for _ in range(3)}
    seen = [thing["thingId"] for thing in client.things.all(size=2, fields="thingId")]
    assert ids <= set(seen)
    assert len(seen) == len(set(seen))


def test_what_was_is_kept(client, fresh):
    thing_id = fresh()
    client.things.put(thing_id, {"policyId": "org.littoral:default"}, if_none_match="*")
    with pytest.raises(ConditionFailed):
        client.things.put(thing_id, {"policyId": "org.littoral:default"}, if_none_match="*")
    with pytest.raises(AlreadyThere), client.session() as session:
        session.create(thing_id, {"policyId": "org.littoral:default"})


def test_properties_are_replaced_and_watched(client, made):
    thing_id = made(features={"lamp": {"properties": {"old": 1}}})

    def switch():
        # Again and again: the first ones may come before the node hears that somebody watches.
        while not seen.wait(0.1):
            client.things.put_properties(thing_id, "lamp", {"on": True})

    seen = threading.Event()
    writer = threading.Thread(target=switch)
    with contextlib.closing(client.things.watch_one(thing_id, "/features/lamp")) as changes:
        writer.start()
        change = next(changes)
        seen.set()
        writer.join()
    assert change == {"properties": {"on": True}}
    assert client.things.get(thing_id, "/features/lamp") == change


def test_a_cloud_event_is_a_command(client, made):
    thing_id = made()
    topic = thing_id.replace(":", "/", 1) + "/things/twin/commands/modify"
    envelope = {"topic": topic, "path": "/attributes/a", "value": 7, "headers": {}}
    client.cloud_event(envelope, event_id="1", source="/test")
    assert client.things.get(thing_id, "/attributes/a") == 7


@pytest.mark.parametrize("label", [None, "owner"])
def test_only_a_token_can_be_let_into_a_policy(client, made, label):
    policy_id = made()
    for action in (client.policies.activate_token, client.policies.deactivate_token):
        with pytest.raises(InvalidRequest) as e:
            action(policy_id, label=label)
        assert e.value.code == "policies:action.failed"
