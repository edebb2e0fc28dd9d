#!/usr/bin/python3
"""Names a port by FTP and asks for nothing."""

import ftplib
import sys
import time


def main():
  with ftplib.FTP(sys.argv[1], timeout=8) as ftp:
    ftp.login("anonymous", "x")
    ftp.makeport()
    time.sleep(60)


if __name__ == "__main__":
  main()
