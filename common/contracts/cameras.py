"""How the connection to a live camera does, for people and metrics."""

from __future__ import annotations

from pydantic import Field

from common.contracts.ids import Message, StreamName


class CameraState(Message):
    """One live camera, since its process began. Counts only grow."""

    stream: StreamName
    url: str = Field(description="without user, password and query")
    connected: bool = False
    since: float = Field(0.0, description="since when it is connected, or is not, seconds since the epoch; 0: not yet")
    why: str = Field("", description="why it is not connected")
    codec: str = ""
    width: int = Field(0, description="of its pictures, pixels")
    height: int = 0
    clock_offset: float | None = Field(None, description="by which its clock is ahead of ours, seconds; None: untold")
    connections: int = Field(0, description="times that it was connected")
    packets: int = Field(0, description="that were taken")
    received: int = Field(0, description="bytes of these")
    repeated: int = Field(0, description="packets that it had sent before a reconnect, and that are not counted again")
    dropped: int = Field(0, description="packets that belong to no key frame, and cannot be decoded")
    segments: int = Field(0, description="stored")
    lost: int = Field(0, description="segments that were removed before they were judged, because the spool was full")
