"""What of a camera's days a baseline knows: for `baseline show`, `status` and verdicts."""

from __future__ import annotations

from pydantic import Field

from common.contracts.ids import Message

HOURS = 24
_WHOLE = 10.0  # from here on a rate has no decimals


class Coverage(Message):
    """Which hours, days and lights golden bursts cover. Hours and days are those of UTC."""

    bursts: int = Field(ge=0)
    days: float = Field(ge=0, description="on how many days a known hour was seen, on average")
    hours: tuple[int, ...] = Field(
        min_length=HOURS, max_length=HOURS, description="for each hour of the day, on how many days it was seen"
    )
    known: tuple[bool, ...] = Field(
        min_length=HOURS, max_length=HOURS, description="for each hour, whether a burst is within an hour of its middle"
    )
    weekdays: tuple[int, ...] = Field(
        min_length=7, max_length=7, description="bursts on each day of the week, Monday first"
    )
    light_from: float | None = Field(None, description="darkest level of light seen, in natural logs; None: no bursts")
    light_to: float | None = Field(None, description="brightest level of light seen")
    colour: bool = Field(False, description="whether the camera was seen in colour")
    infrared: bool = Field(False, description="whether the camera was seen by infra-red light")
    taken_from: float | None = Field(None, description="capture time of the first burst, seconds since the epoch")
    taken_to: float | None = Field(None, description="capture time of the last burst")
    false_alarms_per_day: float | None = Field(
        None, description="upper 95% bound on false alarms per camera-day that this many bursts hold; None: no bursts"
    )

    @property
    def known_hours(self) -> tuple[int, ...]:
        """The hours of the day (UTC) in which windows are judged by everything."""
        return tuple(hour for hour, known in enumerate(self.known) if known)

    @property
    def unknown_hours(self) -> tuple[int, ...]:
        """The hours of the day (UTC) in which verdicts are provisional."""
        return tuple(hour for hour, known in enumerate(self.known) if not known)

    @property
    def rate_text(self) -> str:
        """The bound on false alarms per camera-day, to two digits or in whole numbers; empty without any.

        Examples
        --------
        >>> Coverage(bursts=1, days=1, hours=(0,) * 24, known=(False,) * 24, weekdays=(0,) * 7,
        ...          false_alarms_per_day=143.8).rate_text
        '144'
        """
        rate = self.false_alarms_per_day
        return "" if rate is None else f"{rate:.0f}" if rate >= _WHOLE else f"{rate:.2g}"
