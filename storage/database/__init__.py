"""SQLite, PostgreSQL and MySQL: URLs, connections, schema, differences.

base          base class of a database: all that differs between them
cells         validates values that other programs may have changed
engine        engines and connections; the list of databases
failures      classifies drivers' exceptions: temporary or permanent
mysql         MySQL and MariaDB
password      masks passwords in URLs
postgresql    PostgreSQL
rdbstorage    Optuna's RDBStorage with retries and fewer reads
schema        creates and checks Optuna's tables
sqlite        SQLite, and the file of its URL
statement     executes the statements of an attempt, compiled once
tables        reads and writes Optuna's tables
transaction   transactions with retries
url           parses URLs
"""
