"""Basis of the measures of a screen, in words: where people count in each camera, and where its screen is."""

import hashlib
from collections.abc import Collection, Iterable, Mapping

import msgspec

from pipeline.settings import Camera


def zone_of(cameras: Collection[Camera]) -> str | None:
    """Return where people count, such as `kerb: zone 3fa9c1d2, roof: whole picture`; None without cameras.

    A zone is named by the first digits of `zone_hash`: another zone has another name.
    """
    return ", ".join(f"{camera.name}: {_zone_in_words(zone_hash(camera))}" for camera in cameras) or None


def calibration_of(cameras: Collection[Camera]) -> str | None:
    """Return the angles within which a head looks at the screen, such as `kerb: yaw 0 +- 20, pitch -5 +- 16 deg`."""
    return "; ".join(f"{camera.name}: {angles_in_words(angles_of(camera))} deg" for camera in cameras) or None


def zone_hash(camera: Camera) -> str:
    """Return the first 16 digits of the hash of a camera's zone and of its smallest face; empty for all of both."""
    if not camera.zone and not camera.min_face_px:
        return ""
    return hashlib.sha256(msgspec.json.encode([camera.zone, camera.min_face_px])).hexdigest()[:16]


def angles_of(camera: Camera) -> str:
    """Return where the screen is as seen from a camera: yaw, pitch, half of the yaw, half of the pitch, with commas."""
    angles = (camera.screen_yaw_deg, camera.screen_pitch_deg, camera.screen_half_yaw_deg, camera.screen_half_pitch_deg)
    return ",".join(f"{angle:g}" for angle in angles)


def angles_in_words(angles_deg: str) -> str:
    """Return in words what `angles_of` returned."""
    yaw, pitch, half_yaw, half_pitch = (*angles_deg.split(","), "?", "?", "?", "?")[:4]
    return f"yaw {yaw} +- {half_yaw}, pitch {pitch} +- {half_pitch}"


def of_place(by_camera: Mapping[str, str]) -> str:
    """Return zones or angles of the cameras of a place as one text: the value itself where all have the same.

    Else it is such as `kerb=0,0,20,16;roof=9,0,20,16`, in the order of the names. So it stays the same whichever of a
    group's cameras counts.
    """
    values = {*by_camera.values()}
    return values.pop() if len(values) == 1 else ";".join(f"{name}={by_camera[name]}" for name in sorted(by_camera))


def by_camera(of_place: str, cameras: Iterable[str]) -> dict[str, str]:
    """Return by camera what `of_place` joined; of a value for all, that of each of these cameras."""
    if "=" not in of_place:
        return dict.fromkeys(cameras, of_place)
    return {name: value for name, _, value in (part.partition("=") for part in of_place.split(";"))}


def are_those_of(
    zone: str | None, calibration: str | None, zones: Mapping[str, str], angles: Mapping[str, str]
) -> bool:
    """Tell whether `zone_of` and `calibration_of` returned this of these cameras, as far as they name them."""
    said_zones = dict(one.split(": ", 1) for one in (zone or "").split(", ") if one)
    said_angles = dict(one.split(": ", 1) for one in (calibration or "").split("; ") if one)
    named = said_zones.keys() & zones.keys()
    return bool(named) and all(
        said_zones[name] == _zone_in_words(zones[name])
        and said_angles.get(name) == f"{angles_in_words(angles.get(name, ''))} deg"
        for name in named
    )


def _zone_in_words(zone_sha256: str) -> str:
    return f"zone {zone_sha256[:8]}" if zone_sha256 else "whole picture"
