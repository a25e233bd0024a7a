"""`study dashboard`: optuna-dashboard and a page of the workers on a web server, with a login.

access       who may use the dashboard: settings, addresses
app          which request gets which answer
database     waited for at the start, asked whether it answers
guard        requests of other sites; headers of every answer
login        passwords, sessions, failed logins
metrics      `/metrics` for Prometheus
optuna_app   optuna-dashboard inside our site
overview     the studies, read at most once a second
page         the HTML frame of our pages
request      a request and its answers, by bottle
serve        from start to end: listen, wait, serve, stop
server       the web server and its connections
workers      the page of the workers
"""
