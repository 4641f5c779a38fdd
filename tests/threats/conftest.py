"""The surfaces that the tests of threats attack."""

from tests.contract.conftest import _patience as _patience
from tests.web.conftest import gateway as gateway
