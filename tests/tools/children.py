"""Child processes that are certain to end: by time limit or with the parent."""

import os
import signal
import subprocess
import sys
import threading

_LOCK = threading.RLock()
_RUNNING = set()
_stopping = False


def _end_group(process):
  """Ends the process and what it started, politely first."""
  for sign, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
    try:
      os.killpg(process.pid, sign)
    except ProcessLookupError:
      pass
    try:
      process.wait(patience)
      break
    except subprocess.TimeoutExpired:
      continue
  try:
    os.killpg(process.pid, signal.SIGKILL)
  except ProcessLookupError:
    pass


def run(command, timeout, **popen_args):
  """Runs a command in a process group of its own.

  Returns its exit status, or None if it had to be ended at the time limit
  (in seconds).
  """
  with _LOCK:
    if not _stopping:
      process = subprocess.Popen(command, start_new_session=True,
                                 stdin=subprocess.DEVNULL, **popen_args)
      _RUNNING.add(process)
  if _stopping:
    threading.Event().wait()  # The program ends, and nothing else begins.
  try:
    return process.wait(timeout)
  except subprocess.TimeoutExpired:
    return None
  finally:
    _end_group(process)
    with _LOCK:
      _RUNNING.discard(process)


def stop_all_on_sigterm():
  """On SIGTERM or SIGINT, ends every child started here, then the program."""

  def handler(number, _frame):
    global _stopping
    with _LOCK:
      _stopping = True
      running = list(_RUNNING)
    for process in running:
      try:
        os.killpg(process.pid, signal.SIGTERM)
      except ProcessLookupError:
        pass
    for process in running:
      try:
        process.wait(3)
      except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    sys.stdout.flush()
    os._exit(128 + number)

  signal.signal(signal.SIGTERM, handler)
  signal.signal(signal.SIGINT, handler)
