"""The entry point of `study` and `python -m study`; imports as little as possible.

A worker that gets SIGTERM while it still imports holds no trial yet: it exits at once with code 0.
"""

import gc
import os
import signal
import sys
from typing import NoReturn

from study.text import prepare_streams

INTERRUPTED = 130


def main() -> NoReturn:
    """Run the command line."""
    prepare_streams()
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    if command == "worker":
        # Not SystemExit, which an import could catch.
        signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))
    # A worker that replaced itself through `exec` has blocked these signals.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
    try:
        if command == "worker":
            from study.worker.told import PREWARM

            if PREWARM in os.environ:
                from study.worker.prewarmed import await_command

                sys.argv[1:] = await_command()
        from study.cli.app import main as run

        run()
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    finally:
        # Searching for cycles at the end of a process takes half a second, with TensorFlow 1.5 s.
        gc.freeze()


if __name__ == "__main__":
    main()
