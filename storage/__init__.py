"""Storage of studies and trials: SQL on Optuna's own schema, and the guarantees on top of it.

attrs      keys and types of all attributes
copying    copies a study to another database
database/  one kind of database and another: connections, schema, errors
ends       the reasons why trials fail
errors     exceptions that this package raises
rdb        `open_storage(url)`
reading    reads a study in few statements
registry   workers, stop orders, time used
slots/     the budget as rows of trials
"""
