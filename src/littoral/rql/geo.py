"""Places on the globe: ``{"lat": 53.5, "lon": 9.9}`` in degrees."""

from math import asin, cos, radians, sin, sqrt

from littoral.rql.model import WithinBox, WithinDistance

EARTH_RADIUS_M = 6_371_008.8
"""Mean radius of the Earth. Source: IUGG."""

LAT, LON = "lat", "lon"
"""Members of an object that is a place."""


def place_of(value: object) -> tuple[float, float] | None:
    """Latitude and longitude of ``value``; None if it is not a place."""
    if not isinstance(value, dict):
        return None
    lat, lon = value.get(LAT), value.get(LON)
    if not isinstance(lat, int | float) or not isinstance(lon, int | float):
        return None
    if isinstance(lat, bool) or isinstance(lon, bool):
        return None
    return (lat, lon) if abs(lat) <= 90 and abs(lon) <= 180 else None


def in_box(box: WithinBox, lat: float, lon: float) -> bool:
    """Whether a place lies in a box, its border included."""
    if not box.south <= lat <= box.north:
        return False
    if box.west <= box.east:
        return box.west <= lon <= box.east
    return lon >= box.west or lon <= box.east


def in_distance(circle: WithinDistance, lat: float, lon: float) -> bool:
    """Whether a place lies in a circle, its border included."""
    return metres_between(circle.lat, circle.lon, lat, lon) <= circle.metres


def metres_between(lat_a: float, lon_a: float, lat_b: float, lon_b: float) -> float:
    """Length of the great circle between two places."""
    a, b = radians(lat_a), radians(lat_b)
    half = sin((b - a) / 2) ** 2 + cos(a) * cos(b) * sin(radians(lon_b - lon_a) / 2) ** 2
    return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt(half)))
