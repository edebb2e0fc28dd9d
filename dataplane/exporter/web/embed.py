"""Makes a C++ file of the web page: its text, and the policy that lets run
exactly its own style and script."""

import base64
import hashlib
import pathlib
import re
import sys

_LINE = 72


def block(text, element):
  """What is between the one start of the element and its end."""
  found = re.findall(rf"<{element}>(.*?)</{element}>", text, re.DOTALL)
  if len(found) != 1 or text.count(f"<{element}") != 1:
    sys.exit(f"page.html: there has to be one <{element}>, without attributes")
  return found[0]


def digest(text):
  return "'sha256-" + base64.b64encode(
      hashlib.sha256(text.encode()).digest()).decode() + "'"


def policy(text):
  return "; ".join([
      "default-src 'none'",
      f"script-src {digest(block(text, 'script'))}",
      f"style-src {digest(block(text, 'style'))}",
      "connect-src 'self'",
      "img-src data:",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
  ])


def literal(data):
  """C++ string literals; '?' for trigraphs, and octal digits stay three."""
  lines = []
  for at in range(0, len(data), _LINE):
    lines.append('    "' + "".join(
        chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}"
        for b in data[at:at + _LINE]) + '"')
  return "\n".join(lines)


def main():
  source, target = sys.argv[1:]
  text = pathlib.Path(source).read_text(encoding="utf-8")
  data = text.encode()
  pathlib.Path(target).write_text(f"""\
// Made of page.html by embed.py.
#include "dataplane/exporter/web_page.h"

namespace sluice {{

constexpr char kWebPageText[] =
{literal(data)};
const std::string_view kWebPage(kWebPageText, {len(data)});
const char kWebPolicy[] =
{literal(policy(text).encode())};

}}  // namespace sluice
""", encoding="utf-8")


main()
