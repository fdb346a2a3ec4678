import pytest

from littoral.kernel.errors import InvalidId, Kind
from littoral.log import LogFull
from littoral.registry import InvalidRegistration, NotRegistered, RegistrationConflict
from littoral.registry.model import DEVICES_CACHED_MAX

PASSWORD = [
    {"type": "hashed-password", "authId": "s1", "password": "pw", "hashFunction": "sha-256"}
]


def kinds(node, after=0):
    return [(r.kind, r.entity, r.path) for r in node.records(after)]


def test_a_tenant_is_there_at_once_and_after_a_restart(node) -> None:
    tenant = node.registry.tenant("T")
    assert tenant.namespaces == ("org.acme", "org.beta")
    assert tenant.default_policy == "org.acme:default"
    assert node.registry.tenant_of_namespace("org.beta") == tenant
    node.commit()
    node.again()
    assert node.registry.tenant("T") == tenant
    assert node.registry.tenant_of_namespace("org.beta") == tenant
    assert node.registry.tenant("U") is None
    assert node.registry.tenant_of_namespace("org.gamma") is None


def test_putting_what_is_there_already_writes_nothing(node) -> None:
    node.registry.put_device("T", "d1")
    node.registry.put_credentials("T", "d1", PASSWORD)
    head = len(node.records())
    node.registry.put_tenant("T", namespaces=["org.acme", "org.beta"])
    node.registry.put_device("T", "d1")
    node.registry.put_credentials("T", "d1", PASSWORD)
    node.registry.delete_credentials("T", "d1")
    node.registry.delete_credentials("T", "d1")
    assert len(node.records()) == head + 1


def test_every_change_is_a_record_with_a_growing_version(node) -> None:
    versions = [node.registry.tenant("T").version]
    versions += [
        node.registry.put_tenant("T", namespaces=["org.acme"], enabled=enabled).version
        for enabled in (False, True)
    ]
    node.registry.delete_tenant("T")
    versions.append(node.registry.put_tenant("T", namespaces=["org.acme"]).version)
    assert versions == sorted(set(versions))
    assert [kind for kind, _, _ in kinds(node)] == [
        "tenant.modified",
        "tenant.modified",
        "tenant.modified",
        "tenant.deleted",
        "tenant.modified",
    ]


def test_a_namespace_belongs_to_one_tenant(node) -> None:
    with pytest.raises(RegistrationConflict, match="belongs to tenant T") as refused:
        node.registry.put_tenant("U", namespaces=["org.gamma", "org.beta"])
    assert refused.value.kind is Kind.CONFLICT
    node.registry.put_tenant("T", namespaces=["org.acme"])
    assert node.registry.put_tenant("U", namespaces=["org.beta"]).id == "U"
    assert node.registry.tenant_of_namespace("org.beta").id == "U"
    node.registry.delete_tenant("U")
    assert node.registry.tenant_of_namespace("org.beta") is None


def test_a_namespace_with_things_of_devices_cannot_be_given_up(node) -> None:
    node.registry.put_device("T", "org.beta:d1")
    with pytest.raises(RegistrationConflict, match="still has things"):
        node.registry.put_tenant("T", namespaces=["org.acme"])
    node.registry.delete_device("T", "org.beta:d1")
    node.registry.put_tenant("T", namespaces=["org.acme"])


def test_a_tenant_with_devices_cannot_be_deleted(node) -> None:
    node.registry.put_device("T", "d1")
    with pytest.raises(RegistrationConflict, match="still has devices"):
        node.registry.delete_tenant("T")
    with pytest.raises(NotRegistered):
        node.registry.delete_tenant("U")


def test_a_device_and_its_thing_lead_to_one_another(node) -> None:
    node.registry.put_device("T", "d1")
    node.registry.put_device("T", "org.beta:d2")
    for _ in range(2):
        identity = node.registry.identity("T", "d1")
        assert identity.thing_id == "org.acme:d1"
        assert identity.subject == "device:T:d1"
        assert node.registry.device_of("org.acme:d1") == identity
        assert node.registry.device_of("org.beta:d2").device == "org.beta:d2"
        assert node.registry.device_of("org.acme:d2") is None
        node.commit()
        node.again()


def test_two_devices_cannot_have_one_thing(node) -> None:
    node.registry.put_device("T", "d1")
    with pytest.raises(RegistrationConflict, match=r"thing org\.acme:d1"):
        node.registry.put_device("T", "org.acme:d1")
    node.registry.delete_device("T", "d1")
    assert node.registry.put_device("T", "org.acme:d1").thing_id == "org.acme:d1"


def test_a_devices_thing_stays_when_the_tenants_namespaces_change(node) -> None:
    node.registry.put_device("T", "d1")
    node.registry.put_tenant("T", namespaces=["org.beta", "org.acme"])
    node.registry.put_device("T", "d1", enabled=False)
    assert node.registry.device("T", "d1").thing_id == "org.acme:d1"
    assert node.registry.put_device("T", "d2").thing_id == "org.beta:d2"


def test_a_thing_may_be_chosen_once_and_in_the_tenants_namespaces(node) -> None:
    chosen = node.registry.put_device("T", "d1", thing_id="org.beta:lamp")
    assert node.registry.device_of("org.beta:lamp").device == "d1"
    assert node.registry.put_device("T", "d1", thing_id="org.beta:lamp") == chosen
    with pytest.raises(RegistrationConflict, match="keeps it"):
        node.registry.put_device("T", "d1", thing_id="org.beta:other")
    with pytest.raises(InvalidRegistration, match="no namespace of tenant"):
        node.registry.put_device("T", "d2", thing_id="org.gamma:lamp")
    with pytest.raises(RegistrationConflict):
        node.registry.put_device("T", "d2", thing_id="org.beta:lamp")


@pytest.mark.parametrize("device_id", ["", "a/b", "a b", "ä", "x" * 257, "a@b"])
def test_ids_that_cannot_name_a_thing_are_refused(node, device_id) -> None:
    with pytest.raises(InvalidId):
        node.registry.put_device("T", device_id)


def test_what_is_not_registered_is_said_to_be_missing(node) -> None:
    for ask in (
        lambda: node.registry.put_device("U", "d1"),
        lambda: node.registry.identity("T", "d1"),
        lambda: node.registry.delete_device("T", "d1"),
        lambda: node.registry.credentials("T", "d1"),
        lambda: node.registry.put_credentials("T", "d1", []),
    ):
        with pytest.raises(NotRegistered):
            ask()
    assert node.registry.device("T", "d1") is None


def test_devices_are_listed_in_pages_committed_or_not(node) -> None:
    for i in range(5):
        node.registry.put_device("T", f"d{i}")
        if i == 2:
            node.commit()
    first = node.registry.devices("T", limit=2)
    rest = node.registry.devices("T", after=first[-1].id, limit=10)
    assert [d.id for d in first + rest] == ["d0", "d1", "d2", "d3", "d4"]
    assert node.registry.devices("T", after="d4") == []
    assert [t.id for t in node.registry.tenants()] == ["T"]


def test_custom_members_are_kept_and_bounded(node) -> None:
    node.registry.put_device("T", "d1", ext={"brand": {"x": [1, None]}})
    node.commit()
    node.again()
    assert node.registry.device("T", "d1").ext == {"brand": {"x": [1, None]}}
    with pytest.raises(InvalidRegistration):
        node.registry.put_device("T", "d2", ext={"x": "y" * 17_000})


def test_deleting_a_device_takes_its_credentials_with_it(node) -> None:
    node.registry.put_device("T", "d1")
    node.registry.put_credentials("T", "d1", PASSWORD)
    assert node.signs_in("s1@T", "pw") == "d1"
    node.registry.delete_device("T", "d1")
    assert node.signs_in("s1@T", "pw") == "gateway:authentication.failed"
    node.registry.put_device("T", "d1")
    assert node.registry.credentials("T", "d1").credentials == ()
    assert node.signs_in("s1@T", "pw") == "gateway:authentication.failed"


def test_an_auth_id_belongs_to_one_device_of_a_tenant(node) -> None:
    node.registry.put_tenant("U", namespaces=["org.gamma"])
    for tenant, device in (("T", "d1"), ("T", "d2"), ("U", "d1")):
        node.registry.put_device(tenant, device)
    node.registry.put_credentials("T", "d1", PASSWORD)
    with pytest.raises(RegistrationConflict, match="belongs to device d1"):
        node.registry.put_credentials("T", "d2", PASSWORD)
    node.registry.put_credentials("U", "d1", PASSWORD)
    node.registry.put_credentials("T", "d1", [])
    node.registry.put_credentials("T", "d2", PASSWORD)
    assert node.signs_in("s1@T", "pw") == "d2"


def test_a_failed_commit_takes_back_what_was_decided(node) -> None:
    node.registry.put_device("T", "d1")
    node.commit()
    node.store.capacity_bytes = 0
    node.registry.put_device("T", "d1", enabled=False)
    node.registry.put_device("T", "d2")
    node.registry.put_credentials("T", "d1", PASSWORD)
    assert node.signs_in("s1@T", "pw") == "littoral.forbidden"
    node.loop.settle()
    assert node.registry.device("T", "d1").enabled
    assert node.registry.device("T", "d2") is None
    assert node.registry.device_of("org.acme:d2") is None
    assert node.signs_in("s1@T", "pw") == "gateway:authentication.failed"
    with pytest.raises(LogFull):
        node.registry.put_device("T", "d3")
    assert node.registry.device("T", "d3") is None


def test_doors_are_told_what_ends_access(node) -> None:
    registry = node.registry
    node.told.clear()
    registry.put_device("T", "d1")
    registry.put_credentials("T", "d1", PASSWORD)
    registry.put_credentials("T", "d1", [*PASSWORD, {**PASSWORD[0], "authId": "s2"}])
    registry.put_credentials("T", "d1", PASSWORD)
    registry.put_device("T", "d1", enabled=False)
    registry.delete_device("T", "d1")
    registry.put_tenant("T", namespaces=["org.acme"], enabled=False)
    assert [(c.kind, c.tenant, c.name, c.ends_access) for c in node.told] == [
        ("device.modified", "T", "d1", False),
        ("credentials.modified", "T", "d1", False),
        ("credentials.modified", "T", "d1", False),
        ("credentials.modified", "T", "d1", True),
        ("device.modified", "T", "d1", True),
        ("device.deleted", "T", "d1", True),
        ("tenant.modified", "T", "T", True),
    ]


@pytest.mark.slow
def test_memory_is_bounded_whatever_is_registered(node) -> None:
    for i in range(DEVICES_CACHED_MAX + 500):
        node.registry.put_device("T", f"d{i}")
        if i % 1000 == 0:
            node.commit()
    node.commit()
    assert node.registry.statistics().devices_cached == DEVICES_CACHED_MAX
    assert node.registry.device("T", "d0").thing_id == "org.acme:d0"
