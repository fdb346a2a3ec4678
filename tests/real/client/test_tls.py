"""A node behind a proxy that speaks TLS: whom the client believes, for requests and sessions."""

import contextlib
import datetime as dt
import ipaddress
import socket
import socketserver
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from littoral.client import Client, Unreachable

pytestmark = [pytest.mark.real, pytest.mark.slow]


def signed_by_itself(file):
    """A key and a certificate for 127.0.0.1, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(dt.datetime(2000, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2100, 1, 1, tzinfo=dt.UTC))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.write_bytes(secret + certificate.public_bytes(serialization.Encoding.PEM))
    return file


def copy(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


class Proxy(socketserver.ThreadingTCPServer):
    """Ends TLS and passes the bytes on to the node."""

    daemon_threads = True

    def __init__(self, context, node):
        self.context, self.node = context, node
        super().__init__(("127.0.0.1", 0), socketserver.BaseRequestHandler)

    def finish_request(self, request, client_address):
        with contextlib.suppress(ssl.SSLError), contextlib.ExitStack() as open_sockets:
            outside = open_sockets.enter_context(
                self.context.wrap_socket(request, server_side=True)
            )
            inside = open_sockets.enter_context(socket.create_connection(self.node))
            back = threading.Thread(target=copy, args=(inside, outside))
            back.start()
            copy(outside, inside)
            back.join()


@pytest.fixture
def proxy(dev_node, tmp_path):
    """The address of the proxy, and the file of whoever signed its certificate."""
    file = signed_by_itself(tmp_path / "proxy.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    host, port = dev_node.url.removeprefix("http://").split(":")
    with Proxy(context, (host, int(port))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"https://127.0.0.1:{server.server_address[1]}", str(file)
        server.shutdown()
        thread.join()


def test_an_authority_of_ones_own_is_believed_by_requests_and_sessions(proxy, monkeypatch):
    url, file = proxy
    monkeypatch.setenv("SSL_CERT_FILE", file)
    with Client(url, user="ditto", password="ditto") as client, client.session() as session:
        assert client.whoami().default_subject == "nginx:ditto"
        session.put("org.littoral:tls", {"policyId": "org.littoral:default"})
        assert session.get("org.littoral:tls")["thingId"] == "org.littoral:tls"
        session.delete("org.littoral:tls")


def test_an_unknown_authority_is_told_with_what_to_do(proxy):
    with (
        Client(proxy[0], user="ditto", password="ditto") as client,
        pytest.raises(Unreachable, match=r"authority that signed .* SSL_CERT_FILE"),
    ):
        client.whoami()
    with pytest.raises(Unreachable, match="SSL_CERT_FILE"), client.session():
        pass


def test_tls_to_a_door_without_it_is_told_as_such(dev_node):
    plain = dev_node.url.replace("http:", "https:")
    with Client(plain) as client, pytest.raises(Unreachable, match="Nobody speaks TLS there"):
        client.whoami()
