"""Where trials live: SQL on Optuna's own schema, and the guarantees over it."""
