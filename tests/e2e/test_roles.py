"""Users of the machine at the control socket: who may do what."""

import os
import pathlib
import shutil
import tempfile

import pytest

from harness import BUILD, Firewall, run

# Users and groups that the machine need not know.
READ, OPERATE, ADMIN, OTHER = 61001, 61002, 61003, 61004
_ROLES = (f'read_group = "{READ}"\noperate_group = "{OPERATE}"\n'
          f'admin_group = "{ADMIN}"')
_RULES = "table <t> persist\npass\n"


@pytest.fixture
def work():
  """A folder that any user may enter, with the tool in it."""
  folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-roles-"))
  folder.chmod(0o755)
  shutil.copy(BUILD / "sluicectl", folder / "sluicectl")
  yield folder
  shutil.rmtree(folder)


@pytest.fixture
def roles(network, work):
  fw = Firewall(network, _RULES, work, control=_ROLES).start()
  yield fw
  fw.stop()


def ctl_as(fw, user, groups, *arguments, **more):
  """sluicectl as a user whose own group is the last of all."""
  return run("setpriv", f"--reuid={user}", f"--regid={groups[0]}",
             *(["--groups", ",".join(map(str, groups[1:]))] if groups[1:] else
               ["--clear-groups"]),
             fw.work / "sluicectl", "-p", fw.socket, *arguments, check=False,
             **more)


def test_each_group_may_do_what_its_role_says(roles):
  fw = roles
  fw.ctl("filter", "create", "vm", "--ports", "outside", "--ruleset", "-",
         input="pass\n")
  orders = {
      "read": ("-s", "info"),
      "operate": ("-t", "t", "-T", "add", "192.0.2.7"),
      "commit": ("--filter", "vm", "-f", "-"),
      "admin": ("-f", "-"),
  }
  # The group as the process's own, and as one of the supplementary ones.
  for group, allowed in ((READ, {"read"}),
                         (OPERATE, {"read", "operate", "commit"}),
                         (ADMIN, set(orders))):
    for groups in ((group,), (OTHER, 7, group), (group, 7)):
      for what, words in orders.items():
        done = ctl_as(fw, 61010, groups, *words, input="pass\n")
        if what in allowed:
          assert done.returncode == 0, (groups, what, done.stderr)
        else:
          assert done.returncode == 1, (groups, what)
          assert "this needs the role" in done.stderr, done.stderr
          assert "_group of [control]" in done.stderr, done.stderr
  # Two groups: the higher role counts.
  assert ctl_as(fw, 61010, (READ, ADMIN), "-d").returncode == 0
  assert ctl_as(fw, 61010, (READ, ADMIN), "-e").returncode == 0
  text = fw.process.text()
  assert "refused ruleset.load of filter main: it needs the role admin" in text
  assert "uid 61010 pid" in text


def test_a_stranger_does_not_even_connect(roles):
  fw = roles
  done = ctl_as(fw, 61010, (OTHER, 7), "-s", "info")
  assert done.returncode == 1
  assert "Permission denied" in done.stderr, done.stderr
  acl = os.getxattr(fw.socket, "system.posix_acl_access")
  assert len(acl) == 4 + 8 * 7, "owner, group, three groups, mask, others"
  # The file's group is nobody's role here.
  assert ctl_as(fw, 61010, (os.getegid() + 61020,), "-s",
                "info").returncode == 1


def test_refused_orders_do_not_fill_the_log(roles):
  fw = roles
  for _ in range(25):
    assert ctl_as(fw, 61010, (READ,), "-d").returncode == 1
  lines = [l for l in fw.process.text().splitlines() if "refused" in l]
  assert 10 <= len(lines) <= 20, lines
  assert all("filter.disable" in l for l in lines)


def test_without_roles_the_sockets_group_is_admin(network, work):
  fw = Firewall(network, _RULES, work,
                control=f'mode = "0660"\ngroup = "{OPERATE}"').start()
  try:
    assert ctl_as(fw, 61010, (OPERATE,), "-f", "-",
                  input="pass\n").returncode == 0
    assert ctl_as(fw, 61010, (OTHER, OPERATE), "-F", "rules").returncode == 0
    assert ctl_as(fw, 61010, (READ,), "-s", "info").returncode == 1
    with pytest.raises(OSError):
      os.getxattr(fw.socket, "system.posix_acl_access")
  finally:
    fw.stop()


def test_groups_that_cannot_have_a_role(network, work):
  for group, why, status in (("nosuchgroup", "no group", 4),
                             ("65534", "name spaces", 1)):
    fw = Firewall(network, _RULES, work, control=f'read_group = "{group}"')
    fw.launch()
    assert fw.process.wait() == status
    text = fw.process.text()
    assert "read_group" in text and why in text, text
