"""When an authority is closed, and when it opens again."""

from datetime import UTC, datetime, time, timedelta

import pytest

from connectors.maintenance import JAPAN, MaintenanceWindow, Weekday, closed_until

WEEKEND = frozenset({Weekday.SAT, Weekday.SUN})
TIMETABLES = {
    "never": (),
    "night": (MaintenanceWindow(since=time(23), until=time(5)),),
    "month-end": (
        MaintenanceWindow(since=time(23), until=time(5)),
        MaintenanceWindow(since=time(17), until=time(5), month_end_only=True),
    ),
    "nights-and-weekends": (
        MaintenanceWindow(since=time(20), until=time(8)),
        MaintenanceWindow(since=time(8), until=time(20), days=WEEKEND),
    ),
    "friday-night": (MaintenanceWindow(since=time(20), until=time(8), days=frozenset({Weekday.FRI})),),
}


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """A moment of November 2026 in Japan; the 20th is a Friday, and the month has 30 days."""
    return datetime(2026, 11, 1, hour, minute, tzinfo=JAPAN) + timedelta(days=day - 1)


@pytest.mark.parametrize(
    ("timetable", "now", "opens"),
    [
        ("never", at(20, 12), None),
        ("night", at(20, 22, 59), None),
        ("night", at(20, 23), at(21, 5)),
        ("night", at(21, 0), at(21, 5)),
        ("night", at(21, 5), None),
        ("month-end", at(29, 18), None),
        ("month-end", at(30, 18), at(31, 5)),
        ("month-end", at(31, 4), at(31, 5)),
        ("nights-and-weekends", at(20, 19, 59), None),
        ("nights-and-weekends", at(20, 20), at(23, 8)),  # one after the other, from Friday evening to Monday morning
        ("nights-and-weekends", at(22, 12), at(23, 8)),
        ("friday-night", at(21, 7, 59), at(21, 8)),
        ("friday-night", at(21, 20), None),
    ],
)
def test_an_authority_opens_when_the_last_window_ends(timetable: str, now: datetime, opens: datetime | None) -> None:
    assert closed_until(TIMETABLES[timetable], now) == opens
    assert closed_until(TIMETABLES[timetable], now.astimezone(UTC)) == opens


def test_one_that_never_opens_is_asked_about_again_in_a_week() -> None:
    always = (
        MaintenanceWindow(since=time(0), until=time(12)),
        MaintenanceWindow(since=time(12), until=time(0)),
    )
    opens = closed_until(always, at(20, 6))
    assert opens is not None
    assert timedelta(days=7) <= opens - at(20, 6) <= timedelta(days=8)
