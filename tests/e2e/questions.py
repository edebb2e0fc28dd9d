"""UDP questions from many ports, and a server that answers each."""

from harness import PYTHON, SERVERS

PORT = 7

# Asks from port after port, and prints how many answers came.
_ASK = """
import socket, sys
to, port, first, count = sys.argv[1], *map(int, sys.argv[2:5])
wait = float(sys.argv[5])
family = socket.AF_INET6 if ":" in to else socket.AF_INET
answers = 0
for source in range(first, first + count):
  with socket.socket(family, socket.SOCK_DGRAM) as s:
    s.bind(("", source))
    s.connect((to, port))
    s.send(b"ask")
    if wait:
      s.settimeout(wait)
      try:
        answers += s.recv(10) == b"ask"
      except socket.timeout:
        pass
print(answers)
"""
_ECHO = f"""
import socket
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
  s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
  s.bind(("::", {PORT}))
  while True:
    data, peer = s.recvfrom(2048)
    s.sendto(data, peer)
"""
# Takes what comes and says nothing: nobody's kernel answers then.
_HOLE = _ECHO.replace("s.sendto(data, peer)", "pass")


def _serve(network, script):
  server = network.server.start(PYTHON, "-c", script)
  network.server.wait_for_listener(PORT, udp=True)
  return server


def start_echo(network):
  return _serve(network, _ECHO)


def start_hole(network):
  return _serve(network, _HOLE)


def ask(network, family, first, count, port=PORT, wait_s=0.3):
  """The number of answers to questions from ports first, first + 1, ..."""
  done = network.client.run(PYTHON, "-c", _ASK, SERVERS[family], port, first,
                            count, wait_s, timeout=60)
  return int(done.stdout)
