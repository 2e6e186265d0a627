"""The runner's log: where its lines go and what they look like."""

import logging
import os
import sys

from spoolrunner.config import Config
from spoolrunner.report.logline import LineFormatter
from spoolrunner.runner import launch

KEPT_DAYS = 14
PACKAGE = logging.getLogger("spoolrunner")


def open_logbook(settings: Config, *, quiet: bool) -> None:
    """Log to stderr, and to DEBUG_LOG_FILE. quiet: for cron, only what needs somebody."""
    as_json = settings.log_format == "json"
    stream = logging.StreamHandler()
    if quiet:
        stream.addFilter(lambda record: record.levelno >= logging.ERROR)
    stream.setFormatter(LineFormatter(as_json=as_json, journal=_is_journal()))
    PACKAGE.setLevel(logging.DEBUG)
    PACKAGE.addHandler(stream)
    if settings.debug_log_file:
        from logging.handlers import TimedRotatingFileHandler

        file = TimedRotatingFileHandler(
            settings.debug_log_file, when="D", backupCount=KEPT_DAYS, utc=True
        )
        file.setFormatter(LineFormatter(as_json=as_json))
        PACKAGE.addHandler(file)
    follow(settings)


def follow(settings: Config) -> None:
    """Take the level of what goes to stderr, and the secrets to hide, from these settings."""
    PACKAGE.handlers[0].setLevel(settings.loglevel)
    hide = launch.masks(settings).text
    for handler in PACKAGE.handlers:
        if isinstance(handler.formatter, LineFormatter):
            handler.formatter.hide = hide


def _is_journal() -> bool:
    """Does stderr lead to systemd's journal (systemd.exec(5), JOURNAL_STREAM)?"""
    about = os.fstat(sys.stderr.fileno())
    return os.environ.get("JOURNAL_STREAM") == f"{about.st_dev}:{about.st_ino}"
