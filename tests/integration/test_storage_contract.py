"""x"""
import pytest
from optuna.storages import BaseStorage, get_storage
from optuna.testing.pytest_storages import StorageTestCase
from storage.rdb import open_storage


class TestBare(StorageTestCase):
    @pytest.fixture
    def storage(self, storage_url: str) -> BaseStorage:
        s = open_storage(storage_url)
        yield s
        s.close()


class TestBackend(StorageTestCase):
    @pytest.fixture
    def storage(self, storage_url: str) -> BaseStorage:
        s = open_storage(storage_url)
        yield get_storage(s._backend)
        s.close()
