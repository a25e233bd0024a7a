"""`study dashboard`: optuna-dashboard and a page of the workers on a web server, with a login.

access       settings: who may use the dashboard
app          the WSGI application: routes each request after checks
database     waits for the database at startup; health checks
guard        refuses requests of other sites; security headers
login        login page, sessions, waits after failed logins
metrics      `/metrics` for Prometheus
optuna_app   embeds optuna-dashboard
overview     status of all studies, read at most once a second
page         the HTML frame of a page
request      HTTP requests and responses, by bottle
serve        runs the dashboard: listen, wait, serve, stop
server       the web server and its connections
workers      the page of the workers
"""
