"""Completion in the shells that people have, with names of a running daemon."""

import os
import pathlib

import pytest

from harness import BUILD, run

_SCRIPTS = (pathlib.Path(__file__).resolve().parents[2] / "configs" /
            "completion")
_RULES = """\
table <friends> persist
anchor "guests" { pass label "inner" }
pass all label "all things"
"""


def bash(words, env):
  script = """
    if [ -r /usr/share/bash-completion/bash_completion ]; then
      . /usr/share/bash-completion/bash_completion
    fi
    . "$SCRIPT"
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
    _sluicectl
    printf '%s\\n' "${COMPREPLY[@]}"
  """
  return run("bash", "--norc", "-c", script, "bash", *words,
             env={**env, "SCRIPT": str(_SCRIPTS / "sluicectl.bash")}).stdout


def zsh(words, env):
  # The widget's own variables and commands, without a terminal.
  script = """
    compadd() { while [[ $1 != -- ]]; do shift; done; shift; print -rl -- "$@" }
    _files() { print -r -- FILES }
    words=("$@") CURRENT=$#
    . $SCRIPT
  """
  return run("zsh", "-f", "-c", script, "zsh", *words,
             env={**env, "SCRIPT": str(_SCRIPTS / "_sluicectl")}).stdout


def fish(words, env):
  line = " ".join(words)
  out = run("fish", "--no-config", "-c",
            f"source {_SCRIPTS}/sluicectl.fish; complete -C '{line}'",
            env=env).stdout
  return out


@pytest.mark.parametrize("shell", [bash, zsh, fish], ids=lambda s: s.__name__)
def test_completion(network, firewall, shell, tmp_path, monkeypatch):
  fw = firewall(_RULES)
  fw.ctl("filter", "create", "vm-1", "--ports", "tap1")
  (tmp_path / "home").mkdir()
  env = {"PATH": f"{BUILD}:{os.environ['PATH']}", "HOME": str(tmp_path / "home"),
         "SLUICE_SOCKET": str(fw.socket), "LC_ALL": "C.UTF-8"}

  def offered(*words):
    return [line.replace("\\", "")
            for line in shell(["sluicectl", *words], env).splitlines() if line]

  assert {"filter", "port", "metrics", "help"} <= set(offered(""))
  assert offered("filter", "des") == ["destroy"]
  assert offered("filter", "destroy", "") == ["main", "vm-1"]
  assert offered("filter", "create", "a", "--fail", "") == ["closed", "open"]
  assert offered("-t", "") == ["friends"]
  assert offered("-a", "") == ["guests"]
  assert offered("-s", "states", "--label", "a") == ["all things"]
  assert offered("port", "enable", "in") == ["inside"]
  monkeypatch.chdir(tmp_path)
  (tmp_path / "rules.conf").write_text("pass\n")
  assert offered("-f", "rul") == (["FILES"] if shell is zsh else ["rules.conf"])
  # Without a daemon there are no names, and nothing else is said.
  fw.stop()
  assert offered("filter", "destroy", "") == []
  assert "destroy" in offered("filter", "")


def test_help(network):
  assert "--expect-restore" in run(BUILD / "sluicectl", "help", "filter",
                                   "create").stdout
  assert "usage: sluicectl nic" in run(BUILD / "sluicectl", "help",
                                       "nic").stdout
  assert "state export" in run(BUILD / "sluicectl", "help", "state",
                               "export").stdout
  wrong = run(BUILD / "sluicectl", "help", "filtre", check=False)
  assert wrong.returncode == 1 and "did you mean filter?" in wrong.stderr
