#!/usr/bin/python3
"""A TFTP server that answers everything from its one port (RFC 1350 subset).

Servers behind containers and some boot loaders do so: a transfer's data comes
from port 69, where RFC 1350 has the server choose a port of its own. Serves
the files of one folder for reading, over IPv4 and IPv6, in octet mode without
options; a file that is not there is answered with an error.
"""

import argparse
import pathlib
import signal
import socket
import sys
import time

_RRQ, _DATA, _ACK, _ERROR = 1, 3, 4, 5
_BLOCK = 512
_NOT_FOUND = 1
_ILLEGAL = 4
_RESEND_S = 1.0


def _number(value):
  return value.to_bytes(2, "big")


def _error(code, text):
  return _number(_ERROR) + _number(code) + text.encode() + b"\0"


class Server:
  def __init__(self, folder, port, delay):
    self._folder = folder
    self._delay = delay
    self._transfers = {}  # client -> (content, block number)
    self._socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    self._socket.bind(("::", port))
    self._socket.settimeout(_RESEND_S)

  def _send_block(self, client):
    content, block = self._transfers[client]
    at = (block - 1) * _BLOCK
    time.sleep(self._delay)
    self._socket.sendto(_number(_DATA) + _number(block & 0xffff) +
                        content[at:at + _BLOCK], client)

  def _request(self, payload, client):
    fields = payload[2:].split(b"\0")
    name = fields[0].decode(errors="replace")
    path = self._folder / name
    if not name or "/" in name or not path.is_file():
      self._socket.sendto(_error(_NOT_FOUND, "no such file"), client)
      return
    self._transfers[client] = (path.read_bytes(), 1)
    self._send_block(client)

  def _acknowledged(self, payload, client):
    content, block = self._transfers[client]
    if payload[2:4] != _number(block & 0xffff):
      return  # of an earlier block, come twice
    if block * _BLOCK > len(content):
      del self._transfers[client]  # that was the short block
      return
    self._transfers[client] = (content, block + 1)
    self._send_block(client)

  def serve(self):
    while True:
      try:
        payload, client = self._socket.recvfrom(2048)
      except socket.timeout:
        for client in list(self._transfers):
          self._send_block(client)
        continue
      opcode = int.from_bytes(payload[:2], "big")
      if opcode == _RRQ:
        self._request(payload, client)
      elif opcode == _ACK and client in self._transfers and len(payload) >= 4:
        self._acknowledged(payload, client)
      elif opcode == _ERROR:
        self._transfers.pop(client, None)
      else:
        self._socket.sendto(_error(_ILLEGAL, "illegal operation"), client)


def main():
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("folder", type=pathlib.Path)
  parser.add_argument("--port", type=int, default=69)
  parser.add_argument("--delay", type=float, default=0,
                      help="seconds before each block")
  options = parser.parse_args()
  Server(options.folder, options.port, options.delay).serve()


if __name__ == "__main__":
  main()
