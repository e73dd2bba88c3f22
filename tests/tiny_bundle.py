"""Makes a real bundle of a small shop in well under a second: ONNX graphs, tokenizer, table, certificate; no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnx.parser
import pyarrow as pa
from onnx import numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers

from app.contract.golden import Golden, GoldenRequest, GoldenText
from app.contract.manifest import (
    FORMAT_VERSION,
    GOLDEN_FILE,
    ITEM_ENCODER_FILE,
    RANKER_FILE,
    RETRIEVER_FILE,
    TOKENIZER_FILE,
    Manifest,
)
from app.inference.onnx_item_encoder import OnnxItemEncoder
from app.inference.onnx_ranker import OnnxRanker
from app.inference.provider import obtain_provider
from model_export.onnx_export.item_table import write_item_table, write_items
from model_export.onnx_export.publish import bundle_draft, publish

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ACTIONS = ("click", "cart", "purchase")
OBJECTIVES = ("relevance", "novelty")
CATEGORIES = ("shoes", "books", "games", "garden")
COLORS = ("red", "green", "blue", "black", "white")
WIDTH = 16
HISTORY_LENGTH = 50
MAX_TOKENS = 16

# The user's vector is a start vector plus the mean of the read items, weighted by action and by half-lives of a day.
_USER = """
    rows = Cast<to=7>(history_rows)
    zero_row = Constant<value_int=0>()
    known = Greater(rows, zero_row)
    known_f = Cast<to=1>(known)
    gathered = Gather<axis=0>(item_table, rows)
    history_vectors = Cast<to=1>(gathered)
    day = Constant<value_float=-86400.0>()
    faded = Div(history_age_s, day)
    recency = Exp(faded)
    strength = Gather<axis=0>(action_strength, history_actions)
    recent = Mul(recency, strength)
    weight = Mul(recent, known_f)
    last = Constant<value_ints=[2]>()
    middle = Constant<value_ints=[1]>()
    weight_3 = Unsqueeze(weight, last)
    weighted = Mul(history_vectors, weight_3)
    total = ReduceSum<keepdims=0>(weighted, middle)
    mass = ReduceSum<keepdims=1>(weight, middle)
    one = Constant<value_float=1.0>()
    mass_1 = Add(mass, one)
    mean = Div(total, mass_1)
    scaled = Mul(mean, strong)
    user = Add(scaled, start)
"""
_HEADER = '<ir_version: 10, opset_import: ["" : 20]>'
_HISTORY = "int64[B, H] history_rows, int64[B, H] history_actions, float[B, H] history_age_s"

_RANKER = """
{header}
ranker ({table}[R, {width}] item_table, {history}, int64[B, C] candidate_rows, float[W, 2] objective_weights)
    => (float[B, C] scores) {{
    {user}
    candidates_raw = Gather<axis=0>(item_table, candidate_rows)
    candidates = Cast<to=1>(candidates_raw)
    user_3 = Unsqueeze(user, middle)
    products = Mul(candidates, user_3)
    relevance = ReduceSum<keepdims=0>(products, last)
    absolute = Abs(candidates)
    novelty = ReduceSum<keepdims=0>(absolute, last)
    relevance_weight = Gather<axis=1>(objective_weights, first)
    novelty_weight = Gather<axis=1>(objective_weights, second)
    relevance_part = Mul(relevance, relevance_weight)
    novelty_part = Mul(novelty, novelty_weight)
    summed = Add(relevance_part, novelty_part)
    scores = Sub(summed, log_normaliser)
}}
"""
_RETRIEVER = """
{header}
retriever ({table}[R, {width}] item_table, {history}) => (float[B, R] catalog_scores) {{
    {user}
    table_f = Cast<to=1>(item_table)
    dots = Gemm<transB=1>(user, table_f)
    catalog_scores = Sub(dots, log_normaliser)
}}
"""
_ENCODER = """
{header}
encoder (int64[N, T] input_ids, int64[N, T] attention_mask) => (float[N, {width}] item_vectors) {{
    words = Gather<axis=0>(embedding, input_ids)
    mask = Cast<to=1>(attention_mask)
    last = Constant<value_ints=[2]>()
    middle = Constant<value_ints=[1]>()
    mask_3 = Unsqueeze(mask, last)
    masked = Mul(words, mask_3)
    total = ReduceSum<keepdims=0>(masked, middle)
    count = ReduceSum<keepdims=1>(mask, middle)
    item_vectors = Div(total, count)
}}
"""


def make_tiny_bundle(
    destination: Path,
    *,
    precision: str = "fp32",
    item_count: int = 200,
    name: str = "tiny",
    sign_key: Path | None = None,
) -> Path:
    """Publish a bundle of ``item_count`` items at ``destination`` and return it.

    Item ids are ``item-1`` ...; texts read ``red shoes number 17``; columns ``title`` and ``category`` beside them.
    Items of one category are alike, so a click on a book lifts books.
    """
    words = _vocabulary(item_count)
    items = _items(item_count)
    with bundle_draft(destination) as draft:
        _tokenizer(words).save(str(draft / TOKENIZER_FILE))
        for file, model in _graphs(words, precision).items():
            onnx.save(model, draft / file)
        provider = obtain_provider("cpu")
        encoder = OnnxItemEncoder(draft, provider=provider, max_tokens=MAX_TOKENS)
        table = np.zeros((item_count + 1, WIDTH), np.float32)
        table[1:] = encoder.encode(items.column("text").to_pylist())
        written = write_item_table(draft, table, precision)
        prior = -np.log1p(np.arange(item_count)).astype(np.float32)
        write_items(draft, items, prior)
        golden = _golden(OnnxRanker(draft, written, provider=provider), encoder, item_count)
        (draft / GOLDEN_FILE).write_text(golden.to_json(), "utf-8")
        manifest = Manifest(
            format_version=FORMAT_VERSION, name=name, version="", created="", precision=precision,
            history_length=HISTORY_LENGTH, actions=ACTIONS, vector_width=WIDTH, item_count=item_count, files={},
            opset=20, max_tokens=MAX_TOKENS, objectives=OBJECTIVES,
            default_objective={"relevance": 1.0, "novelty": 0.0},
        )  # fmt: skip
        publish(draft, destination, manifest, sign_key=sign_key)
    return destination


def _vocabulary(item_count: int) -> dict[str, int]:
    words = ["[PAD]", "[UNK]", "number", *COLORS, *CATEGORIES, *(str(number) for number in range(1, item_count + 1))]
    return {word: index for index, word in enumerate(words)}


def _tokenizer(words: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def _items(item_count: int) -> pa.Table:
    numbers = range(1, item_count + 1)
    categories = [CATEGORIES[number % len(CATEGORIES)] for number in numbers]
    texts = [
        f"{COLORS[number % len(COLORS)]} {CATEGORIES[number % len(CATEGORIES)]} number {number}" for number in numbers
    ]
    return pa.table(
        {"item_id": [f"item-{number}" for number in numbers], "text": texts, "title": texts, "category": categories}
    )


def _graphs(words: dict[str, int], precision: str) -> dict[str, onnx.ModelProto]:
    random = np.random.default_rng(7)
    embedding = random.normal(0.0, 0.4, (len(words), WIDTH)).astype(np.float32)
    for category in CATEGORIES:
        embedding[words[category]] *= 6.0
    user_side: dict[str, NDArray[Any]] = {
        "action_strength": np.asarray([1.0, 1.5, 2.0], np.float32),
        "strong": np.asarray(2.0, np.float32),
        "start": random.normal(0.0, 0.2, (1, WIDTH)).astype(np.float32),
        "log_normaliser": np.asarray(5.0, np.float32),
    }
    ranker_side: dict[str, NDArray[Any]] = {
        "objective_weights": np.asarray([[1.0, 0.0]], np.float32),
        "first": np.asarray([0], np.int64),
        "second": np.asarray([1], np.int64),
    }
    values = {
        "header": _HEADER, "width": WIDTH, "history": _HISTORY, "user": _USER,
        "table": "float16" if precision == "fp16" else "float",
    }  # fmt: skip
    return {
        RANKER_FILE: _model(_RANKER.format(**values), user_side | ranker_side),
        RETRIEVER_FILE: _model(_RETRIEVER.format(**values), user_side),
        ITEM_ENCODER_FILE: _model(_ENCODER.format(**values), {"embedding": embedding}),
    }


def _model(text: str, initializers: dict[str, NDArray[Any]]) -> onnx.ModelProto:
    model = onnx.parser.parse_model(text)
    for name, value in initializers.items():
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    return model


def _golden(ranker: OnnxRanker, encoder: OnnxItemEncoder, item_count: int) -> Golden:
    random = np.random.default_rng(11)
    requests = []
    for name, length in (("cold user", 0), ("one event", 1), ("some history", 7), ("full history", HISTORY_LENGTH)):
        candidates = random.permutation(item_count)[:50] + 1
        request = GoldenRequest(
            name=name,
            history_rows_H=random.integers(1, item_count + 1, length),
            history_actions_H=random.integers(0, len(ACTIONS), length),
            history_age_s_H=np.sort(random.uniform(0, 1e6, length))[::-1].astype(np.float32),
            candidate_rows_C=candidates,
            scores_C=np.zeros(0, np.float32),
            catalog_scores_C=np.zeros(0, np.float32),
        )
        requests.append(_scored(request, ranker))
    texts = ("red shoes number 3", "an unknown thing", "")
    return Golden(
        requests=tuple(requests),
        texts=tuple(GoldenText(text, vector) for text, vector in zip(texts, encoder.encode(texts), strict=True)),
    )


def _scored(request: GoldenRequest, ranker: OnnxRanker) -> GoldenRequest:
    batch = request.batch()
    return GoldenRequest(
        name=request.name,
        history_rows_H=request.history_rows_H,
        history_actions_H=request.history_actions_H,
        history_age_s_H=request.history_age_s_H,
        candidate_rows_C=request.candidate_rows_C,
        scores_C=ranker.score(batch)[0],
        catalog_scores_C=ranker.score_catalog(batch.history)[0][request.candidate_rows_C],
    )
