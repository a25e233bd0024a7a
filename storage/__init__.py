"""Where trials live: SQL on Optuna's own schema, and the guarantees over it.

attrs      every attribute key
copying    a study copied to another database
database/  what is one database and what another
ends       why trials fail
errors     known failures of a database
rdb        `open_storage(url)`
reading    a study read in few statements
registry   workers, stop orders, time used
slots/     the budget as rows
"""
