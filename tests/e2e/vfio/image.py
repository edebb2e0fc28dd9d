"""What the guest boots: Debian's kernel, and an initramfs with sluice in it.

The kernel and busybox come out of Debian's packages, which are unpacked and
not installed; they are kept in the build directory. The initramfs holds them,
the modules for vfio and for the emulated NICs, the programs under test and
every library that these load.
"""

import lzma
import os
import pathlib
import re
import shutil
import stat
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent

# Kernel modules; what they depend on comes with them.
_MODULES = ("vfio", "vfio_iommu_type1", "vfio-pci", "virtio_pci", "virtio_net",
            "e1000e")
# DPDK's plug-ins for the guest's NICs and memory. The drivers of virtual
# devices are those that the configurations of sluice name most.
_PLUGINS = ("bus_pci", "bus_vdev", "mempool_ring", "net_virtio", "net_e1000",
            "net_null")
_PLUGIN_FOLDERS = "usr/lib/*/dpdk/pmds-*"
# An unpacked kernel is smaller than this by far.
_MAX_KERNEL = 256 << 20


def _run(*command, **more):
  done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT, text=True, **more)
  if done.returncode:
    raise RuntimeError(f"{' '.join(map(str, command))}: status "
                       f"{done.returncode}\n{done.stdout}")
  return done.stdout


def _kernel_package():
  """The package that Debian's linux-image-amd64 stands for at present."""
  def ask():
    found = re.search(r"Depends: (linux-image-\S+)",
                      _run("apt-cache", "depends", "linux-image-amd64"))
    return found and found[1]
  name = None
  try:
    name = ask()
  except RuntimeError:
    pass
  if not name:
    _run("apt-get", "update", "-qq")
    name = ask()
  if not name:
    raise RuntimeError("apt knows no package linux-image-amd64")
  return name


def _fetch(package, folder):
  """Unpacks a package into folder/PACKAGE, once."""
  to = folder / package
  if to.is_dir():
    return to
  with tempfile.TemporaryDirectory(dir=folder) as scratch:
    # apt's own user may not enter the build directory: as root, then.
    command = ("apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download",
               package)
    try:
      _run(*command, cwd=scratch)
    except RuntimeError:
      _run("apt-get", "update", "-qq")
      _run(*command, cwd=scratch)
    (archive,) = pathlib.Path(scratch).glob("*.deb")
    unpacked = pathlib.Path(scratch) / "unpacked"
    _run("dpkg-deb", "-x", archive, unpacked)
    unpacked.rename(to)
  return to


def _uncompressed_kernel(bzimage):
  """The ELF image within a bzImage, which saves unpacking it in emulation."""
  data = bzimage.read_bytes()
  for found in re.finditer(rb"\xfd7zXZ\0", data):
    try:
      image = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(
          data[found.start():], _MAX_KERNEL)
    except lzma.LZMAError:
      continue
    if image.startswith(b"\x7fELF"):
      return image
  return None


def _module_order(root):
  """Paths of the wanted modules, each behind those that it depends on."""
  (modules,) = root.glob("lib/modules/*")
  paths = {path.stem.replace("-", "_"): path
           for path in modules.rglob("*.ko")}
  order = []

  def add(name):
    path = paths.get(name.replace("-", "_"))
    if path is None:
      return  # built into the kernel
    if path in order:
      return
    found = re.search(rb"\0depends=([^\0]*)\0", path.read_bytes())
    for needed in found[1].decode().split(",") if found else ():
      if needed:
        add(needed)
    order.append(path)

  for name in _MODULES:
    add(name)
  return order


def _libraries(*binaries):
  """Every library that the binaries load, by the paths they are found at."""
  found = set()
  for binary in binaries:
    for line in _run("ldd", binary).splitlines():
      match = re.search(r"(/\S+) \(0x", line)
      if match:
        found.add(match[1])
  return found


class Archive:
  """An initramfs in the making: a cpio archive of the "newc" format."""

  def __init__(self):
    self._entries = {}

  def _add(self, path, mode, data=b""):
    path = str(path).strip("/")
    for parent in reversed(pathlib.PurePosixPath(path).parents):
      if str(parent) != ".":
        self._entries.setdefault(str(parent), (stat.S_IFDIR | 0o755, b""))
    self._entries[path] = (mode, data)

  def folder(self, path):
    self._add(path, stat.S_IFDIR | 0o755)

  def text(self, path, text, mode=0o644):
    self._add(path, stat.S_IFREG | mode, text.encode())

  def link(self, path, target):
    self._add(path, stat.S_IFLNK | 0o777, str(target).encode())

  def file(self, path, source):
    source = pathlib.Path(source)
    mode = stat.S_IMODE(source.stat().st_mode)
    self._add(path, stat.S_IFREG | mode, source.read_bytes())

  def library(self, path):
    """A file by its own path, through symbolic links to the real one."""
    path = pathlib.Path(path)
    real = path.resolve()
    self.file(real, real)
    if path != real:
      self.link(path, real)

  def bytes(self):
    out = bytearray()

    def append(name, number, mode, data):
      encoded = name.encode() + b"\0"
      links = 2 if stat.S_ISDIR(mode) else 1
      fields = (number, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0,
                len(encoded), 0)
      out.extend(b"070701" + b"".join(b"%08X" % field for field in fields))
      out.extend(encoded)
      out.extend(b"\0" * (-len(out) % 4))
      out.extend(data)
      out.extend(b"\0" * (-len(out) % 4))

    for number, (name, (mode, data)) in enumerate(sorted(
        self._entries.items()), start=1):
      append(name, number, mode, data)
    append("TRAILER!!!", 0, 0, b"")
    return bytes(out)


class Image:
  """The kernel and the initramfs, made for one build of sluice."""

  def __init__(self, build):
    cache = build / "guest"
    cache.mkdir(exist_ok=True)
    package = _kernel_package()
    # Only the newest kernel is kept: they are large.
    for old in cache.glob("linux-image-*"):
      if old.name != package:
        shutil.rmtree(old)
    kernel = _fetch(package, cache)
    busybox = _fetch("busybox-static", cache)
    self.kernel = kernel / "vmlinux"
    if not self.kernel.exists():
      (bzimage,) = kernel.glob("boot/vmlinuz-*")
      image = _uncompressed_kernel(bzimage)
      if image is None:
        self.kernel = bzimage
      else:
        self.kernel.write_bytes(image)
    self.initramfs = cache / "initramfs"
    self._make(build, kernel, busybox)

  def _make(self, build, kernel, busybox):
    archive = Archive()
    for folder in ("proc", "sys", "dev", "run", "tmp", "root", "bin"):
      archive.folder(folder)
    archive.file("bin/busybox", busybox / "bin/busybox")
    archive.link("bin/sh", "busybox")
    archive.link("var/run", "/run")
    archive.file("init", HERE / "init.sh")
    archive.text("etc/group", "root:x:0:\nadm:x:4:\n")
    archive.text("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    archive.text("etc/nsswitch.conf", "group: files\npasswd: files\n")
    order = []
    for module in _module_order(kernel):
      archive.file(f"modules/{module.name}", module)
      order.append(module.name)
    archive.text("modules/order", "".join(f"{name}\n" for name in order))
    programs = [build / "sluiced", build / "sluicectl"]
    plugins = []
    for folder in pathlib.Path("/").glob(_PLUGIN_FOLDERS):
      # A folder's files stand for themselves and under shorter names; DPDK
      # loads those whose name ends in the whole version.
      version = folder.name.removeprefix("pmds-")
      plugins += [folder / f"librte_{name}.so.{version}" for name in _PLUGINS]
    for path in sorted(_libraries(*programs, *plugins)):
      archive.library(path)
    # Loaded when a thread ends, and by no binary's own word.
    for path in pathlib.Path("/").glob("lib/*/libgcc_s.so.1"):
      archive.library(path)
    for plugin in plugins:
      archive.library(plugin)
    for program in programs:
      archive.file(f"bin/{program.name}", program)
    scratch = self.initramfs.with_suffix(f".{os.getpid()}")
    scratch.write_bytes(archive.bytes())
    scratch.rename(self.initramfs)
