"""Basis of the measures of a screen, in words: where people count in each camera, and where its screen is."""

import hashlib
from collections.abc import Collection

import msgspec

from pipeline.settings import Camera


def zone_of(cameras: Collection[Camera]) -> str | None:
    """Return where people count, such as `kerb: zone 3fa9c1d2, roof: whole picture`; None without cameras.

    A zone is named by the first digits of `zone_hash`: another zone has another name.
    """
    return ", ".join(f"{camera.name}: {_zone(camera)}" for camera in cameras) or None


def calibration_of(cameras: Collection[Camera]) -> str | None:
    """Return the angles within which a head looks at the screen, such as `kerb: yaw 0 +- 20, pitch -5 +- 16 deg`."""
    return "; ".join(f"{camera.name}: {_angles(camera)}" for camera in cameras) or None


def zone_hash(camera: Camera) -> str:
    """Return the first 16 digits of the hash of a camera's zone and of its smallest face; empty for all of both."""
    if not camera.zone and not camera.min_face_px:
        return ""
    return hashlib.sha256(msgspec.json.encode([camera.zone, camera.min_face_px])).hexdigest()[:16]


def _zone(camera: Camera) -> str:
    name = zone_hash(camera)
    return f"zone {name[:8]}" if name else "whole picture"


def _angles(camera: Camera) -> str:
    yaw = f"yaw {camera.screen_yaw_deg:g} +- {camera.screen_half_yaw_deg:g}"
    return f"{yaw}, pitch {camera.screen_pitch_deg:g} +- {camera.screen_half_pitch_deg:g} deg"
