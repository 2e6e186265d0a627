"""What a good post changes, what it breaks, and whom the site tells."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from tests.rig.jobserver import JobServer
from tests.rig.test_jobserver.client import a_job, get, identifiers, listed, post


def test_jobs_that_are_absent_are_deleted_and_come_back_as_new_rows(server: JobServer) -> None:
    request, other = server.create_request(), server.create_request()
    post(server, [a_job(request), a_job(request, "j2"), a_job(other, "j3")])
    before = {job.identifier: job.pk for job in server.jobs(request)}
    post(server, [a_job(request, "j2")])
    assert identifiers(server, request) == ["j2"]
    assert identifiers(server, other) == ["j3"]
    post(server, [a_job(request), a_job(request, "j2")])
    after = {job.identifier: job.pk for job in server.jobs(request)}
    assert after["j2"] == before["j2"]
    assert after["j1"] > before["j1"]
    assert server.history("j1") == ["running", "deleted", "running"]


def test_a_request_that_does_not_stand_together_lost_rows_in_2022(
    old: JobServer, today: JobServer
) -> None:
    for server, kept in ((old, ["j3"]), (today, ["j1", "j3"])):
        a, b = server.create_request(identifier="aa"), server.create_request(identifier="bb")
        mixed = [a_job(a, "j1"), a_job(b, "j2"), a_job(a, "j3"), a_job(b, "j4")]
        assert post(server, mixed).json() == {"status": "success"}
        assert identifiers(server, a) == kept


def test_an_identifier_of_another_request_breaks_off_with_the_first_part_written(
    server: JobServer,
) -> None:
    first, second = server.create_request(identifier="aa"), server.create_request(identifier="bb")
    post(server, [a_job(second, "theirs")])
    answer = post(server, [a_job(first, "mine"), a_job(first, "theirs"), a_job(first, "late")])
    assert answer.status_code == 500
    assert identifiers(server, first) == ["mine"]
    assert identifiers(server, second) == ["theirs"]


def test_an_older_post_is_taken_and_the_request_is_listed_again(old: JobServer) -> None:
    request = old.create_request()
    post(old, [a_job(request, status="succeeded")])
    assert listed(old) == []
    post(old, [a_job(request, status="running")])
    assert old.jobs(request)[0].completed_at is None
    assert listed(old) == [request]
    assert old.history("j1") == ["succeeded", "running"]


def test_the_last_of_the_same_identifier_wins(server: JobServer) -> None:
    request = server.create_request()
    post(server, [a_job(request, status="pending"), a_job(request, action="renamed")])
    (job,) = server.jobs(request)
    assert (job.status, job.action) == ("running", "renamed")


def test_four_posts_at_once_make_each_row_once(server: JobServer) -> None:
    request = server.create_request()
    jobs = [a_job(request, f"j{number}") for number in range(20)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: post(server, jobs).status_code, range(4)))
    assert answers == [200] * 4
    assert len(server.jobs(request)) == 20


def test_a_mail_goes_out_when_a_known_job_ends(server: JobServer) -> None:
    request = server.create_request(will_notify=True)
    for status in ("running", "succeeded", "succeeded"):
        post(server, [a_job(request, status=status)])
    assert [(mail.user, mail.job.identifier) for mail in server.mails] == [("researcher", "j1")]
    for status in ("running", "succeeded"):
        post(server, [a_job(request, status=status)])
    assert len(server.mails) == 2


def test_no_mail_goes_to_who_wants_none(server: JobServer) -> None:
    request = server.create_request()
    for status in ("running", "failed"):
        post(server, [a_job(request, status=status)])
    assert server.mails == []


def test_a_job_first_posted_as_completed_sent_no_mail_in_2022(
    old: JobServer, today: JobServer
) -> None:
    for server, mails in ((old, 0), (today, 1)):
        request = server.create_request(will_notify=True)
        post(server, [a_job(request, status="succeeded")])
        assert len(server.mails) == mails


def test_alarming_messages_go_to_the_developers(server: JobServer) -> None:
    request = server.create_request()
    for status in ("running", "failed"):
        post(
            server,
            [
                a_job(
                    request,
                    status=status,
                    status_message="It Ran out of MEMORY.",
                )
            ],
        )
    assert [job.identifier for job in server.alerts] == ["j1"]


def test_the_backend_is_seen_by_good_calls_and_forgotten_after_five_minutes(
    server: JobServer,
) -> None:
    request = server.create_request()
    get(server, Authorization="wrong")
    get(server, Authorization="-")
    post(server, [{}])
    assert not server.is_seen("test")
    get(server)
    assert server.is_seen("test", later=timedelta(minutes=4))
    assert not server.is_seen("test", later=timedelta(minutes=6))
    before = server.seen_at("test")
    post(server, [a_job(request)])
    assert server.seen_at("test") != before


def test_a_job_not_updated_for_half_an_hour_could_be_stale(server: JobServer) -> None:
    request = server.create_request()
    fresh = datetime.now(UTC).isoformat()
    states = {"j1": "running", "j2": "pending", "j3": "succeeded"}
    post(server, [a_job(request, *each, updated_at=fresh) for each in states.items()])
    assert server.stale_jobs(later=timedelta(minutes=29)) == []
    assert server.stale_jobs(later=timedelta(minutes=31)) == ["j1", "j2"]
