"""Alerts: what people outside are told of an incident, and to whom that has still to be said."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from common.contracts.ids import StreamName
from common.contracts.stored import StoredMessage
from common.contracts.verdicts import Cause


class AlertChange(StrEnum):
    """What is said of an incident."""

    BEGAN = "began"
    """It fails, or its camera sends nothing: since now, or again."""
    OVER = "over"
    """It is closed, or healed: the model copes with what it shows."""


class Alert(StoredMessage):
    """One change of one incident, in words, and the destinations that have not been told."""

    id: str = Field(description="of the event that announced the change; a receiver that sees it twice drops one")
    incident: str
    stream: StreamName
    model: str
    cause: Cause
    change: AlertChange
    title: str
    body: str
    link: str = Field(description="of the incident on the page; empty: there is no page that others can open")
    trains: bool = Field(description="whether the policy trains the model on it")
    time: float = Field(description="when the change was announced, seconds since the epoch")
    open_to: tuple[str, ...] = Field(description="ids of the destinations that have still to be told")
    attempts: int = Field(0, ge=0, description="how often a destination did not take it")
