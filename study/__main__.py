"""`python -m study` is `study`: the way in, which imports nothing before it has to.

A worker that is asked to stop in its first second, while Python still imports, holds nothing yet:
it leaves at once, and that is success.
"""

import gc
import io
import locale
import os
import signal
import sys
from typing import NoReturn

INTERRUPTED = 130


def prepare_streams() -> None:
    """Let files have names of any characters, and no output fail for want of one.

    In a locale other than UTF-8 neither holds in Python: the process starts anew in its UTF-8 mode,
    and prints in the encoding that the locale has.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:  # closed: the next file that is opened, such as a database, would get it
            os.open(os.devnull, os.O_RDWR)
    if sys.getfilesystemencoding() != "utf-8":
        os.environ["PYTHONUTF8"] = "1"  # for children
        os.environ.setdefault("PYTHONIOENCODING", locale.getencoding())
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - until the end
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # else a notebook's, or a test's
            # What a worker prints is its trials', and their logs are UTF-8.
            is_log = stream is sys.stdout and sys.argv[1:2] == ["worker"]
            encoding = "utf-8" if is_log else stream.encoding
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


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
            from study.ready import await_orders, is_ready

            if is_ready():
                await_orders()
        from study.cli import main as run

        run()
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    finally:
        # What ends with the process need not be searched for cycles first: that took half a second,
        # and with TensorFlow one and a half.
        gc.freeze()


if __name__ == "__main__":
    main()
