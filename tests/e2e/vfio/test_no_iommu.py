"""The negative control: without an IOMMU nothing is bound, and it is said."""

import shipped
from guest import Nic


def test_no_iommu(boot):
  nics = [Nic("outside", "virtio-net-pci", slot=3, function=0),
          Nic("inside", "virtio-net-pci", slot=3, function=1)]
  guest = boot(nics, shipped.files(), iommu=False)
  for nic in nics:
    assert guest.bind(nic).returncode != 0, guest.log()
    assert guest.driver(nic) == ""
  done = guest.refused_start(shipped.CONFIG)
  print(done.text)
  assert done.returncode == 1, done.text
  assert "0000:03:00.0" in done.text, done.text
  assert "IOMMU: there is none, or it is switched off" in done.text
  assert "_iommu=on" in done.text, done.text
  assert "no device was touched" in done.text

  # The same guest lacks hugepages, too, when they are taken away.
  guest.run("echo 0 >/proc/sys/vm/nr_hugepages")
  done = guest.refused_start(shipped.CONFIG)
  assert done.returncode == 1, done.text
  assert "[eal] hugepages: none are free" in done.text, done.text
  assert "sysctl -w vm.nr_hugepages=" in done.text, done.text
