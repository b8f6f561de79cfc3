"""Where the clocks of a zone change, and what that does to a schedule, in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from ..schedule import Schedule

_DAY_S = 86400


@dataclass(frozen=True)
class Change:
    """The clocks are set at `at` (UTC epoch seconds): from one wall to another."""

    at: float
    old: datetime  # naive: what the wall would have shown
    new: datetime  # naive: what it shows

    @property
    def is_gap(self) -> bool:
        """Whether walls are skipped; else they come twice."""
        return self.new > self.old

    @property
    def low(self) -> datetime:
        """The first wall that is skipped or doubled."""
        return min(self.old, self.new)

    @property
    def high(self) -> datetime:
        """The first one that is not."""
        return max(self.old, self.new)

    def skips(self, wall: time) -> bool:
        """Whether this time of day is in the gap, or in the part that comes twice."""
        return self.low <= datetime.combine(self.day_of(wall), wall) < self.high

    def day_of(self, wall: time) -> date:
        """The day on which it would have been."""
        day = self.low.date()
        return day if datetime.combine(day, wall) >= self.low else day + timedelta(days=1)


def changes_between(zone: tzinfo | None, low: float, high: float) -> list[Change]:
    """The changes from `low` to `high`, UTC epoch seconds."""
    changes = []
    start = int(low)
    while start < high:
        end = min(start + _DAY_S, int(high))
        if _offset(start, zone) != _offset(end, zone):
            before, after = start, end
            while after - before > 1:
                middle = (before + after) // 2
                before, after = (middle, after) if _offset(middle, zone) == _offset(start, zone) else (before, middle)
            utc = datetime.fromtimestamp(after, UTC).replace(tzinfo=None)
            changes.append(Change(after, utc + _offset(before, zone), utc + _offset(after, zone)))
        start += _DAY_S
    return changes


def _offset(second: int, zone: tzinfo | None) -> timedelta:
    return datetime.fromtimestamp(second, UTC).astimezone(zone).utcoffset() or timedelta()


def explain(change: Change, schedule: Schedule, zone: tzinfo | None) -> list[str]:
    """What a change did to a schedule; empty if nothing."""
    name = "the local zone" if zone is None else str(getattr(zone, "key", None) or zone)
    walls = _walls(change, schedule)
    if not walls:
        return []
    day = f"{walls[0]:%a %Y-%m-%d}"
    span = f"{change.low:%H:%M} to {change.high:%H:%M}"
    after = datetime.fromtimestamp(change.at, UTC).astimezone(zone)
    before = datetime.fromtimestamp(change.at - 1, UTC).astimezone(zone)
    if schedule.crontab.is_wildcard:
        how = "are skipped" if change.is_gap else f"ran twice, in {before:%Z} and in {after:%Z}"
        what = "does not exist" if change.is_gap else "comes twice"
        return [f"{day} {span} {what} in {name}: {len(walls)} fire times {how}"]
    times = ", ".join(f"{wall:%H:%M}" for wall in walls)
    if change.is_gap:
        verb = "does" if len(walls) == 1 else "do"
        return [f'{day} {times} {verb} not exist in {name} (policy "shift": ran {after:%H:%M %Z})']
    verb = "comes" if len(walls) == 1 else "come"
    return [f"{day} {times} {verb} twice in {name} (ran in {before:%Z} only)"]


def _walls(change: Change, schedule: Schedule) -> list[datetime]:
    """The walls of the schedule that are skipped or doubled, were there no zone."""
    plain = Schedule(schedule.crontab)
    found = []
    wall = plain.next_after(change.low - timedelta(seconds=1))
    while wall < change.high:
        found.append(wall)
        wall = plain.next_after(wall)
    return found
