#!/usr/bin/python3
"""Names a port by FTP, or asks for one, and asks for nothing until a file is
there; then it fetches another one over the connection that was announced."""

import ftplib
import pathlib
import socket
import sys
import time


def main():
  address, mode, flag, name, to = sys.argv[1:]
  with ftplib.FTP(address, timeout=20) as ftp:
    ftp.login("anonymous", "x")
    if mode == "active":
      listener = ftp.makeport()
    else:
      ends = ftp.makepasv()
    print("announced", flush=True)
    while not pathlib.Path(flag).exists():
      time.sleep(0.05)
    if mode == "passive":
      data = socket.create_connection(ends, 10)
    ftp.sendcmd(f"RETR {name}")
    if mode == "active":
      data, _ = listener.accept()
    with data, open(to, "wb") as out:
      while block := data.recv(65536):
        out.write(block)
    ftp.voidresp()
  print("done")


if __name__ == "__main__":
  main()
