"""The report of a study: one self-contained page, which `build.py` puts together."""
