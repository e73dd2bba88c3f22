"""An event loop that cannot keep up refuses early, and a stalled store is no overload."""

from __future__ import annotations

import asyncio
import json

import pytest

from app.api.admission import CROWD, LEAST_AT_ONCE, SAMPLE, Admission
from app.errors import Overloaded
from tests.api_house import ApiHouse


class Clocks:
    """Time that passes, and processor time of the event loop."""

    def __init__(self) -> None:
        self.now_s = self.spent_s = 0.0
        self.admission = Admission(0.04, thread_time=lambda: self.spent_s, clock=lambda: self.now_s)

    def answers(self, *, cost_s, every_s, in_flight=0):
        """Let one sample of answers pass."""
        for _ in range(SAMPLE):
            self.spent_s += cost_s
            self.now_s += every_s
            self.admission.answered(in_flight)


def test_nothing_is_refused_before_anything_is_known():
    """Without a sample every request is let in."""
    Clocks().admission.check(10_000)


def test_as_many_are_let_in_as_are_done_in_time():
    """At one millisecond an answer forty fit into forty milliseconds; the refusal says how long the wait is."""
    clocks = Clocks()
    clocks.answers(cost_s=0.001, every_s=0.001)
    clocks.admission.check(39)
    with pytest.raises(Overloaded) as refused:
        clocks.admission.check(100)
    assert refused.value.retry_after_s == pytest.approx(0.1)


def test_a_handful_is_never_refused():
    """However dear an answer seems, sixteen at once are let in: the estimate may be wrong."""
    clocks = Clocks()
    clocks.answers(cost_s=0.02, every_s=0.02)
    assert clocks.admission.refusal(LEAST_AT_ONCE - 1) is None
    assert isinstance(clocks.admission.refusal(LEAST_AT_ONCE), Overloaded)


def test_waiting_for_the_store_is_not_work():
    """Answers that take long without costing processor time close no door."""
    clocks = Clocks()
    clocks.answers(cost_s=0.0001, every_s=0.02)
    clocks.admission.check(300)


def test_in_a_crowd_the_time_that_passes_counts():
    """An event loop that gets a quarter of a core for its many requests lets in a quarter of them."""
    clocks = Clocks()
    clocks.answers(cost_s=0.0005, every_s=0.002, in_flight=CROWD)
    assert clocks.admission.refusal(19) is None
    assert isinstance(clocks.admission.refusal(25), Overloaded)


def test_one_answer_without_company_makes_no_crowd():
    """If the others were away for a moment, what passed may have been waiting, and only processor time counts."""
    clocks = Clocks()
    clocks.admission.answered(0)
    clocks.answers(cost_s=0.0005, every_s=0.002, in_flight=CROWD)
    clocks.admission.check(80)


def test_idle_time_teaches_nothing():
    """A sample that took longer than a second is left out."""
    clocks = Clocks()
    clocks.answers(cost_s=1.0, every_s=1.0)
    assert clocks.admission.cost_s == 0.0


@pytest.mark.parametrize("path", ["/rank", "/rank/shop"])
async def test_an_overloaded_loop_is_429(path):
    """The refusal comes before the body is read, whether the model is named or not."""
    async with ApiHouse() as house:
        house.application.asgi.admission.cost_s = 1.0
        house.service.in_flight = 50
        answer = await house.rank(path, user="u", items=["i1"])
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "50")


def test_what_a_refusal_is_asked_for_costs_no_exception():
    """The server may ask before it begins: None lets the request in, else there is the refusal."""
    clocks = Clocks()
    clocks.answers(cost_s=0.001, every_s=0.001)
    assert clocks.admission.refusal(39) is None
    assert isinstance(clocks.admission.refusal(100), Overloaded)


def asked(house, path="/rank"):
    """Begin a request by ASGI; return its task, where its messages come from, and what was sent."""
    messages, sent = asyncio.Queue(), []
    may_send = asyncio.Event()

    async def send(message):
        await may_send.wait()
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b"",
             "headers": [], "client": None}  # fmt: skip
    return asyncio.create_task(house.application.asgi(scope, messages.get, send)), messages, may_send, sent


BODY = {"type": "http.request", "body": b'{"user": "u", "items": ["i1"]}'}


@pytest.mark.parametrize("path", ["/rank", "/rank/shop"])
async def test_who_waits_for_a_body_keeps_nobody_out(path):
    """Fifty requests whose bodies do not come cost nothing: the next one is answered, and they are when they come."""
    async with ApiHouse() as house:
        house.application.asgi.admission.cost_s = 0.01
        slow = [asked(house, path) for _ in range(50)]
        await asyncio.sleep(0.01)
        assert house.service.in_flight == 50
        assert house.application.refuse(b"POST", b"/rank", [], 50) is None
        assert (await house.rank(user="u", items=["i1"])).status_code == 200
        task, messages, may_send, sent = slow[0]
        messages.put_nowait(BODY)
        may_send.set()
        await task
        assert sent[0]["status"] == 200
        for other in slow[1:]:
            other[0].cancel()


async def test_bodies_that_arrive_all_at_once_are_an_overload():
    """Who was let in because the others waited for their bodies is asked again when its own is there."""
    async with ApiHouse() as house:
        house.scorer.delay_s = 0.1
        house.application.asgi.admission.cost_s = 0.0021
        slow = [asked(house) for _ in range(50)]
        await asyncio.sleep(0.01)
        for _, messages, may_send, _ in slow:
            messages.put_nowait(BODY)
            may_send.set()
        await asyncio.gather(*(task for task, *_ in slow))
        statuses = [sent[0]["status"] for *_, sent in slow]
        assert set(statuses) == {200, 429}
        assert statuses.count(200) == 20


@pytest.mark.parametrize("path", ["/rank", "/nowhere"])
async def test_who_does_not_read_its_answer_keeps_nobody_out(path):
    """Answers that nobody takes are no work."""
    async with ApiHouse() as house:
        house.application.asgi.admission.cost_s = 0.01
        stuck = [asked(house, path) for _ in range(50)]
        for _, messages, _, _ in stuck:
            messages.put_nowait(BODY)
        for _ in range(20):
            await asyncio.sleep(0)
        await asyncio.sleep(0.02)
        assert (await house.rank(user="u", items=["i1"])).status_code == 200
        for task, *_ in stuck:
            task.cancel()


async def test_the_budget_begins_when_the_body_is_there():
    """A client that needs longer than its budget to send its body gets a full answer, as it does of a named model."""
    async with ApiHouse(timeout_ms=50) as house:
        slow = [asked(house, path) for path in ("/rank", "/rank/shop")]
        await asyncio.sleep(0.1)
        for task, messages, may_send, sent in slow:
            messages.put_nowait(BODY)
            may_send.set()
            await task
            assert json.loads(sent[-1]["body"])["reasons"] == []
