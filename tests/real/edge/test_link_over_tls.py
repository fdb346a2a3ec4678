"""Enrolment and link over real TLS, with a cut in the middle."""

import asyncio

import pytest

from littoral.edge import CloudNotTrusted, EnrolmentRefused, EnrolmentToken, LinkUnreachable
from littoral.edge.adapters.authority import open_authority
from littoral.edge.adapters.certificates import new_authority
from littoral.edge.errors import CertificateRefused
from littoral.kernel.ids import NodeId

pytestmark = [pytest.mark.real, pytest.mark.slow]

DAY_MS = 24 * 3600 * 1000


class Relay:
    """A cable between site and cloud that can be cut."""

    def __init__(self, port):
        self._target = port
        self._writers = []
        self.port = 0

    async def run(self):
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            await server.serve_forever()

    def cut(self):
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _pass_on(self, reader, writer):
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += [writer, far_writer]
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(reader, far_writer))
                tasks.create_task(self._pump(far_reader, writer))
        finally:
            writer.close()
            far_writer.close()

    async def _pump(self, reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()


def own(log, node):
    return [r for r in log.read(0, limit=100_000) if r.origin.startswith(f"{node}/")]


def test_a_site_enrols_links_is_cut_and_resumes(in_real_world, eventually):
    async def main(cloud, new_site, tasks):
        cloud.registry.put_tenant("T1", namespaces=["org.one"])
        token = cloud.token("site-one")
        await cloud.log.wait()
        relay = Relay(cloud.listener.port)
        relaying = tasks.create_task(relay.run())
        await eventually(lambda: relay.port)
        site = new_site("site-one")
        up = site.uplink(site.dialer(token=token, url=f"wss://127.0.0.1:{relay.port}"))
        running = tasks.create_task(up.run())
        for n in range(2000):
            site.log.append(3, "x.y", "log:x", 0, 0, "/", b"%d" % n)
        await eventually(lambda: len(own(cloud.log, "site-one")) > 200)
        relay.cut()
        for n in range(2000, 4000):
            site.log.append(3, "x.y", "log:x", 0, 0, "/", b"%d" % n)
        await eventually(lambda: len(own(cloud.log, "site-one")) >= 4000)
        got = [r for r in own(cloud.log, "site-one") if r.kind == "x.y"]
        assert [r.value for r in got] == [b"%d" % n for n in range(4000)]
        assert up.statistics().sessions >= 2
        # Down came what the site needs: its tenant.
        await eventually(lambda: site.registry.tenant("T1") is not None)
        assert up.cloud == "cloud"
        assert cloud.downlink.sites()["site-one"].link
        assert cloud.registry.site("site-one").certificates
        running.cancel()
        relaying.cancel()
        await eventually(lambda: not cloud.downlink.sites()["site-one"].link)
        await site.log.close()

    in_real_world(main)


def test_a_token_works_once_but_the_same_key_gets_the_same_certificate_again(in_real_world):
    async def main(cloud, new_site, tasks):
        cloud.registry.put_tenant("T1", namespaces=["org.one"])
        token = cloud.token("site-one")
        one, other = new_site("site-one"), new_site("site-two")
        channel = await one.dialer(token=token).dial()
        await channel.close()
        first = one.store.load()
        # The answer was lost: the site knows only its key.
        from dataclasses import replace

        one.store.save(replace(first, certificate=b"", not_after_ms=0))
        channel = await one.dialer(token=token).dial()
        await channel.close()
        assert one.store.load().certificate == first.certificate
        with pytest.raises(EnrolmentRefused, match=r"used before.*token create NAME --tenant T,"):
            await other.dialer(token=token).dial()
        for site in (one, other):
            await site.log.close()

    in_real_world(main)


def test_nothing_is_sent_to_a_cloud_that_the_token_does_not_name(in_real_world):
    async def main(cloud, new_site, tasks):
        cloud.registry.put_tenant("T1", namespaces=["org.one"])
        good = cloud.token("site-one")
        fake = EnrolmentToken(good.site, good.secret, "0" * 64, good.url)
        site = new_site("site-one")
        with pytest.raises(CloudNotTrusted, match="Check the address"):
            await site.dialer(token=fake).dial()
        assert cloud.registry.site("site-one").keys == ()
        await site.log.close()

    in_real_world(main)


def test_an_expired_certificate_re_enters_by_its_key_unless_revoked(in_real_world):
    async def main(cloud, new_site, tasks):
        cloud.registry.put_tenant("T1", namespaces=["org.one"])
        site = new_site("site-one")
        await (await site.dialer(token=cloud.token("site-one")).dial()).close()
        first = site.store.load()
        site.clock.offset_ms = 31 * DAY_MS
        cloud.clock.offset_ms = 31 * DAY_MS
        with pytest.raises(CertificateRefused, match="not valid now"):
            cloud.enrolment.check(first.certificate)
        cloud.clock.offset_ms = site.clock.offset_ms = 0
        # The site thinks that it is expired, asks again, and gets another one for its old key.
        from dataclasses import replace

        site.store.save(replace(first, not_after_ms=1))
        await (await site.dialer().dial()).close()
        second = site.store.load()
        assert second.key == first.key
        assert second.certificate != first.certificate
        cloud.registry.put_site("site-one", revoked=True)
        with pytest.raises(EnrolmentRefused, match="revoked"):
            await site.dialer().dial()
        with pytest.raises(CertificateRefused, match="token create site-one --tenant T1,"):
            cloud.enrolment.scope_of("site-one")
        await site.log.close()

    in_real_world(main)


def test_the_link_wants_a_certificate_and_other_paths_are_nothing(in_real_world):
    import ssl

    async def main(cloud, new_site, tasks):
        dialer = new_site("site-one").dialer()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with pytest.raises(CertificateRefused, match="there was none"):
            await dialer._connect(cloud.url + "/link", context, max_size=1000)
        with pytest.raises(LinkUnreachable, match="404"):
            await dialer._connect(cloud.url + "/other", context, max_size=1000)

    in_real_world(main)


def test_a_certificate_renews_itself_over_the_link(in_real_world, eventually):
    from dataclasses import replace

    from littoral.edge import Renewal
    from littoral.edge.adapters.certificates import KeySmith

    async def main(cloud, new_site, tasks):
        cloud.registry.put_tenant("T1", namespaces=["org.one"])
        site = new_site("site-one")
        dialer = site.dialer(token=cloud.token("site-one"))
        await (await dialer.dial()).close()
        first = site.store.load()
        now_ms = site.clock.now_ms()
        aged = replace(first, not_before_ms=now_ms - 25 * DAY_MS, not_after_ms=now_ms + 5 * DAY_MS)
        site.store.save(aged)
        renewal = Renewal(store=site.store, smith=KeySmith, clock=site.clock)
        running = tasks.create_task(site.uplink(dialer, beside=renewal.run).run())
        await eventually(lambda: site.store.load().certificate != first.certificate)
        assert cloud.enrolment.check(site.store.load().certificate) == "site-one"
        running.cancel()
        await asyncio.wait([running])
        await site.log.close()

    in_real_world(main)


def test_the_ca_is_made_once_and_its_key_is_for_nobody_else(tmp_path):
    first = open_authority(tmp_path, node=NodeId("cloud"), names=["localhost"], now_ms=10**12)
    again = open_authority(tmp_path, node=NodeId("cloud"), names=["localhost"], now_ms=10**12)
    assert first.authority.certificate == again.authority.certificate
    for name in ("ca.key", "listener.pem"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0
    stranger, _ = new_authority(node=NodeId("cloud"), now_ms=10**12)
    with pytest.raises(CertificateRefused):
        again.authority.inspect(stranger, now_ms=10**12)
