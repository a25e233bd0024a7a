"""A role of PostgreSQL that may not do what is needed is told the GRANT that mends it."""

from uuid import uuid4

import pytest
import sqlalchemy as sa
from optuna.storages import RDBStorage
from sqlalchemy.engine import make_url

from storage.database.url import parse_url
from tests.databases import PostgresServer
from tests.integration.refused import CREATE, STATUS, command, error_of

pytestmark = pytest.mark.usefixtures("engines")  # closes those of the commands


class Role:
    """A role without privileges, and the database in which it is given some."""

    def __init__(self, server: PostgresServer, url: str) -> None:
        self.name = f"role_{uuid4().hex[:8]}"
        self.admin_url = url
        self.database = make_url(url).database
        server.execute(f"CREATE ROLE {self.name} LOGIN")
        self.url = make_url(url).set(username=self.name).render_as_string(hide_password=False)

    @property
    def where(self) -> str:
        """How a hint says where its statement belongs."""
        return f"   (in database {self.database}, as its owner)"

    def may(self, statement: str) -> None:
        """Run a statement as the superuser; a hint's, say."""
        engine = sa.create_engine(parse_url(self.admin_url))
        with engine.begin() as connection:
            connection.exec_driver_sql(statement.format(role=self.name))
        engine.dispose()

    def succeeds(self, url: str | None = None) -> None:
        """It may create a study, and look at it."""
        for given in (CREATE, STATUS):
            done = command(*given, url=url or self.url)
            assert done.exit_code == 0, done.output


@pytest.fixture
def role(postgres_server: PostgresServer, postgres_url: str) -> Role:
    """A role that may connect, and no more."""
    return Role(postgres_server, postgres_url)


def test_schema_in_which_a_role_may_not_create(role: Role) -> None:
    """Since PostgreSQL 15 that is `public`; the hint's statement mends it."""
    error, hint = error_of(*CREATE, url=role.url)
    assert error.endswith("permission denied for schema public")
    assert hint == f"GRANT CREATE, USAGE ON SCHEMA public TO {role.name}{role.where}"
    role.may(hint.partition("  ")[0])
    role.succeeds()


def test_schema_that_a_role_may_not_even_use(role: Role) -> None:
    """PostgreSQL passes over it in silence."""
    role.may("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    error, hint = error_of(*CREATE, url=role.url)
    assert error.endswith("no schema has been selected to create in")
    assert hint == f"GRANT CREATE, USAGE ON SCHEMA public TO {role.name}{role.where}"
    role.may(hint.partition("  ")[0])
    role.succeeds()


def test_schema_of_the_search_path_that_does_not_exist(role: Role) -> None:
    """It is the one that the URL names."""
    url = f"{role.url}?options=-csearch_path%3Dhpo"
    error, hint = error_of(*CREATE, url=url)
    assert error.endswith("no schema has been selected to create in")
    assert hint == f"CREATE SCHEMA hpo AUTHORIZATION {role.name}{role.where}"
    role.may(hint.partition("  ")[0])
    role.succeeds(url)


def test_schema_of_the_search_path_is_the_one_that_is_granted(role: Role) -> None:
    """Also where its name has to be quoted."""
    role.may('CREATE SCHEMA "Hpo"')
    url = f"{role.url}?options=-csearch_path%3D%22Hpo%22"
    error, hint = error_of(*CREATE, url=url)
    assert hint == f'GRANT CREATE, USAGE ON SCHEMA "Hpo" TO {role.name}{role.where}', error
    role.may(hint.partition("  ")[0])
    role.succeeds(url)


def test_tables_of_another_role(role: Role) -> None:
    """Nothing may be read, then nothing written; the hint's statements mend both."""
    assert command(*CREATE, url=role.admin_url).exit_code == 0
    tables = f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role.name}"
    numbers = f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role.name}"
    wanted = f"{tables}; {numbers}{role.where}"
    for given in (CREATE, STATUS):
        error, hint = error_of(*given, url=role.url)
        assert error.endswith("permission denied for table alembic_version")
        assert hint == wanted
    role.may("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    assert command(*STATUS, url=role.url).exit_code == 0
    another = [*CREATE[:2], "another", *CREATE[3:]]
    assert error_of(*another, url=role.url) == (
        "the database failed: permission denied for table studies",
        wanted,
    )
    role.may(tables)
    assert error_of(*another, url=role.url) == (
        "the database failed: permission denied for sequence studies_study_id_seq",
        wanted,
    )
    role.may(numbers)
    done = command(*another, url=role.url)
    assert done.exit_code == 0, done.output


def test_index_on_tables_of_another_role(role: Role) -> None:
    """Plain Optuna's tables lack it; only who owns them may make it."""
    RDBStorage(role.admin_url).engine.dispose()
    role.may("GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    error, hint = error_of(*CREATE, url=role.url)
    assert error.endswith("must be owner of table trials")
    assert hint == f"GRANT postgres TO {role.name}{role.where}"


def test_database_to_which_a_role_may_not_connect(role: Role) -> None:
    """The server says so before there is a connection."""
    role.may(f"REVOKE CONNECT ON DATABASE {role.database} FROM PUBLIC")
    error, hint = error_of(*CREATE, url=role.url)
    assert f'permission denied for database "{role.database}"' in error
    assert hint == f"GRANT CONNECT ON DATABASE {role.database} TO {role.name}"
    role.may(hint)
    error, _ = error_of(*CREATE, url=role.url)
    assert error.endswith("permission denied for schema public")
