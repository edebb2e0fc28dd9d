#!/usr/bin/python3
"""Prints the cases of a JUnit XML report as "pass|fail<TAB>kind<TAB>name"."""

import sys
import xml.etree.ElementTree


def main():
  if len(sys.argv) != 3:
    sys.exit("usage: count_junit.py REPORT.xml KIND")
  path, kind = sys.argv[1:]
  try:
    root = xml.etree.ElementTree.parse(path).getroot()
  except (OSError, xml.etree.ElementTree.ParseError):
    return 1
  outcomes = {}
  for case in root.iter("testcase"):
    if case.find("skipped") is not None:
      continue
    name = f"{case.get('classname', '')}.{case.get('name', '')}"
    failed = (case.find("failure") is not None or
              case.find("error") is not None)
    # A case whose body failed and whose clean-up failed is reported twice.
    outcomes[name] = outcomes.get(name, False) or failed
  for name, failed in outcomes.items():
    print(f"{'fail' if failed else 'pass'}\t{kind}\t{name}")
  return 0


if __name__ == "__main__":
  sys.exit(main())
