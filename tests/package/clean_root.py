"""A Debian system in a folder, with nothing in it but what a package needs.

It is made once by mmdebstrap from the sources that this machine's apt has, kept
as an archive under a name that says what is in it, and unpacked anew for every
use.
"""

import hashlib
import pathlib
import re
import subprocess

SUITE = "bookworm"


def _stanzas(text):
  """The stanzas of a deb822 file, without comments."""
  lines = [l for l in text.splitlines() if not l.startswith("#")]
  return re.split(r"\n\s*\n", "\n".join(lines).strip())


def debian_sources():
  """Debian's own entries among apt's sources: (deb822 text, one-line text).

  Third parties' are left out: their keys are not in the new system.
  """
  apt = pathlib.Path("/etc/apt")
  stanzas, lines = [], []
  for path in sorted(apt.glob("sources.list.d/*.sources")):
    for stanza in _stanzas(path.read_text()):
      if (re.search(rf"^Suites:.*\b{SUITE}", stanza, re.M) and
          re.search(r"^Components:.*\bmain\b", stanza, re.M)):
        stanzas.append(stanza)
  for path in [apt / "sources.list", *sorted(apt.glob("sources.list.d/*.list"))]:
    if path.exists():
      lines += [l for l in path.read_text().splitlines()
                if re.match(rf"deb\s.*\s{SUITE}\S*\s.*\bmain\b", l)]
  return "\n\n".join(stanzas) + "\n", "\n".join(lines) + "\n"


def _proxies():
  """apt's options about proxies, which the new system's apt needs, too."""
  done = subprocess.run(["apt-config", "dump"], stdout=subprocess.PIPE,
                        text=True, check=True)
  return [line for line in done.stdout.splitlines()
          if re.match(r"Acquire::https?::(Proxy|Verify|CaInfo)", line, re.I)]


def make(cache, packages):
  """The archive with these packages and what they depend on."""
  deb822, one_line = debian_sources()
  proxies = _proxies()
  what = "\n".join([deb822, one_line, *sorted(packages)])
  name = hashlib.sha256(what.encode()).hexdigest()[:16]
  archive = cache / f"root-{name}.tar"
  if archive.exists():
    return archive
  for old in cache.glob("root-*.tar"):
    old.unlink()
  mirrors = []
  for text, file in ((deb822, "debian.sources"), (one_line, "debian.list")):
    if text.strip():
      (cache / file).write_text(text)
      mirrors.append(cache / file)
  partial = cache / "partial.tar"
  command = ["mmdebstrap", "--variant=apt", "--include=" + ",".join(packages)]
  for proxy in proxies:
    command.append(f"--aptopt={proxy}")
  done = subprocess.run([*command, SUITE, str(partial), *map(str, mirrors)],
                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT, text=True, timeout=900)
  assert done.returncode == 0, done.stdout
  partial.rename(archive)
  return archive


class Root:
  """An unpacked system. Programs in it see a network of their own without
  anything in it, and end with the command that started them."""

  def __init__(self, folder, archive):
    self.folder = folder
    folder.mkdir()
    subprocess.run(["tar", "xf", str(archive), "-C", str(folder)], check=True)

  def path(self, name):
    return self.folder / name.lstrip("/")

  def command(self, *command):
    """The command line that runs a command in the system."""
    # The mounts go with the namespace.
    mounts = ('mount -t proc proc "$0/proc" && '
              'mount --rbind /sys "$0/sys" && '
              'mount --rbind /dev "$0/dev" && '
              'exec chroot "$0" "$@"')
    return ["unshare", "--mount", "--net", "--propagation", "private", "sh",
            "-c", mounts, str(self.folder), *map(str, command)]

  def run(self, *command, check=True, timeout=120, **more):
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C",
                   "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(self.command(*command), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL, env=environment, **more)
    if check:
      assert done.returncode == 0, f"{command}: {done.stdout}"
    return done

  def start(self, *command, log):
    with open(log, "wb") as out:
      return subprocess.Popen(self.command(*command), stdout=out,
                              stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL)
