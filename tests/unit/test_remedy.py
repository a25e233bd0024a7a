"""What is named as the remedy, by what the driver said: codes of servers that are not at hand."""

import psycopg
import pymysql
import pytest
from sqlalchemy.exc import DBAPIError, OperationalError

from storage.database.base import LOGIN
from storage.database.failures import how_to_mend
from storage.database.mysql import MISSING_NAME, UTF8MB4
from storage.database.postgresql import UTF8


def wrapped(original: Exception) -> DBAPIError:
    """As SQLAlchemy wraps what a driver raised."""
    return OperationalError("SELECT 1", {}, original)


MYSQL = {
    1044: (
        "Access denied for user 'ana'@'%' to database 'studies'",
        "GRANT ALL ON `studies`.* TO 'ana'@'%'",
    ),
    1142: (
        "INSERT command denied to user 'ana'@'10.0.0.7' for table `studies`.`trials`",
        "GRANT ALL ON `studies`.* TO 'ana'@'10.0.0.7'",
    ),
    1045: ("Access denied for user 'ana'@'host' (using password: YES)", LOGIN),
    1046: ("No database selected", MISSING_NAME),
    1049: ("Unknown database 'studies'", "CREATE DATABASE `studies` CHARACTER SET utf8mb4"),
    1366: ("Incorrect string value: '\\xE6\\x95' for column 'study_name'", UTF8MB4),
}


@pytest.mark.parametrize("code", MYSQL)
def test_mysql_errors_have_the_statement_that_mends_them(code: int) -> None:
    """With the names that stand in the message."""
    said, remedy = MYSQL[code]
    assert how_to_mend(wrapped(pymysql.OperationalError(code, said))) == remedy


def test_mysql_table_without_its_database_is_granted_by_a_wildcard() -> None:
    """Older servers name the table alone."""
    said = "SELECT command denied to user 'ana'@'host' for table 'trials'"
    found = how_to_mend(wrapped(pymysql.OperationalError(1142, said)))
    assert found == "GRANT ALL ON `*`.* TO 'ana'@'host'"


def test_text_that_an_encoding_does_not_have() -> None:
    """A database of UTF8 holds it."""
    assert how_to_mend(wrapped(psycopg.errors.UntranslatableCharacter("no equivalent"))) == UTF8


def test_error_that_no_remedy_is_known_of() -> None:
    """And what is no error of a database."""
    assert how_to_mend(wrapped(pymysql.OperationalError(1064, "syntax"))) is None
    assert how_to_mend(wrapped(psycopg.errors.UniqueViolation("twice"))) is None
    assert how_to_mend(ValueError("database or disk is full")) is None
