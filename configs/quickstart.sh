#!/usr/bin/env bash
# Installs what is needed, builds sluice, and shows it between two network
# namespaces that exist only while this runs:
#
#   sudo ./configs/quickstart.sh
#
#   client  10.0.0.2, fd00::2 -- outside [sluiced] inside -- server  10.0.0.1, fd00::1
#
# Exit status 0 means that everything happened as it should. Whatever was
# started is gone at the end, on failure and interrupt too.
set -eu
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$top/configs/lib.sh"
[ "$(id -u)" -eq 0 ] || die "run as root: sudo $0"

build=${SLUICE_BUILD_DIR:-$top/build}
python=/usr/bin/python3
work=$(mktemp -d "${TMPDIR:-/tmp}/sluice-quickstart.XXXXXX")
socket=$work/control.sock
client=sluice$$-client
firewall=sluice$$-fw
server=sluice$$-server
started=()
failed_step="starting"

clean_up() {
  local status=$? pid namespace
  trap - EXIT INT TERM HUP
  if [ "$status" -ne 0 ]; then
    say
    say "failed while $failed_step"
    local log
    for log in "$work"/*.log; do
      [ -s "$log" ] || continue
      say "--- $(basename "$log")"
      tail -n 30 "$log"
    done
  fi
  for ((i = ${#started[@]} - 1; i >= 0; i--)); do
    pid=${started[i]}
    kill -TERM "$pid" 2>/dev/null || continue
    for _ in $(seq 50); do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  for namespace in "$client" "$firewall" "$server"; do
    ip netns delete "$namespace" 2>/dev/null || true
  done
  rm -rf "$work"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

step() {
  failed_step=$*
  say
  say "== $*"
}
# show NAMESPACE COMMAND...: the command as typed, then what it prints.
show() {
  local namespace=$1
  shift
  say "${namespace#*-}\$ $*"
  ip netns exec "$namespace" "$@"
}
# background NAMESPACE LOG COMMAND...
background() {
  local namespace=$1 log=$2
  shift 2
  ip netns exec "$namespace" "$@" >"$work/$log" 2>&1 &
  started+=($!)
}
# until_true WHAT COMMAND...: tries for ten seconds.
until_true() {
  local what=$1
  shift
  for _ in $(seq 200); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.05
  done
  die "$what: not within ten seconds"
}
listens() { # NAMESPACE PROTOCOL PORT
  ip netns exec "$1" ss -Hln"$2" | awk '{ print $4 }' | grep -q ":$3\$"
}
sluicectl() { "$build/sluicectl" -p "$socket" "$@"; }

step "installing packages that are missing"
install_packages build demo
say "done"

step "building sluiced, sluicectl and sluice-replay"
began=$SECONDS
if [ ! -f "$build/build.ninja" ]; then
  CC=$(with_ccache gcc) CXX=$(with_ccache g++) \
    configure_build "$build" --buildtype=release -Dtests=false \
    -Dbenchmarks=false
fi
ninja -C "$build" sluiced sluicectl sluice-replay >"$work/build.log" 2>&1
rm "$work/build.log"
say "done in $((SECONDS - began)) s"

step "two networks, and the firewall's place between them"
for namespace in "$client" "$firewall" "$server"; do
  ip netns add "$namespace"
  ip -n "$namespace" link set lo up
done
ip netns exec "$firewall" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 \
  net.ipv6.conf.default.disable_ipv6=1
join() { # NAMESPACE PORT ADDRESS4 ADDRESS6
  ip link add eth0 netns "$1" type veth peer name "$2" netns "$firewall"
  # The firewall sees frames as a wire carries them: whole, with checksums.
  ip netns exec "$1" ethtool -K eth0 tx off rx off tso off gso off gro off
  ip netns exec "$firewall" ethtool -K "$2" tx off rx off tso off gso off \
    gro off
  ip -n "$1" link set eth0 up
  ip -n "$firewall" link set "$2" up
  ip -n "$1" address add "$3/24" dev eth0
  ip -n "$1" address add "$4/64" dev eth0 nodad
}
join "$client" outside 10.0.0.2 fd00::2 >"$work/join.log" 2>&1
join "$server" inside 10.0.0.1 fd00::1 >>"$work/join.log" 2>&1
say "client 10.0.0.2, fd00::2 | outside -- sluiced -- inside | server 10.0.0.1, fd00::1"

step "starting sluiced with configs/quickstart.conf"
cp "$top/configs/quickstart.conf" "$work/pf.conf"
sed "s|@socket@|$socket|" "$top/configs/quickstart.toml.in" \
  >"$work/sluice.toml"
background "$firewall" sluiced.log "$build/sluiced" -c "$work/sluice.toml"
sluiced=$!
until_true "sluiced's control socket" sluicectl -s info
say "\$ sluicectl -s rules"
sluicectl -s rules

step "servers: HTTP on ports 80 and 8080, TFTP that answers from port 69"
mkdir "$work/files"
head -c 3000000 /dev/urandom >"$work/files/page"
head -c 50000 /dev/urandom >"$work/files/image"
for port in 80 8080; do
  background "$server" "http-$port.log" $python -m http.server "$port" \
    --bind :: --directory "$work/files"
  until_true "the web server on port $port" listens "$server" t "$port"
done
background "$server" tftp.log $python "$top/tests/e2e/single_port_tftp.py" \
  "$work/files"
until_true "the TFTP server" listens "$server" u 69
say "ready"

step "an allowed HTTP transfer (port 80), over IPv4 and IPv6"
for host in 10.0.0.1 '[fd00::1]'; do
  show "$client" curl --silent --show-error --max-time 20 \
    --output "$work/page" "http://$host/page" \
    --write-out '%{http_code}, %{size_download} bytes, %{speed_download} bytes/s\n'
  cmp "$work/page" "$work/files/page"
done
say "both arrived whole"

step "a blocked one (port 8080)"
status=0
show "$client" curl --silent --show-error --max-time 3 \
  --output "$work/page" http://10.0.0.1:8080/page || status=$?
# 28 is curl's status for "no answer in time".
[ "$status" -eq 28 ] || die "curl ended with $status, a time-out was due"
say "no answer, as the rules want it"

step "a refused one (block return): at once, not after a time-out"
status=0
show "$client" curl --silent --show-error --max-time 10 \
  --output "$work/page" http://10.0.0.1:2222/page || status=$?
[ "$status" -eq 7 ] || die "curl ended with $status, a refusal was due"

step "TFTP from a server that answers everything from port 69"
for host in 10.0.0.1 fd00::1; do
  rm -f "$work/image"
  show "$client" tftp -m octet "$host" -c get image "$work/image"
  cmp "$work/image" "$work/files/image"
  say "$(stat -c %s "$work/image") bytes arrived whole"
done

step "the state table"
say "\$ sluicectl -s states"
sluicectl -s states >"$work/states"
head -n 20 "$work/states"
[ -s "$work/states" ] || die "no states"
say "\$ sluicectl -s info"
sluicectl -s info | head -n 14

step "another ruleset, again and again, under 2000 packets a second"
background "$server" receiver.log $python "$top/tests/e2e/udp_stream.py" \
  receive --port 5300
receiver=$!
until_true "the receiver" listens "$server" u 5300
background "$client" sender.log $python "$top/tests/e2e/udp_stream.py" \
  send --to 10.0.0.1 --port 5300 --rate 2000 --seconds 4
sender=$!
loads=0
while kill -0 "$sender" 2>/dev/null; do
  loads=$((loads + 1))
  sed "s/^# changed:.*/pass in quick on outside proto tcp to port $((10000 + loads))/" \
    "$work/pf.conf" | sluicectl -f -
  sleep 0.2
done
wait "$sender" && wait "$receiver"
sent=$($python -c 'import json, sys; print(json.load(sys.stdin)["sent"])' \
  <"$work/sender.log")
received=$($python -c 'import json, sys; print(json.load(sys.stdin)["received"])' \
  <"$work/receiver.log")
say "$loads reloads, $sent packets sent, $received received"
[ "$sent" -eq "$received" ] || die "packets were lost"
[ "$loads" -ge 3 ] || die "the ruleset was hardly changed"

step "a ruleset with a mistake: refused, the old one stays"
before=$(sluicectl -s rules)
say "\$ printf 'pass all\\nblock on on outside\\n' | sluicectl -f -"
if printf 'pass all\nblock on on outside\n' | sluicectl -f -; then
  die "it was taken"
fi
[ "$(sluicectl -s rules)" = "$before" ] || die "the rules have changed"

step "stopping sluiced with SIGTERM"
kill -TERM "$sluiced"
status=0
wait "$sluiced" || status=$?
[ "$status" -eq 0 ] || die "its exit status was $status"
say "exit status 0"

failed_step="cleaning up"
say
say "Everything went as it should; what was started is being removed."
