"""A virtual machine's vhost-user NIC, without a machine.

It speaks the protocol of vhost-user over the socket, and is the driver of a
pair of split virtqueues in memory that it shares: enough of virtio 1 to send
frames, receive them, stop, go away and come back.
"""

import ctypes
import mmap
import os
import socket
import struct

# Requests.
_GET_FEATURES, _SET_FEATURES, _SET_OWNER = 1, 2, 3
_SET_MEM_TABLE = 5
_SET_VRING_NUM, _SET_VRING_ADDR, _SET_VRING_BASE = 8, 9, 10
_GET_VRING_BASE, _SET_VRING_KICK, _SET_VRING_CALL = 11, 12, 13
_GET_PROTOCOL_FEATURES, _SET_PROTOCOL_FEATURES = 15, 16
_SET_VRING_ENABLE = 18
_VERSION, _REPLY = 1, 4

# Features.
CSUM, GUEST_CSUM, MRG_RXBUF, MQ = 0, 1, 15, 22
TSO = (7, 8, 9, 10, 11, 12, 13, 14)
PROTOCOL_FEATURES, VERSION_1, PACKED = 30, 32, 34

_NEXT, _WRITE = 1, 2           # of descriptors
_NO_INTERRUPT = 1
_HEADER = 12                   # struct virtio_net_hdr with num_buffers
_USER = 0x7000_0000_0000       # where the memory would be in qemu
_GUEST = 0x4000_0000           # and in the machine
_LIMIT_S = 10

RECEIVE, TRANSMIT = 0, 1       # rings, as the machine calls them


class Ring:
  """A split virtqueue whose descriptors have a buffer each."""

  def __init__(self, machine, index, base):
    self.machine, self.index = machine, index
    size = machine.size
    self.desc = base
    self.avail = self.desc + 16 * size
    self.used = (self.avail + 6 + 2 * size + 3) & ~3
    self.buffers = (self.used + 6 + 8 * size + 63) & ~63
    self.end = self.buffers + size * machine.room
    self.seen = 0       # used entries that were looked at
    self.offered = 0    # avail entries
    self.kick = os.eventfd(0, os.EFD_NONBLOCK)
    self.call = os.eventfd(0, os.EFD_NONBLOCK)

  def reset(self):
    memory = self.machine.memory
    memory[self.desc:self.buffers] = bytes(self.buffers - self.desc)
    self.seen = self.offered = 0
    struct.pack_into("<H", memory, self.avail, _NO_INTERRUPT)

  def buffer(self, descriptor):
    return self.buffers + descriptor * self.machine.room

  def describe(self, descriptor, length, flags=0, following=0, address=None):
    if address is None:
      address = _GUEST + self.buffer(descriptor)
    struct.pack_into("<QIHH", self.machine.memory,
                     self.desc + 16 * descriptor, address, length, flags,
                     following)

  def offer(self, descriptor):
    memory = self.machine.memory
    at = self.offered % self.machine.size
    struct.pack_into("<H", memory, self.avail + 4 + 2 * at, descriptor)
    self.tell((self.offered + 1) & 0xffff)

  def tell(self, offered):
    # By one store, because the other end reads it: pack_into() clears the bytes
    # first, and a machine of this kind would offer 65 536 frames for a moment.
    self.offered = offered
    ctypes.c_uint16.from_buffer(self.machine.memory,
                                self.avail + 2).value = offered

  def taken(self):
    """(descriptor, length) of the next one that was used; None."""
    memory = self.machine.memory
    index, = struct.unpack_from("<H", memory, self.used + 2)
    if index == self.seen:
      return None
    at = self.seen % self.machine.size
    self.seen = (self.seen + 1) & 0xffff
    return struct.unpack_from("<II", memory, self.used + 4 + 8 * at)

  def close(self):
    os.close(self.kick)
    os.close(self.call)


class Machine:
  """One NIC. Its memory outlives its connections."""

  def __init__(self, path, size=64, room=2048, wanted=(MRG_RXBUF, VERSION_1)):
    self.path, self.size, self.room = str(path), size, room
    self.wanted = wanted
    self.socket = self.listener = None
    self.offered = 0
    first = Ring(self, RECEIVE, 0)
    second = Ring(self, TRANSMIT, (first.end + 4095) & ~4095)
    self.rings = [first, second]
    self.bytes = (second.end + 4095) & ~4095
    self.fd = os.memfd_create("machine")
    os.ftruncate(self.fd, self.bytes)
    self.memory = mmap.mmap(self.fd, self.bytes)

  # ---- The protocol.

  def _send(self, request, payload=b"", fds=(), flags=_VERSION):
    message = struct.pack("<III", request, flags, len(payload)) + payload
    if fds:
      socket.send_fds(self.socket, [message], list(fds))
    else:
      self.socket.sendall(message)

  def _ask(self, request, payload=b""):
    self._send(request, payload)
    answer = b""
    while len(answer) < 20:
      more = self.socket.recv(20 - len(answer))
      if not more:
        raise ConnectionError("the other end has closed the connection")
      answer += more
    got, flags, length = struct.unpack_from("<III", answer)
    assert (got, flags, length) == (request, _VERSION | _REPLY, 8), answer
    return struct.unpack_from("<Q", answer, 12)[0]

  def listen(self):
    """Makes the socket, as qemu does with server=on."""
    self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    self.listener.bind(self.path)
    self.listener.listen(1)
    self.listener.settimeout(_LIMIT_S)

  def connect(self):
    """Connects, or is connected to; the rings run afterwards."""
    if self.listener is not None:
      self.socket, _ = self.listener.accept()
    else:
      self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
      self.socket.connect(self.path)
    self.socket.settimeout(_LIMIT_S)
    self.negotiate()
    self.start()
    return self

  def negotiate(self):
    self._send(_SET_OWNER)
    self.offered = self._ask(_GET_FEATURES)
    features = sum(1 << bit for bit in (*self.wanted, PROTOCOL_FEATURES)
                   if self.offered >> bit & 1)
    self._ask(_GET_PROTOCOL_FEATURES)
    self._send(_SET_PROTOCOL_FEATURES, struct.pack("<Q", 0))
    self._send(_SET_FEATURES, struct.pack("<Q", features))

  def start(self):
    self._send(_SET_MEM_TABLE,
               struct.pack("<II QQQQ", 1, 0, _GUEST, self.bytes, _USER, 0),
               [self.fd])
    for ring in self.rings:
      ring.reset()
      if ring.index == RECEIVE:
        for descriptor in range(self.size):
          ring.describe(descriptor, self.room, _WRITE)
          ring.offer(descriptor)
      index = ring.index
      self._send(_SET_VRING_NUM, struct.pack("<II", index, self.size))
      self._send(_SET_VRING_BASE, struct.pack("<II", index, 0))
      self._send(_SET_VRING_ADDR, struct.pack(
          "<IIQQQQ", index, 0, _USER + ring.desc, _USER + ring.used,
          _USER + ring.avail, 0))
      self._send(_SET_VRING_CALL, struct.pack("<Q", index), [ring.call])
      self._send(_SET_VRING_KICK, struct.pack("<Q", index), [ring.kick])
    self.enable(True)

  def enable(self, on):
    for ring in self.rings:
      self._send(_SET_VRING_ENABLE, struct.pack("<II", ring.index, int(on)))

  def stop(self):
    """As when the machine's driver goes: the rings are not used afterwards."""
    for ring in self.rings:
      self._ask(_GET_VRING_BASE, struct.pack("<II", ring.index, 0))

  def leave(self):
    """As when qemu dies."""
    if self.socket is not None:
      self.socket.close()
    self.socket = None

  def close(self):
    self.leave()
    if self.listener is not None:
      self.listener.close()
      os.unlink(self.path)
    for ring in self.rings:
      ring.close()
    self.memory.close()
    os.close(self.fd)

  # ---- The driver.

  def send(self, frame, pieces=1):
    """False: no room. Frames under way are of as many pieces each."""
    ring = self.rings[TRANSMIT]
    # Descriptors are used one after the other, and come back so.
    while ring.taken() is not None:
      pass
    if (ring.offered - ring.seen) & 0xffff >= self.size // pieces:
      return False
    data = bytes(_HEADER) + frame
    part = -(-len(data) // pieces)
    first = ring.offered % (self.size // pieces) * pieces
    for i in range(pieces):
      chunk = data[i * part:(i + 1) * part]
      at = ring.buffer(first + i)
      self.memory[at:at + len(chunk)] = chunk
      last = i == pieces - 1
      ring.describe(first + i, len(chunk), 0 if last else _NEXT,
                    0 if last else first + i + 1)
    ring.offer(first)
    return True

  def _piece(self):
    ring = self.rings[RECEIVE]
    used = ring.taken()
    if used is None:
      return None
    descriptor, length = used
    at = ring.buffer(descriptor)
    data = bytes(self.memory[at:at + length])
    ring.describe(descriptor, self.room, _WRITE)
    ring.offer(descriptor)
    return data

  def receive(self):
    """The next frame; None."""
    data = self._piece()
    if data is None:
      return None
    pieces, = struct.unpack_from("<H", data, 10)
    self.header = data[:10]
    frame = data[_HEADER:]
    for _ in range(pieces - 1):
      frame += self._piece()
    return frame

  def receive_all(self):
    frames = []
    while (frame := self.receive()) is not None:
      frames.append(frame)
    return frames
