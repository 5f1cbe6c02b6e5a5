"""When an authority is closed by its own timetable, in Japan's time."""

from collections.abc import Iterable
from datetime import datetime, time, timedelta, timezone
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

JAPAN = timezone(timedelta(hours=9))
_FURTHEST = timedelta(days=7)
"""A timetable repeats after a week: one that is closed for so long is closed for ever."""


class Weekday(StrEnum):
    """Days of the week in Japan, Monday first."""

    MON = "MON"
    TUE = "TUE"
    WED = "WED"
    THU = "THU"
    FRI = "FRI"
    SAT = "SAT"
    SUN = "SUN"


class MaintenanceWindow(BaseModel):
    """When an authority is closed, in Japan's time; `until` before `since` means until the next morning.

    `days`: on which the window begins. `month_end_only`: only on the last day of a month. `share`: the share of
    municipalities that close (tax, in the sandbox alone).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: time
    until: time
    days: frozenset[Weekday] = frozenset(Weekday)
    month_end_only: bool = False
    share: Annotated[float, Field(ge=0, le=1)] = 1.0

    @model_validator(mode="after")
    def _check_length(self) -> Self:
        if self.since == self.until:
            raise ValueError("a window must have a length")
        return self


def end_of_window(window: MaintenanceWindow, now: datetime) -> datetime | None:
    """When the window that `now` (in Japan's time) lies in ends; None outside of it."""
    for begun_on in (now.date(), now.date() - timedelta(days=1)):
        is_month_end = (begun_on + timedelta(days=1)).day == 1
        if list(Weekday)[begun_on.weekday()] not in window.days or (window.month_end_only and not is_month_end):
            continue
        since = datetime.combine(begun_on, window.since, tzinfo=now.tzinfo)
        until = datetime.combine(begun_on, window.until, tzinfo=now.tzinfo)
        if until < since:
            until += timedelta(days=1)
        if since <= now < until:
            return until
    return None


def closed_until(windows: Iterable[MaintenanceWindow], now: datetime) -> datetime | None:
    """When an authority that is closed `now` (aware) opens again; None while it is open.

    A window that begins before another ends, or as it ends, prolongs it; a week is the longest that is looked ahead.
    """
    windows = tuple(windows)
    began = opens = now.astimezone(JAPAN)
    while ends := [end for window in windows if (end := end_of_window(window, opens))]:
        opens = max(ends)
        if opens - began >= _FURTHEST:
            break
    return opens if opens > began else None
