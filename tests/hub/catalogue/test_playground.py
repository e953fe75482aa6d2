"""The playground: asked on the hub, answered by a worker, written down nowhere."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from threading import Barrier
from uuid import UUID, uuid4

import pytest
import redis
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from kombu import Queue
from PIL import Image

from federation.modelling.questions import Question
from hub.catalogue.errors import (
    AnswerGone,
    NoPlayground,
    NotAnswered,
    PlaygroundBusy,
    TooManyQuestions,
)
from hub.catalogue.models import ModelVersion
from hub.catalogue.playground import asking as playground
from hub.catalogue.playground import questions
from hub.catalogue.playground.questions import Answered, Asked
from hub.catalogue.sealing import BrokenSeal, sealed, unsealed
from hub.common.errors import DependencyDown, NotFound
from hub.common.logs import formatter
from hub.dispatch import Job, producer, send_fleeting
from jobs.interactive import answer_question
from tests.agent import tiny
from tests.conftest import client_of
from tests.factories.accounts import UserFactory
from tests.factories.organisations import MembershipFactory
from tests.federation.modelling.kindworlds import COLOURS, looking
from tests.hub.catalogue.asking import (
    PROMPT,
    everything_stored,
    forget_everything,
    lead_of,
    messages,
    tried,
    version_of,
    work,
)
from tests.pages import browser, words

MOST_QUERIES = 10
ABSENT = uuid4()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tried")
    base = tiny.make_base(folder / "base")
    return base, tiny.make_adapter(base, folder / "adapter.safetensors")


@pytest.fixture
def version(db: None, files: tuple[Path, Path]) -> Iterator[ModelVersion]:
    forget_everything()
    messages()
    yield tried(*files)
    forget_everything()
    messages()


def ask(version: ModelVersion, text: str = PROMPT, **options: object) -> object:
    user = options.pop("user", None) or lead_of(version)
    return playground.ask(user=user, version_id=version.pk, question=Question(text=text, **options))


def answer(version: ModelVersion, pk: object, user: object = None) -> object:
    asker = user or lead_of(version)
    return playground.answer_to(user=asker, version_id=version.pk, question_id=pk)


def test_a_question_is_answered_and_again_the_same(version: ModelVersion) -> None:
    first, again = ask(version), ask(version)
    assert answer(version, first) is None
    work()
    found = [answer(version, pk) for pk in (first, again, first)]
    assert found[0].version.guesses[0][0].words in tiny.LABELS
    assert found[0].base is None
    assert found[0].version == found[1].version
    assert found[0] == found[2]


def test_what_is_asked_is_found_nowhere(version: ModelVersion) -> None:
    """In no table, message or log, before and after, whatever becomes of it."""
    lead = lead_of(version)
    with recorded() as log:
        answered = ask(version)
        page = browser(lead).post(reverse("catalogue:try", args=[version.pk]), {"text": PROMPT})
        assert "Your question waits." in words(page)
        assert "canary" not in everything_stored()
        work()
        asked = client_of(lead).post(f"/api/v1/versions/{version.pk}/try", {"text": PROMPT})
        assert asked.status_code == 202
        refused = client_of(lead).post(
            f"/api/v1/versions/{version.pk}/try", {"text": PROMPT, "new_tokens": "many"}
        )
        assert refused.status_code == 400
        assert "canary" not in refused.content.decode()
        broken(version)
        work()
    assert answer(version, answered) is not None
    assert "canary" not in log.getvalue()
    assert '"cause": "DoesNotExist"' in log.getvalue()
    assert "canary" not in everything_stored()


class recorded:  # noqa: N801 (reads as what it does)
    """Everything that is logged, at any level, as the hub writes it."""

    def __enter__(self) -> io.StringIO:
        self.text, self.root = io.StringIO(), logging.getLogger()
        self.handler = logging.StreamHandler(self.text)
        self.handler.setFormatter(formatter())
        self.level = self.root.level
        self.root.addHandler(self.handler)
        self.root.setLevel(logging.DEBUG)
        return self.text

    def __exit__(self, *_: object) -> None:
        self.root.removeHandler(self.handler)
        self.root.setLevel(self.level)


def test_a_worker_that_breaks_on_a_question_says_no_more_than_that(
    version: ModelVersion,
) -> None:
    asked = broken(version)
    work()
    found = questions.find(asked, person=lead_of(version).pk, version=ABSENT)
    assert found == Answered(version=ABSENT, person=lead_of(version).pk, code=questions.BROKEN)


def broken(version: ModelVersion) -> UUID:
    """A question that the worker cannot but fail at: its version is gone."""
    asked = Asked(version=ABSENT, person=lead_of(version).pk, question=Question(text=PROMPT))
    pk = questions.put(asked)
    send_fleeting(Job.ANSWER_QUESTION, str(pk), seconds=60)
    return pk


def test_what_the_worker_refuses_has_its_code(version: ModelVersion, settings) -> None:
    pk = ask(version)
    settings.PLAYGROUND_SECONDS = 0.0
    work()
    with pytest.raises(NotAnswered) as refused:
        answer(version, pk)
    assert refused.value.code == "answer_too_slow"


def test_an_answer_is_the_asker_s_and_the_version_s_own(version: ModelVersion, files) -> None:
    pk = ask(version)
    colleague = UserFactory()
    place = version.federation.participations.get()
    MembershipFactory(user=colleague, organisation=place.organisation, role="scientist")
    other = tried(*files)
    for is_answered in (False, True):
        if is_answered:
            work()
        for attempt in (
            lambda: answer(version, pk, colleague),
            lambda: answer(version, uuid4()),
        ):
            with pytest.raises(AnswerGone):
                attempt()
        with pytest.raises(NotFound):
            answer(version, pk, UserFactory())
    with pytest.raises(AnswerGone):
        questions.find(pk, person=lead_of(version).pk, version=other.pk)


def test_what_redis_forgets_is_asked_again(version: ModelVersion) -> None:
    pk = ask(version)
    forget_everything()
    with pytest.raises(AnswerGone):
        answer(version, pk)
    work()
    with pytest.raises(AnswerGone):
        answer(version, pk)


def test_questions_and_answers_are_kept_for_a_minute(version: ModelVersion, settings) -> None:
    pk = ask(version)
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        assert 0 < client.ttl(f"{questions.PREFIX}question:{pk}") <= 60
        work()
        keys = list(client.scan_iter(f"{questions.PREFIX}*"))
        assert keys == [f"{questions.PREFIX}answer:{pk}".encode()]
        assert 0 < client.ttl(keys[0]) <= 60


def test_what_nobody_answers_stops_counting(version: ModelVersion, monkeypatch) -> None:
    for _ in range(2):
        ask(version)
    with pytest.raises(TooManyQuestions):
        ask(version)
    now = questions.time.time()
    monkeypatch.setattr(questions.time, "time", lambda: now + 120)
    assert ask(version)


def test_a_person_has_two_questions_at_a_time(version: ModelVersion) -> None:
    for _ in range(2):
        ask(version)
    with pytest.raises(TooManyQuestions) as refused:
        ask(version)
    assert refused.value.retry_after == 5
    work()
    assert ask(version)


def test_everybody_together_has_as_many_as_the_hub_allows(version: ModelVersion, settings) -> None:
    settings.PLAYGROUND_WAITING, settings.PLAYGROUND_PER_PERSON = 5, 1
    barrier = Barrier(16)

    def put(_: int) -> str:
        asked = Asked(version=version.pk, person=uuid4(), question=Question(text=PROMPT))
        barrier.wait()
        try:
            questions.put(asked)
        except PlaygroundBusy as busy:
            return busy.code
        return "waits"

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(put, range(16)))
    assert sorted(found) == ["playground_busy"] * 11 + ["waits"] * 5


def test_without_a_broker_nothing_waits(version: ModelVersion, settings, monkeypatch) -> None:
    settings.CELERY = {**settings.CELERY, "broker_url": "redis+socket:///nowhere/redis.sock"}
    monkeypatch.setattr("hub.dispatch.producer", producer.__wrapped__)
    with pytest.raises(DependencyDown):
        ask(version)
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        assert not list(client.scan_iter(f"{questions.PREFIX}*"))


def test_a_base_that_is_too_large_is_not_tried(version: ModelVersion, settings) -> None:
    settings.PLAYGROUND_BASE_BYTES = 1_000_000
    with pytest.raises(NoPlayground):
        ask(version)
    page = words(browser(lead_of(version)).get(reverse("catalogue:try", args=[version.pk])))
    assert "This version cannot be tried here" in page
    assert "Ask both" not in page


def test_nobody_at_redis_puts_words_in(version: ModelVersion, settings) -> None:
    pk, person = ask(version), lead_of(version).pk
    box = sealed(b"{}", name=f"question:{pk}")
    assert unsealed(box, name=f"question:{pk}") == b"{}"
    for forged in (b"", b"{}", box[:-1] + b"x", sealed(b"{}", name="question:other")):
        with pytest.raises(BrokenSeal):
            unsealed(forged, name=f"question:{pk}")
        with redis.Redis.from_url(settings.REDIS_URL) as client:
            client.set(f"{questions.PREFIX}question:{pk}", forged)
            client.set(f"{questions.PREFIX}answer:{pk}", forged)
        assert questions.find(pk, person=person, version=version.pk) is None
        assert questions.take(pk) is None


def test_rounds_go_first() -> None:
    messages()
    with producer().connection_for_read() as link:
        for queue in ("compute", "interactive"):
            link.channel().queue_purge(queue)
        for job in (Job.ANSWER_QUESTION, Job.AGGREGATE_ROUND, Job.ANSWER_QUESTION):
            if job is Job.ANSWER_QUESTION:
                send_fleeting(job, "q", seconds=60)
            else:
                producer().send_task(job, args=["r"])
        seen: list[str] = []

        def take(_: object, message) -> None:
            seen.append(message.headers["task"])
            message.ack()

        queues = [Queue("interactive"), Queue("compute")]
        with link.Consumer(queues, callbacks=[take], accept=["json"], prefetch_count=1):
            while len(seen) < 3:
                link.drain_events(timeout=5)
    assert seen == [Job.AGGREGATE_ROUND, Job.ANSWER_QUESTION, Job.ANSWER_QUESTION]


# ------------------------------------------------------------------------ pages


def page_of(version: ModelVersion) -> str:
    return reverse("catalogue:try", args=[version.pk])


def test_the_page_begins_with_an_example(version: ModelVersion) -> None:
    client = browser(lead_of(version))
    empty = client.get(page_of(version))
    assert "Nothing asked yet" in words(empty)
    assert empty.headers["Cache-Control"] == "no-store, private"
    assert "A few words about sea." in client.get(page_of(version) + "?example").content.decode()
    assert (
        page_of(version)
        in client.get(reverse("catalogue:version", args=[version.pk])).content.decode()
    )


def test_the_page_shows_both_and_says_why_the_base_is_silent(
    version: ModelVersion, django_assert_max_num_queries
) -> None:
    client = browser(lead_of(version))
    with django_assert_max_num_queries(MOST_QUERIES):
        waiting = client.post(page_of(version), {"text": PROMPT}).content.decode()
    assert PROMPT in waiting  # in the form: nobody types it again
    (pk,) = [arguments[0] for arguments in messages()]
    answer_question(pk)
    url = reverse("catalogue:answer", args=[version.pk, pk])
    assert url in waiting
    with django_assert_max_num_queries(MOST_QUERIES):
        page = client.get(url)
    told = words(page)
    assert "The base alone has no answer: it knows nothing of these 3 labels." in told
    assert all(label in told for label in tiny.LABELS)
    assert PROMPT not in page.content.decode()


def test_htmx_gets_the_part_and_refusals_in_words(version: ModelVersion) -> None:
    client, htmx = browser(lead_of(version)), {"HX-Request": "true"}
    for _ in range(2):
        part = client.post(page_of(version), {"text": PROMPT}, headers=htmx)
        assert "<html" not in part.content.decode()
        assert "Your question waits." in words(part)
    refused = client.post(page_of(version), {"text": PROMPT}, headers=htmx)
    assert "Your earlier questions are still being answered." in words(refused)
    whole = client.post(page_of(version), {"text": PROMPT})
    assert (whole.status_code, whole.headers["Retry-After"]) == (429, "5")
    empty = client.post(page_of(version), {"text": ""}, headers=htmx)
    assert "This field is required" in words(empty)
    gone = client.get(reverse("catalogue:answer", args=[version.pk, uuid4()]), headers=htmx)
    assert "Nothing of it was kept." in words(gone)


def test_a_picture_is_sent_looked_at_and_kept_nowhere(
    version: ModelVersion, tmp_path: Path
) -> None:
    world = looking(tmp_path, tmp_path / "looking").world
    seeing = version_of(world.base, world.start, world.plan)
    picture = BytesIO()
    Image.new("RGB", (16, 16), (255, 0, 0)).save(picture, "PNG")
    sent = SimpleUploadedFile("canary-5f1c0e77.png", picture.getvalue())
    client = browser(lead_of(seeing))
    page = client.post(page_of(seeing), {"image": sent})
    assert "Your question waits." in words(page)
    assert "canary" not in everything_stored()
    (arguments,) = messages()
    answer_question(*arguments)
    told = words(client.get(reverse("catalogue:answer", args=[seeing.pk, arguments[0]])))
    assert all(label in told for label in COLOURS)
    large = SimpleUploadedFile("large.png", b"x" * 700_001)
    assert "The picture is larger than that." in words(
        client.post(page_of(seeing), {"image": large}, headers={"HX-Request": "true"})
    )


def test_strangers_find_nothing_to_try(version: ModelVersion) -> None:
    stranger = UserFactory()
    urls = [page_of(version), reverse("catalogue:answer", args=[version.pk, uuid4()])]
    assert {browser(stranger).get(url).status_code for url in urls} == {404}
    assert browser(stranger).post(page_of(version), {"text": PROMPT}).status_code == 404
    api = client_of(stranger)
    absent = api.post(f"/api/v1/versions/{uuid4()}/try", {"text": PROMPT})
    foreign = api.post(f"/api/v1/versions/{version.pk}/try", {"text": PROMPT})
    assert absent.status_code == foreign.status_code == 404
    assert without_request(absent) == without_request(foreign)


def without_request(response) -> dict:
    return {k: v for k, v in response.json().items() if k != "request_id"}


# -------------------------------------------------------------------------- API


def test_scripts_ask_and_fetch(version: ModelVersion) -> None:
    api = client_of(lead_of(version))
    asked = api.post(f"/api/v1/versions/{version.pk}/try", {"text": PROMPT})
    assert asked.status_code == 202
    place = asked.headers["Location"]
    assert place == f"/api/v1/versions/{version.pk}/try/{asked.json()['id']}"
    assert api.get(place).status_code == 202
    work()
    found = api.get(place)
    assert found.status_code == 200
    assert found.headers["Cache-Control"] == "no-store"
    assert found.json()["version"]["guesses"][0][0]["words"] in tiny.LABELS
    assert found.json()["base"] is None


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid"),
        ({"text": "  "}, 422, "invalid"),
        ({"image": "not base64!"}, 422, "invalid"),
        ({"text": "x" * 4001}, 400, "invalid_fields"),
        ({"text": "x", "new_tokens": 201}, 400, "invalid_fields"),
        ({"text": "x", "temperature": 2}, 400, "unknown_field"),
    ],
)
def test_a_question_out_of_bounds_asks_nothing(
    version: ModelVersion, body: dict, status: int, code: str
) -> None:
    refused = client_of(lead_of(version)).post(f"/api/v1/versions/{version.pk}/try", body)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert not messages()


def test_limits_are_told_with_their_code_and_when_to_come_again(version: ModelVersion) -> None:
    api = client_of(lead_of(version))
    url = f"/api/v1/versions/{version.pk}/try"
    answers = [api.post(url, {"text": PROMPT}) for _ in range(3)]
    assert [a.status_code for a in answers] == [202, 202, 429]
    assert answers[-1].json()["code"] == "too_many_questions"
    assert answers[-1].headers["Retry-After"] == "5"
    gone = api.get(f"{url}/{uuid4()}")
    assert (gone.status_code, gone.json()["code"]) == (410, "answer_gone")
