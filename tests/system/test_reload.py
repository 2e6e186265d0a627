"""Settings that are read again: what was built at the start goes by the new ones, too."""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from spoolrunner import config
from spoolrunner.cli import build, logbook
from spoolrunner.cli.reload import reload
from spoolrunner.runner import launch
from spoolrunner.runner.house import House
from spoolrunner.runner.retention import Retention
from spoolrunner.spool import flags
from spoolrunner.spool import rooms as spool_rooms
from tests.site import Site

OLD, NEW = "mssql://user:the-old-word@host:1433/a", "mssql://user:the-new-word@host:1433/a"


class Service:
    """A house as `run` builds it, and its file of settings."""

    def __init__(self, site: Site, **given: str) -> None:
        self.env_file = site.folder / "our.env"
        self.settings = {**site.settings, **given}
        self.write()
        loaded = config.load({}, [self.env_file])
        self.house: House = build.house(loaded, spool_rooms.open_spool(site.spool))

    def write(self) -> None:
        lines = [f"{name}={value}\n" for name, value in self.settings.items()]
        self.env_file.write_text("".join(lines))
        self.env_file.chmod(0o600)

    def change(self, **given: str) -> None:
        self.settings |= given
        self.write()
        reload(self.house, [self.env_file])


@pytest.fixture
def service(site: Site) -> Iterator[Callable[..., Service]]:
    """The runner's log is this process's own for as long."""
    before = list(logbook.PACKAGE.handlers), logbook.PACKAGE.level
    logbook.PACKAGE.handlers[:] = [logging.NullHandler()]
    yield lambda **given: Service(site, **given)
    logbook.PACKAGE.handlers[:], logbook.PACKAGE.level = before


def finished(rooms: Path, *, days: int) -> Path:
    day = datetime.now(UTC).date() - timedelta(days=days)
    folder = rooms / "done" / day.isoformat()
    folder.mkdir()
    (folder / "r1.json").write_text("{}")
    return folder


def test_what_is_kept_longer_from_now_on_is_not_removed_any_more(
    service: Callable[..., Service], site: Site
) -> None:
    runs = service(KEEP_DONE_DAYS="10")
    retention = Retention(runs.house)
    folder = finished(site.spool, days=20)
    runs.change(KEEP_DONE_DAYS="30")
    retention.once()
    assert folder.exists()


def test_what_a_kill_left_of_a_removal_is_removed_by_the_next(
    service: Callable[..., Service], site: Site
) -> None:
    folder = finished(site.spool, days=20)
    folder.rename(folder.with_name(f".expired-{folder.name}"))
    Retention(service(KEEP_DONE_DAYS="10").house).once()
    assert list((site.spool / "done").iterdir()) == []


def test_a_secret_that_was_replaced_is_masked_as_long_as_jobs_may_know_it(
    service: Callable[..., Service],
) -> None:
    runs = service(FULL_DATABASE_URL=OLD)
    runs.change(FULL_DATABASE_URL=NEW)
    masks = launch.masks(runs.house.config)
    assert masks.text("the-old-word, the-new-word") == "[secret], [secret]"
    assert "the-old-word" not in repr(runs.house.config)


def test_the_new_database_is_the_one_that_is_asked_about(
    service: Callable[..., Service], site: Site
) -> None:
    program = site.folder / "ask"
    program.write_text(f'#!/bin/sh\n[ "$DATABASE_URL" = {NEW} ] && echo db-maintenance\n')
    program.chmod(0o755)
    runs = service(FULL_DATABASE_URL=OLD, DB_MAINTENANCE_COMMAND=str(program))
    detection = build.detection(runs.house)
    assert detection is not None
    runs.change(FULL_DATABASE_URL=NEW)
    detection.once()
    assert flags.is_up(runs.house.rooms, flags.DETECTED)


def test_the_names_of_what_changes_are_audited_or_nothing_changes(
    service: Callable[..., Service], site: Site
) -> None:
    one = service(FULL_DATABASE_URL=OLD)
    one.change(FULL_DATABASE_URL=NEW, LEVEL4_MAX_CSV_ROWS="3")
    (path,) = (site.spool / "audit").iterdir()
    text = path.read_text()
    assert '"settings":["FULL_DATABASE_URL","LEVEL4_MAX_CSV_ROWS"]' in text
    assert "word" not in text
    path.unlink()
    path.mkdir()
    one.change(LEVEL4_MAX_CSV_ROWS="4")
    assert one.house.config.level4_max_csv_rows == 3
