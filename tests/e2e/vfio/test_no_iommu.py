"""The negative control: without an IOMMU nothing is bound, and it is said."""

import shipped
from guest import Nic


def refused(guest):
  """What the check says, and a start says the same before it ends."""
  check = guest.check(shipped.CONFIG)
  assert check.returncode == 4, check.text
  assert "would not start on this machine" in check.text
  start = guest.refused_start(shipped.CONFIG)
  assert start.returncode == 4, start.text
  assert "no device was touched" in start.text
  said = [line for line in check.text.splitlines()
          if line and not line.startswith(("sluiced:", "/etc/sluice/",
                                           "examples/"))]
  for line in said:
    assert line in start.text, line
  return start.text


def test_no_iommu(boot):
  nics = [Nic("outside", "virtio-net-pci", slot=3, function=0),
          Nic("inside", "virtio-net-pci", slot=3, function=1)]
  guest = boot(nics, shipped.files(), iommu=False)
  for nic in nics:
    assert guest.bind(nic).returncode != 0, guest.log()
    assert guest.driver(nic) == ""
  text = refused(guest)
  print(text)
  assert "0000:03:00.0" in text, text
  assert "IOMMU: there is none, or it is switched off" in text
  assert "_iommu=on" in text, text

  # The same guest lacks hugepages, too, when they are taken away.
  guest.run("echo 0 >/proc/sys/vm/nr_hugepages")
  text = refused(guest)
  assert "[eal] hugepages: none are free" in text, text
  assert "sysctl -w vm.nr_hugepages=" in text, text
