"""Windows over midnight and where clocks change, by a clock on the wall."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from agent.policy.windows import DAYS, Window, is_open, opens_next

OSLO = ZoneInfo("Europe/Oslo")
SPRING, AUTUMN = datetime(2026, 3, 29, tzinfo=OSLO), datetime(2026, 10, 25, tzinfo=OSLO)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)

times = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
windows = st.builds(
    lambda begins, ends, days: window(begins, ends, *days),
    times,
    times,
    st.sets(st.sampled_from(DAYS), min_size=1),
)
FIRST = datetime(2026, 3, 20, tzinfo=UTC)
moments = st.integers(0, 230 * 24 * 60).map(lambda n: (FIRST + n * MINUTE).astimezone(OSLO))


def window(begins: str, ends: str, *days: str) -> Window:
    return Window.model_validate({"from": begins, "to": ends, "days": days or DAYS})


def open_minutes(found: Window, begin: datetime, end: datetime) -> int:
    """How many real minutes it is open between two moments."""
    now, minutes = begin.astimezone(UTC), 0
    while now < end.astimezone(UTC):
        minutes += found.holds(now.astimezone(OSLO))
        now += MINUTE
    return minutes


def slow_and_obvious(one: Window, local: datetime) -> bool:
    """Minute by minute from each beginning of the last two days, as the clock shows them."""
    wall = local.replace(tzinfo=None, fold=0)
    for back in (0, 1):
        day = datetime.combine(wall.date() - back * DAY, datetime.min.time())
        hours, minutes = map(int, one.start.split(":"))
        begins = day.replace(hour=hours, minute=minutes)
        hours, minutes = map(int, one.end.split(":"))
        ends = day.replace(hour=hours, minute=minutes)
        ends = ends if ends > begins else ends + DAY
        if DAYS[day.weekday()] in one.days and begins <= wall < ends:
            return True
    return False


@given(one=windows, moment=moments)
def test_a_window_is_what_the_clock_on_the_wall_says(one: Window, moment: datetime) -> None:
    assert one.holds(moment) == slow_and_obvious(one, moment)


def test_a_friday_night_ends_on_saturday_morning() -> None:
    night = window("20:00", "06:00", "fri")
    friday = datetime(2026, 3, 6, tzinfo=OSLO)
    open_at = {
        hour: night.holds(friday + timedelta(hours=hour)) for hour in (5, 19, 20, 29, 30, 44)
    }
    assert open_at == {5: False, 19: False, 20: True, 29: True, 30: False, 44: False}


def test_equal_times_are_a_day_and_a_night() -> None:
    whole = window("09:30", "09:30", "wed")
    wednesday = datetime(2026, 3, 4, tzinfo=OSLO)
    assert open_minutes(whole, wednesday, wednesday + 3 * DAY) == 24 * 60


def test_the_night_when_clocks_go_forward_is_an_hour_shorter_and_back_an_hour_longer() -> None:
    night = window("22:00", "06:00")
    noon = timedelta(hours=12)
    hours = [
        open_minutes(night, day - noon, day + noon) / 60
        for day in (SPRING - DAY, SPRING, AUTUMN, AUTUMN + DAY)
    ]
    assert hours == [8, 7, 9, 8]


def test_an_hour_that_the_clock_skips_does_not_open() -> None:
    skipped = window("02:00", "03:00")
    assert open_minutes(skipped, SPRING, SPRING + timedelta(hours=12)) == 0
    assert open_minutes(skipped, AUTUMN, AUTUMN + timedelta(hours=12)) == 120
    following = opens_next((skipped,), SPRING)
    assert following == datetime(2026, 3, 30, 2, tzinfo=OSLO)


@given(windows=st.lists(windows, max_size=3).map(tuple), moment=moments)
def test_the_next_opening_is_the_first(windows: tuple[Window, ...], moment: datetime) -> None:
    found = opens_next(windows, moment)
    if found is None:
        assert not windows
        return
    assert found > moment
    assert is_open(windows, found)
    begun = [one.start for one in windows if one.holds(found)]
    assert found.strftime("%H:%M") in begun
    now = moment.astimezone(UTC) + MINUTE
    while not is_open(windows, moment) and now < min(found, moment + DAY).astimezone(UTC):
        assert not is_open(windows, now.astimezone(OSLO))
        now += 7 * MINUTE
