"""optuna-dashboard on a production server, behind a login, with pages of our own.

app          which request gets which answer
database     whether the database answers
door         who may come in; the settings
exchange     a request and its answer
guard        requests of other sites; headers of every answer
login        passwords, sessions, failed tries
metrics      `/metrics` for Prometheus
optuna_app   optuna-dashboard inside our server
overview     the studies, read at most once a second
page         what our pages share
pages        our pages
serve        from start to end: listen, wait, serve, leave
server       the web server and its connections
workers      the page of the workers
"""
