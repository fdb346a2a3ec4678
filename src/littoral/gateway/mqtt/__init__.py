"""MQTT 3.1.1 and 5: the codec for both ends, and the door that devices connect to.

Invariant: the codec knows no socket, clock or loop; bytes from a peer end in a packet or in a
`PeerViolation`, never in another exception.
"""

from littoral.gateway.mqtt.client import ClientCodec
from littoral.gateway.mqtt.decode import decode, frame
from littoral.gateway.mqtt.encode import (
    PINGREQ,
    encode,
    encode_connect,
    encode_puback,
    encode_publish,
    encode_subscribe,
)
from littoral.gateway.mqtt.packets import (
    Ack,
    Auth,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Pingresp,
    Publish,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    Will,
)
from littoral.gateway.mqtt.properties import Properties, Property
from littoral.gateway.mqtt.reasons import V5, V311, PeerViolation, Reason, Type

__all__ = [
    "PINGREQ",
    "V5",
    "V311",
    "Ack",
    "Auth",
    "ClientCodec",
    "Connack",
    "Connect",
    "Disconnect",
    "Packet",
    "PeerViolation",
    "Pingreq",
    "Pingresp",
    "Properties",
    "Property",
    "Publish",
    "Reason",
    "Suback",
    "Subscribe",
    "Subscription",
    "Type",
    "Unsuback",
    "Unsubscribe",
    "Will",
    "decode",
    "encode",
    "encode_connect",
    "encode_puback",
    "encode_publish",
    "encode_subscribe",
    "frame",
]
