"""Figures as people read them: sizes, times, how far something is, and what a job used.

Pure. Knows: request.
"""

from collections.abc import Callable

from spoolrunner.request import Metrics

UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def size_words(size_bytes: float) -> str:
    """50.1 GB; decimal, as disks are sold and `df -H` shows them."""
    for unit_bytes, unit in UNITS:
        if size_bytes >= unit_bytes:
            return f"{size_bytes / unit_bytes:.1f} {unit}"
    return f"{size_bytes:.0f} bytes"


def time_words(seconds: float | None) -> str:
    """4.5 s, 2:05 min, 1:02:03; "" for None."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s" if isinstance(seconds, float) else f"{seconds} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02} min"


def headway_words(done: int, total: int, after_s: float, words: Callable[[int], str]) -> str:
    """12.0 GB of 50.0 GB, 20 s left. total: as far as it is known. words: of one number."""
    if not done or total <= done:
        return words(done)
    left_s = after_s * (total - done) / done
    return f"{words(done)} of {words(total)}, {time_words(round(left_s))} left"


def used_words(metrics: Metrics) -> str:
    """What could not be known is left out; nothing known at all is said."""
    told = [
        (metrics.cpu_s, time_words, "of processor time"),
        (metrics.memory_peak_bytes, size_words, "of memory at most with cached files"),
        (metrics.memory_mean_bytes, size_words, "on average"),
        (metrics.read_bytes, size_words, "read"),
        (metrics.written_bytes, size_words, "written"),
    ]
    return ", ".join(f"{words(n)} {of}" for n, words, of in told if n is not None) or "not known"


def took_words(metrics: Metrics) -> str:
    told = {
        "in the queue": metrics.queue_s,
        "getting ready": metrics.prepare_s,
        "running": metrics.run_s,
        "looking through its files": metrics.collect_s,
        "publishing": metrics.publish_s,
    }
    return ", ".join(f"{time_words(s)} {doing}" for doing, s in told.items() if s is not None)
