#!/usr/bin/python3
"""Starts a server as inetd does: with a bound UDP socket for standard input.

  inetd_udp.py ADDRESS PORT COMMAND [ARGUMENT...]
"""

import os
import socket
import sys


def main():
  address, port, *command = sys.argv[1:]
  family = socket.AF_INET6 if ":" in address else socket.AF_INET
  with socket.socket(family, socket.SOCK_DGRAM) as sock:
    sock.bind((address, int(port)))
    os.dup2(sock.fileno(), 0)
    os.execv(command[0], command)


if __name__ == "__main__":
  main()
