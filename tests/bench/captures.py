"""Captures of many connections, written byte by byte.

A library that builds packets as objects needs minutes for a million of them;
here a frame is a template with its addresses, ports and checksums filled in.
"""

import struct

FRAME_BYTES = 64
_CLIENT_MAC = bytes.fromhex("020000000001")
_SERVER_MAC = bytes.fromhex("020000000002")
_PCAP_HEADER = struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1)
_TCP, _UDP = 6, 17


def _sum16(data):
  if len(data) % 2:
    data += b"\0"
  return sum(struct.unpack(f">{len(data) // 2}H", data))


def _fold(total):
  while total >> 16:
    total = (total & 0xffff) + (total >> 16)
  return ~total & 0xffff


def _transport(proto, source_port, destination_port, sequence,
               acknowledgment, payload):
  """A transport header and payload with checksum 0, and its place."""
  if proto == _UDP:
    return struct.pack(">HHHH", source_port, destination_port,
                       8 + len(payload), 0) + payload, 6
  return struct.pack(">HHIIBBHHH", source_port, destination_port, sequence,
                     acknowledgment, 5 << 4, 0x10, 32768, 0, 0) + payload, 16


class Side:
  """Builds the frames that one side of the wire sends."""

  def __init__(self, family, proto, from_client):
    self._proto = proto
    self._from_client = from_client
    self._v6 = family == 6
    macs = ((_SERVER_MAC, _CLIENT_MAC) if from_client
            else (_CLIENT_MAC, _SERVER_MAC))
    self._ethernet = macs[0] + macs[1] + (b"\x86\xdd" if self._v6
                                          else b"\x08\x00")
    header = (40 if self._v6 else 20) + (8 if proto == _UDP else 20)
    # UDP fills the frame with payload; a bare ACK is padded by the link.
    self._payload = bytes(max(0, FRAME_BYTES - 14 - header)
                          if proto == _UDP else 0)

  def frame(self, client, server, client_port, server_port):
    """One frame of the connection; client and server are packed addresses."""
    client_sequence, server_sequence = 1000, 5000
    if self._from_client:
      ends = client, server, client_port, server_port
      numbers = client_sequence, server_sequence
    else:
      ends = server, client, server_port, client_port
      numbers = server_sequence, client_sequence
    source, destination, source_port, destination_port = ends
    segment, at = _transport(self._proto, source_port, destination_port,
                             *numbers, self._payload)
    total = _sum16(source + destination + segment) + self._proto + len(segment)
    checksum = _fold(total) or 0xffff
    segment = (segment[:at] + checksum.to_bytes(2, "big") + segment[at + 2:])
    if self._v6:
      header = struct.pack(">IHBB", 6 << 28, len(segment), self._proto,
                           64) + source + destination
    else:
      header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0x4000,
                           64, self._proto, 0) + source + destination
      header = (header[:10] + _fold(_sum16(header)).to_bytes(2, "big") +
                header[12:])
    frame = self._ethernet + header + segment
    return frame + bytes(max(0, FRAME_BYTES - len(frame)))


def _ends(index, family):
  """Connection number `index`: its ends, distinct for each index."""
  # The port runs fastest and wraps; then the address moves on.
  client_port = 1024 + index % 50021
  host = 1 + index // 50021
  # A spread of clients, as a busy network has, not one.
  client = 0x0a000000 + (host << 12) + (index * 2654435761 >> 7) % 4096
  server = 0x0a800000 + 1 + index % 251
  if family == 6:
    return (bytes.fromhex("fd000000000000000000000000") +
            client.to_bytes(4, "big")[1:],
            bytes.fromhex("fd000000000000010000000000") +
            server.to_bytes(4, "big")[1:], client_port, 443)
  return client.to_bytes(4, "big"), server.to_bytes(4, "big"), client_port, 443


def write(path, family, proto, connections, from_client):
  """Writes one packet of each connection, as its one side sends it."""
  side = Side(family, {"udp": _UDP, "tcp": _TCP}[proto], from_client)
  with open(path, "wb") as out:
    out.write(_PCAP_HEADER)
    for index in range(connections):
      frame = side.frame(*_ends(index, family))
      out.write(struct.pack("<IIII", index // 1000000, index % 1000000,
                            len(frame), len(frame)) + frame)
