"""`python -m study` is `study`: the way in, which imports nothing before it has to.

A worker that is asked to stop in its first second, while Python still imports, holds nothing yet:
it leaves at once, and that is success.
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
        # Not SystemExit: raised inside an import it could be caught there.
        signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))
    # One that replaced itself has held its signals back.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
    try:
        if command == "worker":
            from study.worker.warm import await_orders, is_ready

            if is_ready():
                await_orders()
        from study.cli.app import main as run

        run()
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    finally:
        # What ends with the process need not be searched for cycles first: that took half a second,
        # and with TensorFlow one and a half.
        gc.freeze()


if __name__ == "__main__":
    main()
