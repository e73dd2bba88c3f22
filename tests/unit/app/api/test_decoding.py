"""A refused body is told what is wrong: the field, the value it gives, and what is expected."""

import pytest

from app.api.decoding import BodyDecoder
from app.api.failures import MalformedBody
from app.api.schemas import FeedbackEvent, ItemChange, RankRequest
from app.errors import MOST_SHOWN, InvalidRequest

RANK: BodyDecoder[RankRequest] = BodyDecoder(RankRequest)
FEEDBACK: BodyDecoder[FeedbackEvent | list[FeedbackEvent]] = BodyDecoder(FeedbackEvent | list[FeedbackEvent])
ITEMS: BodyDecoder[ItemChange | list[ItemChange]] = BodyDecoder(ItemChange | list[ItemChange])


def refusal(decoder, body):
    with pytest.raises(InvalidRequest) as caught:
        decoder.decode(body)
    return caught.value.path, str(caught.value)


@pytest.mark.parametrize(
    ("body", "path", "sentence"),
    [
        (b'{"user": "u", "timeout_ms": 20000}', "timeout_ms", "Expected float <= 10000.0, got 20000"),
        (b'{"user": 7}', "user", "Expected str | null, got int 7"),
        (b'{"user": ""}', "user", 'Expected str of length >= 1, got ""'),
        (b'{"user": "u", "strict": null}', "strict", "Expected bool, got null"),
        (b'{"user": "u", "items": ["a", {"id": 3}]}', "items[1].id", "Expected str, got int 3"),
        (b'{"user": "u", "objective": {"click": -1}}', 'objective["click"]', "Expected float >= 0.0, got -1"),
        (b'{"user": "u", "max_per": {"genre": 2, "a.b[0]": 0}}', 'max_per["a.b[0]"]', "Expected int >= 1, got 0"),
        (b'{"user": "u", "max_per": {"genre": "two"}}', 'max_per["genre"]', 'Expected int, got str "two"'),
        (b'{"user": "u", "max_per": {"genre": {"a": 1}}}', 'max_per["genre"]', "Expected int, got object"),
        (b'{"user": "u", "max_per": {"genre": 0, "genre": 2}}', "max_per[...]", 'Expected int >= 1, got {"genre": 2}'),
        (b'{"user": "u", "timeout_ms": 0}', "timeout_ms", "Expected float >= 1.0, got 0"),
        (b'{"user": "u", "timeout_ms": 0.0}', "timeout_ms", "Expected float >= 1.0, got 0.0"),
        (b'{"user": "u", "strategy": "best"}', "strategy", 'Expected one of: sample, top_k, got "best"'),
        (b'{"user": "u", "seed": ' + b"9" * 5000 + b"}", "seed", "Expected int of at most 64 bits, got a longer one"),
        (b'{"user": "u", "temperature": 1e999}', "temperature", "Expected float of 64 bits, got a larger one"),
        (b'["u"]', "", "Expected object, got array"),
    ],
)  # fmt: skip
def test_the_sentence_names_path_value_and_expectation(body, path, sentence):
    """Whatever is wrong with a field, the sentence holds the value that was given and what is expected instead."""
    assert refusal(RANK, body) == (path, sentence)


def test_an_event_of_several_is_named_by_its_place():
    """In an array the path says which event it is, and the sentence which field it lacks."""
    assert refusal(FEEDBACK, b'[{"user": "u", "item": "i"}, {"user": "u"}]') == (
        "[1]", "Expected object with the field item",
    )  # fmt: skip


def test_a_column_of_an_item_is_named():
    """A map inside one of several items is named by the item's place and the map's key."""
    body = b'[{"id": "a", "text": "t", "columns": {"brand": "x", "year": 1999}}]'
    assert refusal(ITEMS, body) == ('[0].columns["year"]', "Expected str, got int 1999")


def test_a_timestamp_of_words_is_told_the_unit():
    """A date in words is refused with the form that is taken."""
    _, sentence = refusal(FEEDBACK, b'{"user": "u", "item": "i", "timestamp": "2026-11-22"}')
    assert sentence == 'Expected str of 1 to 14 digits, epoch milliseconds, got "2026-11-22"'


def test_a_long_value_is_cut():
    """A sentence repeats the beginning of a value, not the whole body."""
    _, sentence = refusal(RANK, b'{"user": "u", "id": "' + b"x" * 10_000 + b'"}')
    assert len(sentence) < MOST_SHOWN + 60
    assert sentence.endswith("xxx…")


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b" ", "the body is empty, expected JSON"),
        (b'{"user": "u"', "the body is no JSON: it ends in the middle, after 12 bytes"),
        (b"user=u", "the body is no JSON: invalid character (byte 0), near 'user=u'"),
        (b"\x1f\x8b\x08\x00", "the body is compressed (gzip), expected JSON as it is"),
        (b'{"user": "u\xff"}', "the body is not UTF-8: byte 11 is 0xff"),
    ],
)
def test_what_is_no_json_is_told_where_it_breaks_off(body, sentence):
    """What cannot be read is shown around the byte where it stops making sense."""
    with pytest.raises(MalformedBody) as caught:
        RANK.decode(body)
    assert str(caught.value) == sentence
