#!/usr/bin/python3
"""Gets and puts files by FTP with Python's ftplib, several in one session."""

import ftplib
import io
import sys


def main():
  host, mode, source, target = sys.argv[1:5]
  with ftplib.FTP(host, timeout=8) as ftp:
    ftp.login("anonymous", "x")
    ftp.set_pasv(mode == "passive")
    content = None
    for _ in range(3):
      got = io.BytesIO()
      ftp.retrbinary(f"RETR {source}", got.write)
      assert content is None or content == got.getvalue()
      content = got.getvalue()
    ftp.storbinary(f"STOR {target}", io.BytesIO(content))


if __name__ == "__main__":
  main()
