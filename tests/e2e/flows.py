"""Flows whose every packet is accounted for (many_flows.py)."""

import json

from harness import wait_for

PORT = 7100


class Flows:
  """Flows from the client to an address of the server's."""

  def __init__(self, network, to, count, rate=10):
    network.server.start_python("many_flows.py", "answer", "--port", PORT)
    network.server.wait_for_listener(PORT, udp=True)
    self._ask = network.client.start_python(
        "many_flows.py", "ask", "--to", to, "--port", PORT, "--flows", count,
        "--rate", rate)

  def now(self):
    lines = self._ask.text().rpartition("\n")[0].splitlines()
    return [dict(zip(("sent", "heard", "missed", "path"), flow))
            for flow in (json.loads(lines[-1]) if lines else ())]

  def more(self, count=3):
    """Waits until each flow has had so many more answers, none missing in
    between; what they are then."""
    before = wait_for("the flows", self.now)

    def answered():
      return all(flow["heard"] >= old["heard"] + count
                 for flow, old in zip(self.now(), before))
    wait_for("more answers of each flow", answered)
    return self.now()

  def last(self):
    return [flow["path"][-1] for flow in self.now()]

  def finish(self):
    self._ask.stop()
    return self.now()
