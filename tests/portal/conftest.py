"""What the portal's tests share: one portal in the sandbox, one outside it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.portal.browser import chromium as chromium
from tests.portal.stage import Portal, open_stage


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Portal]:
    """A portal where everybody may sign in as anybody."""
    async with open_stage(tmp_path_factory.mktemp("sandbox")) as portal:
        yield portal


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def portal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Portal]:
    """A portal outside the sandbox."""
    async with open_stage(tmp_path_factory.mktemp("portal"), sandbox=False) as made:
        yield made
