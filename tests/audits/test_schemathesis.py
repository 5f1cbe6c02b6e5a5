"""Generated operations over the whole schema, by schemathesis: whatever is asked, nothing breaks here."""

import asyncio
import warnings
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis_graphql import nodes

from tests.conftest import Caller
from tests.gateway.questions import request_for
from tests.gateway.sandboxes import own_sandbox, settings_for

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of the library's own making, at import
    import schemathesis

EXAMPLES = 300
"""Each is asked as a relying party and as a person, since one operation has one audience."""
SEED = 20261120


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def quick(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    async with own_sandbox(settings_for(tmp_path_factory.mktemp("state"))) as made:
        yield made


def generate(url: str, askers: list[str], tokens: list[str]) -> Counter[int]:
    """Send so many generated operations; how often each status came back."""
    tokens_and_none = st.sampled_from([*tokens, "kct_never", ""]).map(nodes.String)
    schemathesis.graphql.scalar("ConsentToken", tokens_and_none)
    schemathesis.graphql.scalar("JSON", st.just({}).map(lambda _: nodes.Object([])))
    schema = schemathesis.graphql.from_url(f"{url}/graphql")
    statuses: Counter[int] = Counter()

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(case=schema.as_strategy())
    def ask(case: Any) -> None:
        for asker in askers:
            response = case.call(headers={"Authorization": asker})
            statuses[response.status_code] += 1
            assert response.status_code < 500, response.text
            assert "requestId" in response.json()["extensions"]

    ask()
    return statuses


@pytest.mark.filterwarnings("ignore:::schemathesis", "ignore:::jsonschema", "ignore::DeprecationWarning")
async def test_no_generated_operation_is_a_server_error(quick: Caller) -> None:
    tokens = [
        (await quick.consent("P10", "lender", "LENDING", request_for("Immigration.statusLawful")))[0],
        (await quick.consent("P18", "lender", "LENDING", request_for("Tax.residentTax", "Insurance.premiums24m")))[0],
    ]
    askers = [f"Bearer {quick.running.keys['lender']}", "Person P01"]
    statuses = await asyncio.to_thread(generate, quick.running.url, askers, tokens)
    assert statuses.total() >= EXAMPLES * len(askers)
    assert statuses[200] >= EXAMPLES / 2, "most are good operations for one of the two"
