"""Databases: their URLs, connections, schema and peculiarities.

backend       Optuna's storage on our engine
cells         what a cell may hold
dialect       what differs between databases
forked        connections and forked processes
password      URLs without their password
remedy        what mends a database that refuses
schema        Optuna's tables, made once
sqlitepath    the file of an SQLite URL
statement     statements compiled once
tables        Optuna's tables as SQLAlchemy's
transaction   transactions, and waiting for a database
url           which database is meant
"""
