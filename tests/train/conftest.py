"""The run that experts are added to, made once for all tests."""

import pytest

from tests.train.hot_add import Setting, make_setting


@pytest.fixture(scope="session")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return make_setting(tmp_path_factory.mktemp("hot-add"))
