"""`python -m study.finalize` is `study finalize`."""

import sys

from study.__main__ import main

sys.argv.insert(1, "finalize")
main()
