"""The manual pages name what the programs know, and nothing else."""

import itertools
import pathlib
import re

import pytest

from harness import BUILD, run

TOP = pathlib.Path(__file__).resolve().parents[2]
MANUAL = TOP / "docs" / "man"
SECTIONS = ("eal", "port", "wire", "workers", "memory", "control", "log",
            "policy", "state", "transfer", "restore", "pflow",
            "metrics", "segment", "router", "web")


def page(name):
  """A page's text without its markup."""
  text = (MANUAL / name).read_text()
  text = re.sub(r"\\f[BIRP]", "", text).replace("\\&", "")
  return text.replace("\\-", "-")


def options(text):
  """Long options, and short ones that stand alone: "-c"."""
  return (set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", text)) |
          set(re.findall(r"(?<![\w-])-[A-Za-z](?![\w-])", text)))


def words_of_usage(text):
  """Options in a usage line, with joined flags taken apart."""
  joined = re.findall(r"\[-([A-Za-z]+)\]", text)
  return options(text) | {f"-{flag}" for flag in itertools.chain(*joined)}


@pytest.mark.parametrize("program,name", [
    ("sluiced", "sluiced.8"), ("sluice-replay", "sluice-replay.1")])
def test_options(program, name):
  known = options(run(BUILD / program, "--help").stdout)
  assert len(known) > 4
  told = options(page(name))
  # DPDK's and other programs' options are not ours.
  told -= options("systemctl enable --now sluiced")
  assert told == known


def test_options_of_sluicectl():
  known = words_of_usage(
      run(BUILD / "sluicectl", "--help").stdout.split("EXIT STATUS")[0] +
      run(BUILD / "sluicectl", "nic", "--help").stdout +
      run(BUILD / "sluicectl", "state", "--help").stdout)
  told = words_of_usage(page("sluicectl.8"))
  assert known - told == set(), "not in the manual"
  # Said by the program elsewhere: help itself, and short forms.
  assert told - known <= {"-h", "--help"}, "not in the program"


def test_commands_of_sluicectl():
  usage = run(BUILD / "sluicectl", "--help").stdout
  text = page("sluicectl.8").replace('"', "")
  assert "sluicectl metrics\n" in usage and ".SH METRICS\n" in text
  usage_of_states = run(BUILD / "sluicectl", "state", "--help").stdout
  for noun, verbs in re.findall(r"sluicectl (state|snapshot|restore) ([a-z|]+)",
                                usage_of_states):
    for verb in verbs.split("|"):
      assert re.search(rf"^\.\w+.*{noun} {verb}\b", text, re.M), (noun, verb)
  for noun, verbs in re.findall(r"sluicectl (filter|port|nic) (.*?)(?=\n  "
                                r"     sluicectl|\n  -s)", usage, re.S):
    for verb in re.findall(r"(?:^|\| ?)\s*([a-z]+)", verbs):
      if verb in ("open", "fail", "no", "block", "folder"):
        continue  # values of options
      assert re.search(rf"^\.\w+.*{verb}\b", text, re.M), (noun, verb)


def test_exit_status_of_sluiced():
  known = set(re.findall(r"\b([0-9]) (?:stopped|it could|a wrong|an error|"
                           r"what this)",
                         run(BUILD / "sluiced", "--help").stdout
                         .replace("\n", " ")))
  assert known == {"0", "1", "2", "3", "4"}
  after = page("sluiced.8").split(".SH EXIT STATUS")[1].split(".SH")[0]
  assert set(re.findall(r"^\.B ([0-9])$", after, re.M)) == known


def keys_of(section, tmp_path):
  """The keys that the daemon says it knows there."""
  lists = ("port", "wire", "segment", "router")
  header = f"[[{section}]]" if section in lists else f"[{section}]"
  path = tmp_path / "keys.toml"
  path.write_text(f"{header}\nno_such_key = 1\n")
  done = run(BUILD / "sluiced", "--check-config", "-c", path, check=False)
  known = re.search(r"unknown key 'no_such_key'.*?known here: ([^\n]*)",
                    done.stderr, re.S)
  assert known, done.stderr
  return set(known.group(1).split(", "))


@pytest.mark.parametrize("section", SECTIONS)
def test_keys_of_the_configuration(section, tmp_path):
  known = keys_of(section, tmp_path)
  parts = re.split(r'^\.SH "?', page("sluice.toml.5"), flags=re.M)
  (part,) = [p for p in parts if p.startswith((f"[{section}]",
                                               f"[[{section}]]"))]
  told = set()
  for line in re.findall(r"^\.TP\n\.B (.*)$", part, re.M):
    told |= set(line.split(", "))
  assert told == known
  # And the reference in docs/ has the same.
  docs = (TOP / "docs" / "configuration.md").read_text()
  for key in known:
    assert f"`{key}`" in docs, key


def test_sections_of_the_configuration(tmp_path):
  path = tmp_path / "sections.toml"
  path.write_text("no_such_section = 1\n")
  done = run(BUILD / "sluiced", "--check-config", "-c", path, check=False)
  known = re.search(r"known here: ([^\n]*)", done.stderr).group(1)
  assert set(known.split(", ")) == set(SECTIONS)


@pytest.mark.parametrize("path", sorted(MANUAL.iterdir()),
                         ids=lambda p: p.name)
def test_page_is_well_formed(path):
  text = path.read_text()
  assert text.startswith(".TH ")
  for heading in ("NAME", "DESCRIPTION", "SEE ALSO"):
    assert f"\n.SH {heading}\n" in text
  for number, line in enumerate(text.splitlines(), 1):
    assert line.isascii() and len(line) < 81, f"{path.name}:{number}"


@pytest.mark.parametrize("source", ["language", "policy-tests", "drops"])
def test_page_made_of_another(source, tmp_path):
  """Says all that the page of docs/ says, as a manual page."""
  made = tmp_path / "page.5"
  run("/usr/bin/python3", TOP / "docs" / "from_markdown.py",
      TOP / "docs" / f"{source}.md", made, "sluice-page", "5", "what it is",
      "sluicectl(8)", "sluiced(8)")
  text = made.read_text()
  assert "\n.TH SLUICE-PAGE 5 " in text
  for heading in ("NAME", "DESCRIPTION", "SEE ALSO"):
    assert f"\n.SH {heading}\n" in text
  plain = re.sub(r"\\f[BR]|\\:", "", text)
  for mark, sign in (("\\-", "-"), ("\\(ga", "`"), ("\\(ha", "^"),
                     ("\\(ti", "~"), ("\\&", ""), ("\\e", "\\")):
    plain = plain.replace(mark, sign)
  plain = " ".join(plain.split())
  page_text = (TOP / "docs" / f"{source}.md").read_text()
  found = re.findall(r"(?<!`)`([^`\n]+)`(?!`)",
                     re.sub(r"```.*?```", "", page_text, flags=re.S))
  assert len(found) > 30
  for code in found:
    words = " ".join(code.replace("\\|", "|").split())
    assert words in plain, code
  # A line is no request by chance.
  for line in text.splitlines():
    assert re.match(r"\.(TH|SH|SS|PP|TP|IP|EX|EE|br|BR|\\\") ?|[^.']|$",
                    line), line
