"""The study as its user sees it: create, work, watch, stop, finalize."""
