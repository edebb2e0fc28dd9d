#!/usr/bin/python3
"""Clients that boot by TFTP at once, in the manners of boot ROMs and loaders.

Each asks for its files one after the other: half of them from one port for
all, the others from a fresh port each. Between them they use options of every
kind, probe sizes and abort, give up in the middle without a word, send
requests twice, answer stray transfers with an error, and lose the last
acknowledgment. Some begin as Windows Deployment Services have it: DHCP, the
proxy on port 4011, the size, then the file. What cannot be had at once is
asked for again, as by a loader that its user has not given up on.

Prints a JSON object: files asked for and arrived, and what went wrong.
"""

import argparse
import collections
import hashlib
import ipaddress
import json
import socket
import struct
import threading
import time

_RRQ, _DATA, _ACK, _ERROR, _OACK = 1, 3, 4, 5, 6
_RESEND_S = 1.0
# How long one file may take in all, and one try: peers that answer each
# other's repetitions could go on for ever.
_FILE_S = 90.0
_TRY_S = 20.0


def _number(value):
  return struct.pack("!H", value & 0xffff)


class Transfer:
  """One read request, from a socket that is there already."""

  def __init__(self, sock, server, name, options, deadline, former):
    self.sock = sock
    self.server = server
    # The server's ports of transfers before, which may still say something.
    self.former = former
    self.request = _number(_RRQ) + b"\0".join(
        [name.encode(), b"octet"] +
        [str(part).encode() for pair in options for part in pair]) + b"\0"
    self.deadline = deadline
    self.tid = None
    self.block_size = 512
    self.window = 1
    self.size = None
    self.resent = 0
    self.strays = 0
    self.requests = 0

  def _send(self, payload, to=None):
    self.requests += payload is self.request
    self.sock.sendto(payload, to or self.tid or (self.server, 69))

  def _receive(self):
    """The next datagram of this transfer, or None after a while."""
    end = min(time.monotonic() + _RESEND_S, self.deadline)
    while True:
      left = end - time.monotonic()
      if left <= 0:
        return None
      self.sock.settimeout(left)
      try:
        payload, source = self.sock.recvfrom(65536)
      except (socket.timeout, ConnectionRefusedError):
        continue
      source = source[:2]
      if self.tid is None:
        if source[0] != self.server:
          continue
        if source not in self.former:
          self.tid = source
          if source[1] != 69:
            self.former.add(source)
      if source != self.tid:
        # RFC 1350: told so, without harm to the transfer.
        self.strays += source not in self.former
        self.former.add(source)
        self._send(_number(_ERROR) + _number(5) + b"unknown transfer\0",
                   source)
        continue
      if len(payload) >= 4:
        return payload

  def _exchange(self, payload):
    """Sends it until something comes."""
    while True:
      self._send(payload)
      got = self._receive()
      if got is not None:
        return got
      if time.monotonic() >= self.deadline:
        raise TimeoutError("no answer")
      self.resent += 1

  def _grant(self, payload):
    fields = payload[2:].split(b"\0")
    for name, value in zip(fields[::2], fields[1::2]):
      name = name.lower()
      if name == b"blksize":
        self.block_size = int(value)
      elif name == b"windowsize":
        self.window = int(value)
      elif name == b"tsize":
        self.size = int(value)

  def abort(self, code=0):
    self._send(_number(_ERROR) + _number(code) + b"aborted\0")

  def probe(self):
    """The size, and no more."""
    got = self._exchange(self.request)
    if struct.unpack("!H", got[:2])[0] == _OACK:
      self._grant(got)
      self.abort(8)
    else:
      self.abort(0)

  def read(self, twice=False, blocks=None, lose_last=False):
    """The whole file, or its first blocks."""
    if twice:
      self._send(self.request)
    content, expected, got = bytearray(), 1, self._exchange(self.request)
    in_window, lost = 0, False
    while True:
      if time.monotonic() >= self.deadline:
        raise TimeoutError("the transfer does not end")
      opcode, block = struct.unpack("!HH", got[:4])
      answer = None
      if opcode == _ERROR:
        raise OSError(got[4:].rstrip(b"\0").decode(errors="replace"))
      if opcode == _OACK:
        self._grant(got)
        answer = _number(_ACK) + _number(0)
      elif opcode == _DATA and block == expected & 0xffff:
        content += got[4:]
        last = len(got) - 4 < self.block_size
        answer = _number(_ACK) + _number(expected)
        expected += 1
        in_window += 1
        if blocks is not None and expected > blocks and not last:
          return None
        if last:
          if not (lose_last and not lost):
            self._send(answer)
            return bytes(content)
          # The server's block comes again.
          lost, expected = True, expected - 1
          del content[-(len(got) - 4) or len(content):]
          in_window, answer = 0, None
        elif in_window < self.window:
          answer = None
        else:
          in_window = 0
      elif opcode == _DATA:
        # One that was there before, or a gap in a window.
        answer = _number(_ACK) + _number(expected - 1)
        in_window = 0
      if answer is None:
        got = self._receive()
        if got is None:
          got = self._exchange(_number(_ACK) + _number(expected - 1)) \
              if not lost else self._wait()
      else:
        got = self._exchange(answer)

  def drain(self):
    """Until the answers to further requests are there; some may be lost."""
    if self.tid is None or self.tid[1] == 69:
      return
    self.deadline = time.monotonic() + 2 * _RESEND_S
    while (self.strays < self.requests - 1 and
           time.monotonic() < self.deadline):
      self._receive()

  def _wait(self):
    while True:
      got = self._receive()
      if got is not None:
        return got
      if time.monotonic() >= self.deadline:
        raise TimeoutError("the last block did not come again")


_Manner = collections.namedtuple(
    "_Manner", "options probe twice give_up lose_last",
    defaults=((), False, False, False, False))
_MANNERS = (
    _Manner(),
    _Manner((("blksize", 1428), ("tsize", 0))),
    _Manner((("tsize", 0),), probe=True),
    _Manner((("windowsize", 4), ("blksize", 1024))),
    _Manner((("blksize", 600),), give_up=True),
    _Manner(twice=True),
    _Manner((("timeout", 1), ("blksize", 1400)), lose_last=True),
    _Manner((("blksize", 1428), ("timeout", 2)), probe=True, twice=True),
)


class Client(threading.Thread):
  def __init__(self, number, options, names, report):
    super().__init__(daemon=True)
    self.number = number
    self.options = options
    self.names = names
    self.report = report
    self.address = str(ipaddress.ip_address(options.first) + number)
    self.fixed = number % 2 == 0
    self.sock = None
    self.former = set()

  def _start(self, name, options, deadline):
    return Transfer(self._socket(), self.options.server, name, options,
                    min(deadline, time.monotonic() + _TRY_S), self.former)

  def _socket(self):
    if self.sock is not None and self.fixed:
      return self.sock
    if self.sock is not None:
      self.sock.close()
    self.former = set()
    family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
    self.sock = socket.socket(family, socket.SOCK_DGRAM)
    self.sock.bind((self.address, 2070 if self.fixed else 0))
    return self.sock

  def _get(self, name, manner):
    deadline = time.monotonic() + _FILE_S
    while True:
      try:
        return self._try(name, manner, deadline)
      except OSError as error:
        # TimeoutError is one, too.
        if time.monotonic() >= deadline:
          raise
        self.report.retried(f"{name}: {error}")

  def _try(self, name, manner, deadline):
    if manner.probe:
      probe = self._start(name, (("tsize", 0),), deadline)
      probe.probe()
      if self.fixed:
        probe.drain()
    if manner.give_up:
      # Switched off in the middle, and on again.
      self._start(name, manner.options, deadline).read(blocks=2)
    transfer = self._start(name, manner.options, deadline)
    content = transfer.read(twice=manner.twice, lose_last=manner.lose_last)
    if self.fixed:
      transfer.drain()
    return content

  def run(self):
    for index, name in enumerate(self.names):
      time.sleep(self.options.pause)
      manner = _MANNERS[(self.number + index) % len(_MANNERS)]
      want = self.options.digests[name]
      try:
        content = self._get(name, manner)
        good = hashlib.sha256(content).hexdigest() == want
        if not good and self.fixed:
          # A late answer to a request that was sent again, of the file before,
          # looks like one to this: nothing tells them apart but the content.
          self.report.retried(f"{self.address} {name}: {len(content)} bytes")
          content = self._get(name, _MANNERS[0])
          good = hashlib.sha256(content).hexdigest() == want
        self.report.done(good, f"{self.address} {name}: other content")
      except Exception as error:  # every file is accounted for
        self.report.done(False, f"{self.address} {name} {manner}: "
                                f"{type(error).__name__} {error}")


class Report:
  def __init__(self):
    self._lock = threading.Lock()
    self.asked = self.arrived = self.again = 0
    self.errors = []

  def done(self, good, text):
    with self._lock:
      self.asked += 1
      self.arrived += good
      if not good:
        self.errors.append(text)

  def retried(self, text):
    with self._lock:
      self.again += 1
      if len(self.errors) < 5:
        self.errors.append(f"again: {text}")


# --- as with Windows Deployment Services ---------------------------------------


def _bootp(number, kind):
  return struct.pack("!BBBBIHH16s16s192sI3sB", 1, 1, 6, 0, number, 0, 0x8000,
                     b"", number.to_bytes(6, "big"), b"", 0x63825363,
                     bytes((53, 1, kind)), 255)


def _ask(sock, payload, to, expected):
  end = time.monotonic() + 30
  sock.settimeout(1)
  while time.monotonic() < end:
    sock.sendto(payload, to)
    try:
      while True:
        got, _ = sock.recvfrom(2048)
        if expected in got:
          return
    except socket.timeout:
      continue
  raise TimeoutError(f"nothing from port {to[1]}")


def ask_for_boot_server(options, number):
  """DHCP by broadcast or DHCPv6 by multicast, then the proxy on 4011."""
  token = number.to_bytes(4, "big")
  address = str(ipaddress.ip_address(options.first) + number)
  if ":" in options.server:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
      sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
      index = socket.if_nametoindex(options.device)
      sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
      sock.bind(("::", 546))
      _ask(sock, b"\1" + token, ("ff02::1:2", 547, 0, index), token)
  else:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
      sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE,
                      options.device.encode())
      sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
      sock.bind(("", 68))
      _ask(sock, _bootp(number, 1), ("255.255.255.255", 67), token)
  family = socket.AF_INET6 if ":" in address else socket.AF_INET
  with socket.socket(family, socket.SOCK_DGRAM) as sock:
    sock.bind((address, 68))
    _ask(sock, _bootp(number, 3), (options.server, 4011), token)


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("--server", required=True)
  parser.add_argument("--first", required=True,
                      help="address of the first client")
  parser.add_argument("--device", default="eth0")
  parser.add_argument("--clients", type=int, required=True)
  parser.add_argument("--files", type=int, required=True, help="of each")
  parser.add_argument("--wds", type=int, default=0,
                      help="clients that ask for their server before")
  parser.add_argument("--pause", type=float, default=0,
                      help="seconds before each file")
  parser.add_argument("--digests", required=True,
                      help="JSON: a file's name and its SHA-256")
  options = parser.parse_args()
  with open(options.digests, encoding="utf-8") as listing:
    options.digests = json.load(listing)
  names = sorted(options.digests)
  report = Report()
  for number in range(options.wds):
    ask_for_boot_server(options, number)
  clients = [
      Client(number, options,
             [names[(number + i) % len(names)] for i in range(options.files)],
             report) for number in range(options.clients)]
  began = time.monotonic()
  for client in clients:
    client.start()
  for client in clients:
    client.join()
  print(json.dumps({"asked": report.asked, "arrived": report.arrived,
                    "asked_again": report.again,
                    "seconds": round(time.monotonic() - began, 1),
                    "errors": report.errors[:20]}))


if __name__ == "__main__":
  main()
