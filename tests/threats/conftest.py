"""The surfaces that the tests of threats attack."""

from tests.web.conftest import gateway as gateway
