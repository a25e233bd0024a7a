"""Databases: their URLs, connections, schema and peculiarities.

base          what differs between databases
cells         cells that somebody else has changed
engine        connections, and the table of databases
failures      errors that pass, and what mends the others
mysql         MySQL and MariaDB
password      URLs without their password
postgresql    PostgreSQL
rdbstorage    Optuna's storage on our engine
schema        Optuna's tables, made once
sqlite        SQLite, and the file of its URL
statement     execute the statements of every epoch
tables        Optuna's tables as SQLAlchemy's
transaction   transactions, and waiting for a database
url           which database is meant
"""
