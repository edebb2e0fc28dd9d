#!/usr/bin/python3
"""One end of an SCTP association by libusrsctp, over raw sockets: the kernel
need not know SCTP.

  sctp_peer.py serve ADDRESS PORT     echoes all messages of one association
                                      after the other
  sctp_peer.py ask ADDRESS PORT       sends messages, compares the echoes, is
                                      idle for a while, and ends as it is told
"""

import argparse
import ctypes
import hashlib
import ipaddress
import socket
import struct
import sys
import time

_SCTP = 132
_MESSAGE = 65536
_EOR = 0x80
_NODELAY = 4
_LINGER = struct.pack("ii", 1, 0)


def library():
  lib = ctypes.CDLL("libusrsctp.so.2", use_errno=True)
  pointer = ctypes.c_void_p
  for name, result, arguments in (
      ("socket", pointer, (ctypes.c_int,) * 3 + (pointer,) * 2 +
       (ctypes.c_uint32, pointer)),
      ("bind", ctypes.c_int, (pointer, pointer, ctypes.c_uint32)),
      ("connect", ctypes.c_int, (pointer, pointer, ctypes.c_uint32)),
      ("listen", ctypes.c_int, (pointer, ctypes.c_int)),
      ("accept", pointer, (pointer, pointer, pointer)),
      ("sendv", ctypes.c_ssize_t,
       (pointer, pointer, ctypes.c_size_t, pointer, ctypes.c_int, pointer,
        ctypes.c_uint32, ctypes.c_uint, ctypes.c_int)),
      ("recvv", ctypes.c_ssize_t,
       (pointer, pointer, ctypes.c_size_t, pointer, pointer, pointer, pointer,
        pointer, pointer)),
      ("setsockopt", ctypes.c_int,
       (pointer, ctypes.c_int, ctypes.c_int, pointer, ctypes.c_uint32)),
      ("shutdown", ctypes.c_int, (pointer, ctypes.c_int)),
      ("close", None, (pointer,)),
      ("finish", ctypes.c_int, ())):
    call = getattr(lib, f"usrsctp_{name}")
    call.restype, call.argtypes = result, arguments
  # No port: no encapsulation in UDP.
  lib.usrsctp_init.argtypes = (ctypes.c_uint16, pointer, pointer)
  lib.usrsctp_init(0, None, None)
  for name, value in (("heartbeat_interval_default", 500),
                      ("rto_min_default", 200), ("rto_initial_default", 400),
                      ("rto_max_default", 1000), ("init_rtx_max_default", 8),
                      ("delayed_sack_time_default", 50), ("ecn_enable", 0)):
    setter = getattr(lib, f"usrsctp_sysctl_set_sctp_{name}")
    setter.argtypes = (ctypes.c_uint32,)
    setter(value)
  return lib


def fail(what):
  code = ctypes.get_errno()
  raise OSError(code, f"{what}: {code}")


class Socket:
  """A one-to-one socket."""

  def __init__(self, lib, family, handle=None):
    self.lib, self.family = lib, family
    self.handle = handle or lib.usrsctp_socket(
        family, socket.SOCK_STREAM, _SCTP, None, None, 0, None)
    if not self.handle:
      fail("socket")

  def address(self, text, port):
    packed = ipaddress.ip_address(text).packed
    head = struct.pack("H", self.family) + struct.pack(">H", port)
    return (head + packed + bytes(8) if len(packed) == 4
            else head + bytes(4) + packed + bytes(4))

  def check(self, result, what):
    if result < 0:
      fail(what)
    return result

  def bind(self, text, port):
    name = self.address(text, port)
    self.check(self.lib.usrsctp_bind(self.handle, name, len(name)), "bind")

  def connect(self, text, port):
    name = self.address(text, port)
    self.check(self.lib.usrsctp_connect(self.handle, name, len(name)),
               "connect")

  def send(self, data):
    self.check(self.lib.usrsctp_sendv(self.handle, data, len(data), None, 0,
                                      None, 0, 0, 0), "send")

  def receive(self):
    """A whole message, or None at the end of the association."""
    whole = b""
    while True:
      buffer = ctypes.create_string_buffer(_MESSAGE)
      flags, kind = ctypes.c_int(0), ctypes.c_uint(0)
      length, size = ctypes.c_uint32(0), ctypes.c_uint32(0)
      got = self.lib.usrsctp_recvv(
          self.handle, buffer, _MESSAGE, None, ctypes.byref(length), None,
          ctypes.byref(size), ctypes.byref(kind), ctypes.byref(flags))
      if got <= 0:
        return None
      whole += buffer.raw[:got]
      if flags.value & _EOR:
        return whole

  def abort(self):
    self.check(self.lib.usrsctp_setsockopt(
        self.handle, socket.SOL_SOCKET, socket.SO_LINGER, _LINGER,
        len(_LINGER)), "linger")
    self.close()

  def close(self):
    self.lib.usrsctp_close(self.handle)


def serve(lib, options, family):
  listener = Socket(lib, family)
  listener.bind(options.address, options.port)
  listener.check(lib.usrsctp_listen(listener.handle, 5), "listen")
  print("listening", flush=True)
  while True:
    handle = lib.usrsctp_accept(listener.handle, None, None)
    if not handle:
      fail("accept")
    peer = Socket(lib, family, handle)
    count = 0
    while (message := peer.receive()) is not None:
      peer.send(message)
      count += 1
    print(f"ended after {count}", flush=True)
    peer.close()


def ask(lib, options, family):
  peer = Socket(lib, family)
  peer.connect(options.address, options.port)
  print("connected", flush=True)
  for number in range(options.messages):
    seed = hashlib.sha256(str(number).encode()).digest()
    message = (seed * (options.size // len(seed) + 1))[:options.size]
    peer.send(message)
    if peer.receive() != message:
      sys.exit(f"message {number} came back as another one, or not at all")
  print(f"exchanged {options.messages}", flush=True)
  time.sleep(options.idle)
  if options.idle:
    peer.send(b"again")
    if peer.receive() != b"again":
      sys.exit("nothing came back after the pause")
  if options.end == "abort":
    peer.abort()
  else:
    lib.usrsctp_shutdown(peer.handle, 1)
    peer.receive()
    peer.close()
  # What is to be said is said by the library's threads.
  deadline = time.monotonic() + 5
  while lib.usrsctp_finish() != 0 and time.monotonic() < deadline:
    time.sleep(0.1)
  print("done", flush=True)


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument("what", choices=("serve", "ask"))
  parser.add_argument("address")
  parser.add_argument("port", type=int)
  parser.add_argument("--messages", type=int, default=20)
  parser.add_argument("--size", type=int, default=1000)
  parser.add_argument("--idle", type=float, default=0)
  parser.add_argument("--end", choices=("shutdown", "abort"),
                      default="shutdown")
  options = parser.parse_args()
  v6 = ipaddress.ip_address(options.address).version == 6
  family = socket.AF_INET6 if v6 else socket.AF_INET
  {"serve": serve, "ask": ask}[options.what](library(), options, family)


if __name__ == "__main__":
  main()
