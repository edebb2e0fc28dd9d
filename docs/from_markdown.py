#!/usr/bin/python3
"""A manual page of a page of docs/, so that both say the same.

  from_markdown.py SOURCE.md OUT NAME SECTION "what it is" [SEE ALSO ...]

Takes what the pages of docs/ use: headings, paragraphs, lists, tables, code
blocks, `code`, **bold** and [links](to.md). A table becomes a list: the first
column is the term, the others what is said of it.
"""

import pathlib
import re
import sys

_WIDTH = 78


def plain(text):
  text = text.replace("\\", "\\e").replace("-", "\\-")
  text = text.replace("`", "\\(ga").replace("^", "\\(ha").replace("~", "\\(ti")
  return text


def escaped(text):
  """As it stands; long words may be broken between any thirty characters."""
  parts = []
  for word in re.split(r"(\s+)", text):
    pieces = [word[k:k + 30] for k in range(0, len(word), 30)] or [word]
    parts.append("\\:".join(plain(piece) for piece in pieces)
                 if len(word) > 40 else plain(word))
  return "".join(parts)


def quote_line(text):
  """A line of text must not look like a request."""
  return "\\&" + text if text[:1] in (".", "'") else text


def inline(text):
  """Code and bold in bold, links as their words."""
  found = []
  # Code first: nothing inside of it means anything.
  for part in re.split(r"(``.+?``|`[^`]*`|\*\*.+?\*\*|\[[^\]]*\]\([^)]*\))",
                       text):
    if part.startswith("`"):
      found.append(f"\\fB{escaped(part.strip('`').strip())}\\fR")
    elif part.startswith("**"):
      found.append(f"\\fB{escaped(part[2:-2])}\\fR")
    elif re.fullmatch(r"\[[^\]]*\]\([^)]*\)", part):
      words = part[1:part.index("]")]
      found.append(escaped(words))
    else:
      found.append(escaped(part))
  return "".join(found)


def wrapped(text):
  """Lines short enough to be read in the source, too."""
  lines, line = [], ""
  for word in inline(text).split():
    if line and len(line) + 1 + len(word) > _WIDTH:
      lines.append(quote_line(line))
      line = word
    else:
      line = f"{line} {word}" if line else word
  if line:
    lines.append(quote_line(line))
  return lines


def cells(line):
  """The cells of a table's line; a bar in code or behind a backslash is none."""
  found, cell, code = [], "", False
  for i, c in enumerate(line.strip().strip("|")):
    if c == "`":
      code = not code
    if c == "|" and not code and not cell.endswith("\\"):
      found.append(cell.strip())
      cell = ""
    else:
      cell = cell[:-1] + c if c == "|" and cell.endswith("\\") else cell + c
  return found + [cell.strip()]


def convert(text):
  """The body of the page: everything but its title."""
  out, lines, i = [], text.split("\n"), 0
  while i < len(lines):
    line = lines[i]
    if line.startswith("```"):
      out += [".PP", ".EX"]
      i += 1
      while i < len(lines) and not lines[i].startswith("```"):
        out.append(quote_line(escaped(lines[i])))
        i += 1
      out.append(".EE")
    elif line.startswith("    ") and line.strip():
      out += [".PP", ".EX"]
      while i < len(lines) and (lines[i].startswith("    ") or
                                not lines[i].strip()):
        if not lines[i].strip() and not (i + 1 < len(lines) and
                                         lines[i + 1].startswith("    ")):
          break
        out.append(quote_line(escaped(lines[i][4:])))
        i += 1
      out.append(".EE")
      continue
    elif line.startswith("#"):
      depth = len(line) - len(line.lstrip("#"))
      words = inline(line.lstrip("#").strip()).replace("\\fB", "").replace(
          "\\fR", "")
      if depth == 2:
        out.append(f".SH {words.upper() if words.islower() else words}")
      elif depth > 2:
        out.append(f".SS {words}")
    elif line.startswith("|"):
      i += 1  # its titles are said of no row
      while i < len(lines) and lines[i].startswith("|"):
        row = cells(lines[i])
        i += 1
        if all(set(cell) <= set("-: ") for cell in row):
          continue
        out += [".TP", *(wrapped(row[0])[:1] or ["\\&"])]
        more = wrapped(row[0])[1:]
        said = [cell for cell in row[1:] if cell]
        body = more + [text for k, cell in enumerate(said)
                       for text in ([".br"] if k else []) + wrapped(cell)]
        out += body or ["\\&"]
      continue
    elif re.match(r"\s*(-|\d+\.) ", line):
      item = re.sub(r"^\s*(-|\d+\.) ", "", line)
      while i + 1 < len(lines) and re.match(r"\s+\S", lines[i + 1]) and not (
          re.match(r"\s*(-|\d+\.) ", lines[i + 1])):
        i += 1
        item += " " + lines[i].strip()
      out += [".IP \\(bu 2", *wrapped(item)]
    elif line.strip():
      words = [line]
      while i + 1 < len(lines) and lines[i + 1].strip() and not re.match(
          r"(#|\||```|    |\s*(-|\d+\.) )", lines[i + 1]):
        i += 1
        words.append(lines[i])
      out += [".PP", *wrapped(" ".join(words))]
    i += 1
  return out


def main():
  source, target, name, section, what, *also = sys.argv[1:]
  text = pathlib.Path(source).read_text(encoding="utf-8")
  page = [
      f".\\\" Made of docs/{pathlib.Path(source).name}; change that.",
      f".TH {name.upper()} {section} \"\" sluice \"sluice\"",
      ".SH NAME", f"{escaped(name)} \\- {escaped(what)}", ".SH DESCRIPTION",
      *convert(text)]
  if also:
    page += [".SH SEE ALSO"]
    page += [f".BR {escaped(one.split('(')[0])} ({one.split('(')[1]}" +
             ("," if one != also[-1] else "") for one in also]
  pathlib.Path(target).write_text("\n".join(page) + "\n", encoding="utf-8")


if __name__ == "__main__":
  main()
