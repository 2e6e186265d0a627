"""The overview: the one page people look at while the server runs by hand, and the same as text."""

from collections.abc import Iterator
from html import escape

from tests.rig.jobserver.exchange import Answer
from tests.rig.jobserver.site import Request, Site

PAGE = """<!doctype html>
<meta charset="utf-8"><meta http-equiv="refresh" content="2">
<title>job-server</title>
<style>body {{ font: 15px/1.5 monospace; margin: 2em }}</style>
<h1>job-server, as of {era}</h1>
<pre>{text}</pre>
"""


def as_text(site: Site) -> str:
    newest = reversed(site.requests.values())
    return "\n".join(line for request in newest for line in _lines(site, request))


def _lines(site: Site, request: Request) -> Iterator[str]:
    wanted = " ".join(request.requested_actions)
    yield f"{request.identifier}  {site.status(request):10} {request.workspace}: {wanted}"
    if request.cancelled_actions:
        yield f"    cancelled: {' '.join(request.cancelled_actions)}"
    for job in request.jobs.values():
        yield f"    {job.identifier}  {job.status:10} {job.action}  {job.status_message}"


def as_overview(site: Site) -> Answer:
    text = escape(as_text(site)) or "no requests yet"
    page = PAGE.format(era=site.era.value, text=text)
    return Answer(200, page.encode(), "text/html; charset=utf-8")
