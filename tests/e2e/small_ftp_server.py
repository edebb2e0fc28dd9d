#!/usr/bin/python3
"""An FTP server (RFC 959 and RFC 2428 subset) for one folder.

Speaks PASV, EPSV, PORT and EPRT over IPv4 and IPv6, in binary mode, one thread
a connection. `--split` sends each answer one byte a segment.
"""

import argparse
import pathlib
import socket
import threading


class Session:
  def __init__(self, connection, folder, split):
    self._control = connection
    self._folder = folder
    self._split = split
    self._listener = None
    self._target = None

  def _say(self, text):
    line = (text + "\r\n").encode()
    if not self._split:
      self._control.sendall(line)
      return
    for at in range(len(line)):
      self._control.sendall(line[at:at + 1])

  def run(self):
    self._control.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    self._say("220 ready")
    lines = self._control.makefile("rb")
    for line in lines:
      word, _, argument = line.decode().strip().partition(" ")
      handler = getattr(self, "_" + word.lower(), None)
      if handler is None:
        self._say("502 not here")
      elif handler(argument) is False:
        break
    self._control.close()

  def _user(self, _):
    self._say("230 welcome")

  def _type(self, _):
    self._say("200 as you like")

  def _quit(self, _):
    self._say("221 bye")
    return False

  def _listen(self):
    host = self._control.getsockname()[0]
    self._listener = socket.create_server(
        (host, 0), family=self._control.family)
    self._listener.settimeout(10)
    return self._listener.getsockname()[1]

  def _pasv(self, _):
    port = self._listen()
    host = self._control.getsockname()[0].removeprefix("::ffff:")
    numbers = host.split(".") + [str(port >> 8), str(port & 255)]
    self._say(f"227 Entering Passive Mode ({','.join(numbers)}).")

  def _epsv(self, _):
    self._say(f"229 Entering Extended Passive Mode (|||{self._listen()}|)")

  def _port(self, argument):
    numbers = argument.split(",")
    self._target = (".".join(numbers[:4]),
                    int(numbers[4]) << 8 | int(numbers[5]))
    self._say("200 noted")

  def _eprt(self, argument):
    _, _, host, port, _ = argument.split(argument[0])
    self._target = (host, int(port))
    self._say("200 noted")

  def _data(self):
    if self._listener is not None:
      data, _ = self._listener.accept()
      self._listener.close()
      self._listener = None
      return data
    return socket.create_connection(self._target, timeout=10)

  def _retr(self, name):
    self._say("150 here it comes")
    with self._data() as data:
      data.sendall((self._folder / name).read_bytes())
    self._say("226 done")

  def _stor(self, name):
    self._say("150 go on")
    with self._data() as data:
      content = b"".join(iter(lambda: data.recv(65536), b""))
    (self._folder / name).write_bytes(content)
    self._say("226 done")


def main():
  parser = argparse.ArgumentParser()
  parser.add_argument("folder", type=pathlib.Path)
  parser.add_argument("--split", action="store_true")
  options = parser.parse_args()
  for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
    def serve(family=family, host=host):
      with socket.create_server((host, 21), family=family) as server:
        while True:
          connection, _ = server.accept()
          session = Session(connection, options.folder, options.split)
          threading.Thread(target=session.run, daemon=True).start()
    threading.Thread(target=serve).start()


if __name__ == "__main__":
  main()
