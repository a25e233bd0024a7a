"""PostgreSQL databases in other encodings than UTF8: they work while the names fit."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from uuid import uuid4

import pytest
from optuna.trial import TrialState

from storage.database.postgresql import UTF8
from storage.errors import StorageError
from tests.databases import PostgresServer
from tests.integration.planned import attempts, claimed, new_slots
from tests.integration.refused import CREATE, STATUS, command, error_of

pytestmark = pytest.mark.usefixtures("engines")  # closes those of the commands


@pytest.fixture
def encoded(postgres_server: PostgresServer) -> Iterator[Callable[[str], str]]:
    """A function from an encoding to the URL of an empty database in it."""
    with ExitStack() as made:

        def make(encoding: str) -> str:
            name = f"study_{uuid4().hex[:16]}"
            options = f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
            postgres_server.execute(f"CREATE DATABASE {name} {options}")
            made.callback(postgres_server.execute, f"DROP DATABASE {name} WITH (FORCE)")
            return postgres_server.url(name)

        yield make


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("SQL_ASCII", "größe"),
        ("SQL_ASCII", "数字"),
        ("LATIN1", "größe"),
        ("WIN1251", "размер"),
        ("EUC_JP", "数字"),
    ],
)
def test_name_that_fits_comes_back(encoded: Callable[[str], str], encoding: str, name: str) -> None:
    """As it was given, in a database that knows its characters, or does not look at them."""
    url = encoded(encoding)
    named = [*CREATE[:2], name, *CREATE[3:]]
    done = command(*named, url=url)
    assert done.exit_code == 0, done.output
    for given in (("list",), ("status", "--study", name), ("trials", "--study", name)):
        done = command(*given, url=url)
        assert done.exit_code == 0, done.output
    assert name in command("list", url=url).output
    assert command("status", url=url).output.startswith(name)


@pytest.mark.parametrize("name", ["数字", "размер", "s🙂"])
def test_name_that_does_not_fit_is_refused_before_it_is_written(
    encoded: Callable[[str], str], name: str
) -> None:
    """With the statement that makes a database which holds it."""
    url = encoded("LATIN1")
    error, hint = error_of(*CREATE[:2], name, *CREATE[3:], url=url)
    assert error.startswith(f"this database cannot store the name '{name}': character with byte")
    assert hint == f"{UTF8}; or another name"
    error, _ = error_of(*STATUS, url=url)
    assert error == "no study 's'; the storage holds none"


def test_text_of_a_trial_need_not_fit(encoded: Callable[[str], str]) -> None:
    """Attributes are JSON in ASCII; only names are text of their own."""
    slots = new_slots(encoded("LATIN1"), 1)
    claim = claimed(slots)
    slots.finish(claim, TrialState.COMPLETE, 0.5, {"note": "数字"})
    (attempt,) = attempts(slots)
    assert attempt.state is TrialState.COMPLETE
    found = slots.storage.get_trial(claim.trial_id).user_attrs
    assert found["note"] == "数字"


def test_name_of_a_param_is_asked_of_the_database(encoded: Callable[[str], str]) -> None:
    """The first that does not fit is named; ASCII is not asked for."""
    storage = new_slots(encoded("LATIN1"), 1).storage
    storage.refuse_unheld("x", "größe")
    with pytest.raises(StorageError, match="cannot store the name '数字'"):
        storage.refuse_unheld("x", "größe", "数字")
