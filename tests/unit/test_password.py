"""No part of a password is shown, whatever is given for a URL."""

import random

import pytest

from storage.database.password import redact
from storage.database.url import parse_url
from storage.errors import StorageError


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:s3cret@host/name", "postgresql://me:***@host/name"),
        ("postgresql://me:s3:c@r/et@host/name", "postgresql://me:***@host/name"),
        ("postgresql://me@host/name", "postgresql://me@host/name"),
        ("postgresql://:s3cret@host/name", "postgresql://:***@host/name"),
        ("postgresql://me/s3cret@host/name", "postgresql://me:***@host/name"),
        ("postgresql:///name?host=/run&password=s3cret&user=me", "?host=/run&password=***&user=me"),
        ("postgresql:///name?sslpassword=s3cret", "postgresql:///name?sslpassword=***"),
        ("postgresql:///name?passfile=/s3", "postgresql:///name?passfile=***"),
        ("postgresql:///name?password=a&s3cret=b&s3", "postgresql:///name?password=***&***&***"),
        ("postgresql:///name?user=me;password=s3cret", "postgresql:///name?user=***"),
        ("postgresql:///name?host=me:s3cret@host", "postgresql:///name?host=***"),
        ("mysql://me@host/name?passwd=s3cret", "mysql://me@host/name?passwd=***"),
        ("postgresql://me:s3cret", "postgresql://me:***"),
        ("postgresql://me:s3cret/name", "postgresql://me:***"),
        ("postgresql:/me:s3cret@host/name", "***@host/name"),
        ("postgresql:me:s3cret", "postgresql:***"),
        ("me:s3cret@host/name", "***@host/name"),
        ("host=db user=me password='s3 cret s3'", "***"),
        ("sqlite+pysqlcipher://:s3cret@/study.db", "sqlite+pysqlcipher://:***@/study.db"),
        ("sqlite://me:s3cret@host/study.db", "sqlite://me:***@host/study.db"),
        ("sqlite:///study.db", "sqlite:///study.db"),
        ("sqlite:////data/a@b:c.db", "sqlite:////data/a@b:c.db"),
        ("study.db", "study.db"),
        ("C:\\study.db", "C:\\study.db"),
    ],
)
def test_password_is_never_shown(text: str, shown: str) -> None:
    """Wherever in the URL it stands; the rest is shown as it was given."""
    assert redact(text).endswith(shown)
    assert "s3" not in redact(text)


SHORTEST_PART = 4
SIGNS = "@/#%?:&=;+ !$*'"
FORMS = (
    "postgresql://ana:{}@db.example:5432/studies",
    "postgresql+asyncpg://ana:{}@db.example/studies?sslmode=require",
    "postgresq://ana:{}@db.example/studies",
    "postgresql:/ana:{}@db.example/studies",
    "postgresql:ana:{}@db.example/studies",
    "postgresql:///ana:{}@db.example/studies",
    "postgresql://ana/{}@db.example/studies",
    "postgresql://ana:{}@db.example:port/studies",
    "'postgresql://ana:{}@db.example/studies'",
    "mysql+mysqldb://ana:{}@db.example",
    "ana:{}@db.example/studies",
    "postgresql://db.example/studies?user=ana&password={}",
    "postgresql://db.example/studies?sslpassword={}&sslmode=require",
    "mysql://db.example/studies?passwd={}",
    "sqlite://ana:{}@db.example/studies",
)


def passwords(n: int) -> list[str]:
    """Random passwords of letters that no message has, with signs between them."""
    rng = random.Random(7)
    alphabet = "QXZ0123456789" + SIGNS
    return ["".join(rng.choices(alphabet, k=rng.randint(6, 16))) for _ in range(n)]


@pytest.mark.parametrize("form", FORMS)
def test_no_part_of_any_password_is_in_a_message(form: str) -> None:
    """Neither in the URL as it is shown, nor in what is said of one that is refused."""
    for password in passwords(400):
        text = form.format(password)
        said = [redact(text)]
        try:
            parse_url(text)
        except StorageError as error:
            said += [str(error), str(error.hint)]
        parts = {password[i : i + SHORTEST_PART] for i in range(len(password) - SHORTEST_PART + 1)}
        leaked = [part for part in parts for line in said if part in line]
        assert leaked == [], (text, said)


def test_passwords_of_this_test_would_be_found() -> None:
    """The check above sees one in a URL that is shown as it is."""
    assert all(password in FORMS[0].format(password) for password in passwords(5))
