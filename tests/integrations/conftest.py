"""A server of the small catalogue, which each integration asks."""

from collections.abc import Iterator

import pytest
from served import served, small_operations, wait_until_ready


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(small_operations) as address:
        wait_until_ready(address)
        yield address
