"""The JSON of sluicectl --json, against docs/json-schema.json.

Every command is run on a daemon that has something of everything. What they
print is described by the schema without a member too many, and the schema has
no member that none of them prints: it is made of these answers, by this test,
when SLUICE_WRITE_SCHEMA is set.
"""

import json
import os
import pathlib
import subprocess
import time

from harness import BUILD, NEIGHBOURS, SERVERS, run, wait_for
from test_vlan import send

_SCHEMA = (pathlib.Path(__file__).resolve().parents[2] / "docs" /
           "json-schema.json")
_RULES = """\
table <bad> persist counters { 192.0.2.1 weight 3 }
queue std on outside bandwidth 10M default
set limit table-entries 1000
set loginterface outside
state limiter "all" id 1 limit 100
source limiter "each" id 1 entries 100
anchor "guests" { pass in proto tcp to port 99 label "inner" }
pass in proto tcp to port 9 once
pass all label "all"
block in from <bad>
""" + NEIGHBOURS
# Objects whose members are names of things, not of fields.
_MAPS = {"requests", "ends", "failures", "filters", "dropped", "drops"}
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string",
          type(None): "null"}


def schema_of(value):
  """The schema that describes this value and nothing else."""
  if isinstance(value, dict):
    return {"type": "object",
            "properties": {k: schema_of(v) for k, v in value.items()}}
  if isinstance(value, list):
    merged = None
    for element in value:
      merged = merge(merged, schema_of(element))
    return {"type": "array"} | ({"items": merged} if merged else {})
  return {"type": _TYPES[type(value)]}


def merge(a, b):
  """What describes both."""
  if a is None or a == b:
    return b
  if b is None:
    return a
  types = sorted(set(_list(a["type"])) | set(_list(b["type"])))
  result = {"type": types[0] if len(types) == 1 else types}
  items = merge(a.get("items"), b.get("items"))
  if items is not None:
    result["items"] = items
  if "properties" in a or "properties" in b:
    of_a, of_b = a.get("properties", {}), b.get("properties", {})
    result["properties"] = {
        k: merge(of_a.get(k), of_b.get(k)) for k in sorted({*of_a, *of_b})}
  return result


def _list(types):
  return types if isinstance(types, list) else [types]


def ordered(schema):
  """With members in one order, and closed: an unknown member is an error."""
  result = {"type": schema["type"]}
  if "items" in schema:
    result["items"] = ordered(schema["items"])
  if "properties" in schema:
    result["properties"] = {k: ordered(schema["properties"][k])
                            for k in sorted(schema["properties"])}
    result["additionalProperties"] = False
  return result


def answers(fw, network, family, folder):
  """[(command, its answer)]: all commands, one of each kind of answer."""
  found = []

  def ask(*words, check=True, command=None, **more):
    done = run(BUILD / "sluicectl", "-p", fw.socket, "--json", *words,
               check=False, **more)
    assert not check or done.returncode == 0, (words, done.stderr)
    found.append((command or " ".join(w for w in map(str, words)
                                      if not w.startswith("/")),
                  json.loads(done.stdout)))

  # A connection, a packet in a VLAN, a TFTP transfer with its child, an address in a table.
  network.client.run("ping", "-n", "-c", "1", SERVERS[family])
  send(network, family, 42)
  image = folder / "image"
  image.write_bytes(os.urandom(5000))
  image.chmod(0o644)
  network.server.start("in.tftpd", "--foreground", "--user", "root",
                       "--address", ":69", "--secure", folder)
  network.server.wait_for_listener(69, udp=True)
  network.client.run("tftp", f"-{family}", "-m", "octet", SERVERS[family],
                     "-c", "get", "image", folder / "got")
  snapshot = folder / "main.snap"
  with snapshot.open("wb") as out:
    done = subprocess.run(
        [BUILD / "sluicectl", "-p", fw.socket, "--json", "state", "export"],
        stdout=out, stderr=subprocess.PIPE, text=True, check=True, timeout=20)
  found.append(("state export", {"state.export": json.loads(done.stderr)}))

  rules = folder / "pf.conf"
  rules.write_text(_RULES)
  ask("-f", rules)
  ask("-f", "-", "--diff", "--show-blocked", input="block\n",
      command="-f --diff --show-blocked")
  # What has ports and flags, and what is dropped for its options.
  for proto, *probe in (
      ("tcp", "/usr/bin/python3", "-c", "import socket; s = socket.socket(); "
       f"s.settimeout(1); s.connect_ex(('{SERVERS[4]}', 9))"),
      ("icmp", "ping", "-n", "-R", "-c", "1", "-W", "1", SERVERS[4])):
    opened = fw.process.text().count("trace open: done")
    seen = subprocess.Popen(
        [BUILD / "sluicectl", "-p", fw.socket, "--json", "trace", "--proto",
         proto, "--in", "outside", "--count", "1"],
        stdout=subprocess.PIPE, text=True)
    wait_for("the trace", lambda opened=opened: fw.process.text().count(
        "trace open: done") > opened)
    time.sleep(0.3)
    network.client.run(*probe, check=False)
    found.append(("trace", json.loads(seen.communicate(timeout=20)[0])))
  ask("-nf", rules, "--facts", "/dev/null", command="-nf")
  ask("-f", "-", input="block in on on\n", check=False,
      command="-f of a ruleset with errors")
  ask("-t", "bad", "-T", "add", "192.0.2.9", "2001:db8::9")
  ask("-v", "-t", "bad", "-T", "delete", "192.0.2.9")
  ask("-t", "bad", "-T", "show")
  ask("-t", "bad", "-T", "test", "192.0.2.1", "192.0.2.77", check=False)
  ask("-t", "bad", "-T", "zero")
  ask("-v", "-t", "bad", "-T", "reset")
  # A request that nobody answers.
  network.server.stop_programs()
  network.client.run("bash", "-c", r"printf '\0\1f\0octet\0' > /dev/udp/"
                     f"{SERVERS[family]}/69")
  for what in ("rules", "states", "info", "Interfaces", "labels", "timeouts",
               "memory", "Tables", "ether", "LimiterSrcs", "osfp"):
    ask("-vv", "-s", what)
  ask("filter", "create", "vm", "--ports", "later", "--ruleset", rules,
      "--expect-restore", "--source", snapshot, "--from-filter", "main",
      "--no-wait")
  ask("port", "add", "later", "--device", "net_null0,no-rx=1")
  wait_for("the restore", lambda: fw.json("restore", "status", "--filter",
                                          "vm")["restores"][0]["state"] ==
           "RESTORED")
  ask("--filter", "main", "-f", rules, "--filter", "vm", "-f", rules,
      command="--filter --filter -f")
  ask("-s", "commits")
  ask("--filter", "main", "--filter", "vm", "--rollback", "1",
      command="--filter --filter --rollback")
  # A router, which has routes and neighbours of the kernel.
  ask("port", "add", "r0", "--device", "net_null3", "--router", "edge")
  ip = network.server.run
  ip("ip", "address", "add", "10.98.0.1/24", "dev", "r0")
  ip("ip", "neighbour", "add", "10.98.0.2", "lladdr", "02:00:00:00:00:99",
     "dev", "r0", "nud", "permanent")
  ip("ip", "route", "add", "10.99.0.0/16", "via", "10.98.0.2")
  wait_for("the route", lambda: any(
      r["prefix"] == "10.99.0.0/16" and r["type"] == "forward" for r in
      fw.json("router", "routes", "edge")["routes"]))
  wait_for("the neighbour", lambda: fw.json("router", "neighbors",
                                            "edge")["neighbors"])
  ask("router", "list")
  ask("router", "show", "edge")
  ask("router", "routes", "edge")
  ask("router", "neighbors", "edge")
  ask("port", "list")
  ask("filter", "list")
  ask("filter", "show", "vm")
  ask("restore", "status")
  ask("restore", "metrics")
  ask("metrics")
  ask("port", "bind", "later", "--bindings", "10.9.9.9", "--learn-bindings", "1")
  ask("port", "bind", "outside", "--learn-bindings", "16")
  network.client.run("ping", "-n", "-c", "1", SERVERS[family])
  ask("port", "bindings", "outside")
  ask("port", "bindings", "later")
  ask("port", "list")
  ask("port", "unbind", "outside")
  ask("port", "remove", "r0")
  ask("segment", "add", "lan")
  ask("port", "add", "v5", "--parent", "outside", "--vlan", "5",
      "--inner-vlan", "6", "--segment", "lan")
  mac = ("--mac", "00:53:00:00:00:01")
  ask("segment", "fix", "lan", *mac, "--port", "v5")
  ask("segment", "list")
  ask("segment", "macs", "lan")
  ask("port", "list")
  ask("segment", "free", "lan", *mac)
  ask("segment", "detach", "lan", "--port", "v5")
  ask("segment", "attach", "lan", "--port", "v5")
  ask("segment", "flush", "lan")
  ask("segment", "remove", "lan")
  ask("port", "remove", "v5")
  ask("port", "stats", "outside")
  for view in ("states", "ports", "rules", "reasons", "filters"):
    ask("top", view, "--once")
  expectations = folder / "expectations"
  expectations.write_text(
      "expect pass in on outside proto tcp from 192.0.2.9 to 10.0.0.1 port 9\n"
      "expect block in on outside proto icmp from 192.0.2.9 to 10.0.0.1\n"
      "expect block in on outside proto udp from 192.0.2.9 to 10.0.0.1 port 9 "
      "tagged X\n"
      "expect block in on outside proto tcp from 192.0.2.9 to 10.0.0.1 "
      "fragment\n"
      "expect block out on inside received-on outside proto udp from "
      "192.0.2.9 to 10.0.0.1 port 9 ip-options reason match\n")
  ask("test", expectations, check=False)
  for verb in ("exclude", "include", "disable", "enable", "remove"):
    ask("port", verb, "later")
  ask("state", "import", "--filter", "vm", "--from-filter", "main", snapshot,
      check=False)
  ask("snapshot", "show", snapshot)
  ask("snapshot", "verify", snapshot)
  ask("-k", "192.0.2.250")
  ask("-k", "label", "-k", "nothing")
  ask("-k", "nat", "-k", "192.0.2.250")
  ask("-s", "states", "--count")
  ask("-F", "states")
  ask("-F", "info")
  ask("-F", "rules")
  ask("-F", "Tables")
  ask("filter", "change", "vm", "--hold-bypass", "no")
  ask("log", "--level", "info")
  ask("filter", "destroy", "vm")
  # What NICs a machine has is its own affair.
  nics = json.loads(run(BUILD / "sluicectl", "nic", "list", "--json").stdout)
  found.append(("nic list", nics | {"nics": []}))
  return found


def close_maps(schema, name=""):
  """Members of maps are not fields: only what they hold is described."""
  if "items" in schema:
    close_maps(schema["items"], name)
  if "properties" not in schema:
    return
  for key, inner in schema["properties"].items():
    close_maps(inner, key)
  values = list(schema["properties"].values())
  if name in _MAPS and values and all(v == values[0] for v in values):
    del schema["properties"]
    schema["additionalProperties"] = values[0]


def test_answers_and_their_schema_agree(network, firewall, family, tmp_path):
  if family == 6:
    return  # once is enough: the answers are the same
  for folder in (tmp_path, *tmp_path.parents[:2]):
    folder.chmod(0o755)
  fw = firewall(_RULES, extra=f'\n[state]\ndir = "{tmp_path / "state"}"\n'
                f'[log]\nsessions = "{tmp_path / "sessions"}"\n'
                f'[[router]]\nname = "edge"\nports = []\n'
                f'netns = "{network.server.name}"\n')
  network.settle()
  found = answers(fw, network, family, tmp_path)
  members = {}
  for command, answer in found:
    if command != "state export":
      assert answer["json_version"] == 1, command
    for name, value in answer.items():
      members[name] = merge(members.get(name), schema_of(value))
  made = ordered({"type": "object", "properties": members})
  close_maps(made)
  made = {
      "$schema": "https://json-schema.org/draft/2020-12/schema",
      "title": "sluicectl --json",
      "description": "One object a command, with a member a result. "
                     "docs/json.md says which command has which.",
      "version": 1} | made
  text = json.dumps(made, indent=1) + "\n"
  if os.environ.get("SLUICE_WRITE_SCHEMA"):
    _SCHEMA.write_text(text)
  assert text == _SCHEMA.read_text(), (
      "the answers are others than docs/json-schema.json says: if that is "
      "meant, run this test with SLUICE_WRITE_SCHEMA=1, and mind json_version")
