#!/usr/bin/python3
"""Takes datagrams at an address and port, and writes each as a line of
hexadecimal digits."""

import socket
import sys

address, port = sys.argv[1], int(sys.argv[2])
family = socket.AF_INET6 if ":" in address else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM) as taken:
  taken.bind((address, port))
  while True:
    print(taken.recv(65536).hex(), flush=True)
