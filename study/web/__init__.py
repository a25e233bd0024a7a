"""The dashboard: optuna-dashboard on a production server, behind a login, and our own pages."""
