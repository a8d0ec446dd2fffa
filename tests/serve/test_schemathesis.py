"""Requests made from the API's own description, and from nearly it: none is a 500.

Without schemathesis' pytest plugin, which does not know every pytest.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import CHECKS
from schemathesis.generation import GenerationMode

from codemoe.models.load import CodeModel
from tests.serve.conftest import Live, running

WANTED = ("not_a_server_error", "response_schema_conformance", "content_type_conformance")


@pytest.fixture(scope="module")
def server(mixture: CodeModel) -> Iterator[Live]:
    # Small bounds: what is asked for at random is answered soon.
    with running(mixture, max_tokens=4, max_body_bytes=20_000) as made:
        yield made


def _make_answerable(body: dict[str, Any]) -> None:
    """What a description cannot say: the model's name, how much, what is not supported."""
    body["model"] = ("tiny", "a", "b", "base")[len(str(body)) % 4]
    for name in ("max_tokens", "max_completion_tokens", "n", "seed"):
        if body.get(name) is not None:
            body[name] = 1 + int(body[name]) % 4  # 1.0 is an integer to JSON, not to the server
    if "messages" in body:
        body["messages"] = [
            *(one for one in body["messages"] if one["role"] != "assistant"),
            {"role": "user", "content": "add"},
        ]
    if body.get("top_logprobs") is not None:
        body["logprobs"] = True
    for name in ("tools", "functions", "response_format", "logit_bias", "echo", "best_of"):
        body.pop(name, None)
    for name in ("frequency_penalty", "presence_penalty", "language", "suffix"):
        body.pop(name, None)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_no_request_is_a_server_error(server: Live, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    checks = CHECKS.get_by_names(WANTED)
    statuses: Counter[int] = Counter()
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) >= 6
    for operation in operations:

        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        @hypothesis.settings(
            max_examples=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        def ask(case: schemathesis.Case) -> None:
            if mode is GenerationMode.POSITIVE and isinstance(case.body, dict):
                _make_answerable(case.body)
            response = case.call(timeout=30)
            statuses[response.status_code] += 1
            case.validate_response(response, checks=checks)

        try:
            ask()
        except hypothesis.errors.Unsatisfiable:
            # Nothing can be wrong with a request that has no parts.
            assert mode is GenerationMode.NEGATIVE
    assert statuses[400] > 10
    if mode is GenerationMode.POSITIVE:
        assert statuses[200] > 10
