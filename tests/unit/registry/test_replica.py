import pytest

from littoral.kernel.errors import Kind
from littoral.registry import InvalidReplica

PASSWORD = [
    {"type": "hashed-password", "authId": "s1", "password": "pw", "hashFunction": "sha-256"}
]
WRONG = "gateway:authentication.failed"


def send(node, site, after=0):
    records = [r for r in node.records(after) if not r.kind.startswith(("user.", "token."))]
    for record in records:
        site.registry.apply_remote(record)
    return records


def table(node):
    node.commit()
    rows = dict(node.log.scan("registry", limit=1000))
    return {k: v for k, v in rows.items() if not k.startswith(("user/", "token/"))}


@pytest.fixture
def cloud(node):
    node.registry.put_device("T", "d1")
    node.registry.put_credentials("T", "d1", PASSWORD)
    node.registry.put_site("site", tenants=["T"])
    node.registry.put_user("ann", generated_password="pw")
    return node


def test_a_site_knows_what_its_cloud_knows(cloud, site) -> None:
    send(cloud, site)
    assert table(site) == table(cloud)
    assert site.signs_in("s1@T", "pw") == "d1"
    assert site.registry.device_of("org.acme:d1").device == "d1"
    assert site.registry.tenant_of_namespace("org.acme").id == "T"
    assert site.registry.user("ann") is None
    site.again()
    assert site.signs_in("s1@T", "pw") == "d1"


def test_what_is_taken_twice_or_late_changes_nothing(cloud, site) -> None:
    early = send(cloud, site)
    cloud.registry.put_device("T", "d1", enabled=False)
    cloud.registry.put_credentials("T", "d1", [])
    cloud.registry.put_tenant("T", namespaces=["org.acme"], default_policy="org.acme:other")
    send(cloud, site, after=early[-1].seq)
    assert table(site) == table(cloud)
    site.told.clear()
    for record in early:
        site.registry.apply_remote(record._replace(oseq=record.oseq + 100))
    assert table(site) == table(cloud)
    assert site.told == []


def test_credentials_of_a_device_that_was_made_anew_do_not_come_back(cloud, site) -> None:
    cloud.registry.delete_device("T", "d1")
    cloud.registry.put_device("T", "d1")
    told = send(cloud, site)
    for record in told:
        site.registry.apply_remote(record._replace(oseq=record.oseq + 100))
    assert table(site) == table(cloud)
    assert site.signs_in("s1@T", "pw") == WRONG


def test_the_record_itself_is_kept_with_its_identity(cloud, site) -> None:
    sent = send(cloud, site)
    kept = site.records()
    assert [(r.origin, r.oseq, r.hlc, r.value) for r in kept] == [
        (r.origin, r.oseq, r.hlc, r.value) for r in sent
    ]
    assert site.log.high_water(sent[-1].origin, sent[-1].cls) == sent[-1].oseq


def test_deletions_follow_and_end_access(cloud, site) -> None:
    send(cloud, site)
    assert site.signs_in("s1@T", "pw") == "d1"
    site.told.clear()
    cloud.registry.delete_device("T", "d1")
    cloud.registry.delete_tenant("T")
    cloud.registry.delete_site("site")
    send(cloud, site, after=site.records()[-1].oseq)
    assert site.signs_in("s1@T", "pw") == WRONG
    assert [(c.kind, c.ends_access) for c in site.told] == [
        ("device.deleted", True),
        ("tenant.deleted", True),
    ]
    assert table(site) == table(cloud) == {}


def test_a_changed_password_ends_access_at_the_site(cloud, site) -> None:
    send(cloud, site)
    assert site.signs_in("s1@T", "pw") == "d1"
    last = cloud.records()[-1].seq
    cloud.registry.put_credentials("T", "d1", [{**PASSWORD[0], "password": "new"}])
    send(cloud, site, after=last)
    assert site.signs_in("s1@T", "pw") == WRONG
    assert site.signs_in("s1@T", "new") == "d1"
    assert site.told[-1].kind == "credentials.modified"
    assert site.told[-1].ends_access


def test_what_a_site_says_gives_nobody_access_to_the_cloud(cloud, site) -> None:
    send(cloud, site)
    site.registry.put_tenant("EVIL", namespaces=["org.evil"])
    site.registry.put_device("T", "d9")
    site.registry.put_credentials("T", "d9", [{**PASSWORD[0], "authId": "s9"}])
    before = table(cloud)
    for record in site.records():
        if record.origin == site.log.origin:
            cloud.registry.apply_remote(record)
    assert table(cloud) == before
    assert cloud.signs_in("s9@T", "pw") == WRONG
    assert cloud.records()[-1].origin == site.log.origin, "it is history all the same"


def test_kinds_of_a_newer_release_are_kept(cloud, site) -> None:
    record = cloud.records()[0]._replace(kind="tenant.renamed", value=b"{}")
    site.registry.apply_remote(record)
    assert site.records()[-1].kind == "tenant.renamed"
    assert site.registry.tenant("T") is None


def test_members_of_a_newer_release_are_kept_as_they_are(cloud, site) -> None:
    record = cloud.records()[0]
    newer = record._replace(value=record.value[:-1] + b',"colour":"blue"}')
    site.registry.apply_remote(newer)
    assert site.registry.tenant("T").id == "T"
    assert table(site)["tenant/T"][:-9] == newer.value, "and then its checksum"


@pytest.mark.parametrize(
    ("kind", "entity", "value"),
    [
        ("tenant.modified", "tenant:T", b"not json"),
        ("tenant.modified", "tenant:T", b"{}"),
        ("tenant.modified", "tenant:T", b'{"id":"U","namespaces":["a"],"default_policy":"a:b"}'),
        ("tenant.deleted", "tenant:T", b"[]"),
        ("device.modified", "device:T/d", b'{"tenant":"T","id":"e","thing_id":"a:e"}'),
        ("device.deleted", "device:T/d", b"{}"),
        ("credentials.modified", "device:T/d", b'{"tenant":"T","device_id":"e"}'),
        ("site.modified", "site:s", b"1"),
    ],
)
def test_a_record_that_lies_is_refused_as_the_peers_fault(cloud, site, kind, entity, value) -> None:
    record = cloud.records()[0]._replace(kind=kind, entity=entity, value=value)
    with pytest.raises(InvalidReplica) as refused:
        site.registry.apply_remote(record)
    assert refused.value.kind is Kind.PEER
    assert site.records() == []


def told(cloud, site, *, limit=2):
    """Have the cloud's registry told whole, page by page, and taken over."""
    cloud.commit()
    stamp = cloud.log.last_hlc
    for prefix in cloud.registry.telling.ranges("site", ["T"]):
        after, more = "", True
        while more:
            found, upto = cloud.registry.telling.after(prefix, after, limit=limit)
            for key, value in found:
                site.registry.telling.adopt(key, value)
            names = {key for key, _ in found}
            for key in site.registry.telling.keys(prefix, after, upto or prefix + "\x7f"):
                if key not in names:
                    site.registry.telling.forget(key, stamp=stamp)
            after, more = upto, bool(upto)
    site.commit()


def test_what_was_said_long_ago_is_told_whole(cloud, site) -> None:
    for i in range(2, 6):
        cloud.registry.put_device("T", f"d{i}")
    # The device was changed after its credentials, which a record told late would not survive.
    cloud.registry.put_device("T", "d1", enabled=False)
    cloud.registry.put_device("T", "d1", enabled=True)
    told(cloud, site)
    assert table(site) == table(cloud)
    assert site.signs_in("s1@T", "pw") == "d1"
    assert site.records() == []
    site.told.clear()
    told(cloud, site)
    assert site.told == []


def test_what_is_not_told_was_deleted_unless_it_is_newer(cloud, site) -> None:
    cloud.registry.put_device("T", "d2")
    cloud.registry.put_tenant("U", namespaces=["u"])
    cloud.registry.put_device("U", "d9")
    send(cloud, site)
    cloud.registry.delete_device("T", "d1")
    cloud.commit()
    stamp = cloud.log.last_hlc
    site.clock.ms += 60_000
    site.registry.put_device("T", "new")
    told(cloud, site)
    assert cloud.log.last_hlc == stamp
    assert site.registry.device("T", "d1") is None
    assert site.registry.device("T", "new") is not None
    assert site.registry.device("T", "d2") is not None
    # Of other tenants nothing was told.
    assert site.registry.device("U", "d9") is not None
    assert site.signs_in("s1@T", "pw") == WRONG
    assert any(c.kind == "device.deleted" and c.ends_access for c in site.told)


def test_only_a_follower_takes_over_what_is_told(cloud, site) -> None:
    send(cloud, site)
    before = table(cloud)
    site.registry.put_device("T", "d7")
    told(site, cloud)
    assert table(cloud) == before
