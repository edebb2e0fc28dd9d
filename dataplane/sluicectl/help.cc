// What sluicectl says of itself.
#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/sluicectl/arguments.h"
#include "dataplane/sluicectl/commands.h"

namespace sluice {

std::string_view Usage() {
  return R"(usage: sluicectl [-deghMNnPqrvz] [-a anchor] [-D macro=value]
                 [-F modifier] [-f file] [-i interface]
                 [-k host | network | label | id | key | gateway | nat |
                  vlan | tag | age | helper]
                 [-K host | network] [-o level] [-p socket]
                 [-s modifier [-R number]]
                 [-t table -T command [address ...]] [-x level]
                 [-s states [--host host|network] [--port n] [--proto p]
                  [--label l] [--rule n] [--interface i] [--tag t]
                  [--age [min][-max]] [--direction in|out]
                  [--count | [--sort bytes|packets|age|rate] [--limit n]]]
                 [--confirm seconds] [--only-if generation]
                 [--kill-blocked] [--diff] [--show-blocked]
                 [--confirm-commit | --rollback n]
                 [--dialect openbsd|freebsd] [--facts file.toml]
                 [--filter name] [--json] [--language-only] [--socket path]
                 [--version] [--without name[,name]]
       sluicectl filter create name --ports port[,port] [--ruleset file]
                 [--expect-restore [--restore-give-up seconds]
                 [--source file | folder [--no-wait] [--from-filter name]]]
                 [--fail closed | --fail open --emergency file]
                 [--hold-bypass yes|no] [-D macro=value]
       sluicectl filter change name [--ports port[,port]]
                 [--fail closed|open] [--hold-bypass yes|no]
       sluicectl filter destroy name | list | show [name]
       sluicectl port add name --device device [--wire port] [--groups group,...]
                 [--addresses address,...] [--queues n] [--mtu bytes]
                 [--segment name | --router name [--tap interface]]
                 [--non-ip pass|block] [--disabled]
                 [--bindings binding,...] [--learn-bindings n]
       sluicectl port add name --vhost path [--vhost-client]
                 [--wire port | --segment name] [--groups group,...]
                 [--addresses address,...] [--mtu bytes] [--disabled]
       sluicectl port add name --parent port --vlan n [--inner-vlan n]
                 [--wire port | --segment name | --router name
                 [--tap interface]] [--groups group,...]
                 [--addresses address,...] [--mtu bytes] [--disabled]
       sluicectl port bind name [--bindings binding,...] [--learn-bindings n]
       sluicectl port bindings name | unbind name
       sluicectl port list | remove name | enable name | disable name |
                 exclude name | include name | stats name
       sluicectl router list | show name | neighbors name |
                 routes name [--family inet|inet6] [prefix]
       sluicectl segment add name [--ports port,...] [--non-ip pass|block]
                 [--flood none|unknown,multicast,broadcast] [--macs n]
                 [--macs-per-port n] [--age seconds]
       sluicectl segment attach name --port port | detach name --port port |
                 fix name --mac address --port port | free name --mac address |
                 flush name | list | macs name | remove name
       sluicectl metrics
       sluicectl explain --in port --proto protocol --from address[:port]
                 --to address[:port] [--flags FSRPAUEW] [--icmp-type n]
                 [--icmp-code n] [--tos n] [--ttl n] [--length bytes]
                 [--fragment] [--ip-options] [--tag tag] [-f file] [-v]
       sluicectl explain --in port --pcap file[:n] [--tag tag] [-f file] [-v]
       sluicectl trace [--in port] [--filter name] [--proto protocol]
                 [--from network[:port]] [--to network[:port]]
                 [--passed | --dropped] [--reason reason] [--sample n]
                 [--count n] [--for seconds] [-v]
       sluicectl log --follow [--write file] [--count n] [--for seconds]
                 [expression]
       sluicectl top [states | ports | rules | reasons | filters |
                 workers]
                 [--filter name] [--sort order] [--match text]
                 [--interval seconds] [--once [--limit n] [--json]]
       sluicectl capture port | --filter name [--in | --out |
                 --dropped [reason]] [--snaplen bytes] [--count n]
                 [--for seconds] [-w | --write file] [expression]
       sluicectl test file [-f file [--facts file.toml] [-D macro=value]] |
                 test file [--filter name]
       sluicectl log --level level [--module module]
       sluicectl help [command | flag | topic]
       sluicectl nic list|bind|unbind ... (`sluicectl nic --help`)
       sluicectl state|snapshot|restore ... (`sluicectl state --help`)
  -s  ether nat rules states Sources info Interfaces labels timeouts memory
      Tables osfp commits Anchors Running LimiterStates LimiterSrcs all
  -F  ethernet nat rules states Sources info Tables Reset all
  -T  add delete replace flush show test kill zero reset expire
  -o  none basic profile: the optimiser, whatever the ruleset says
  Words of -s, -F, -T and -o may be cut short; -n with -f needs no daemon.
  With --dialect freebsd: -S for -N, -m to keep options that a file does not
  set, and with -f only the queues (-A), translation (-N), options (-O),
  filter rules (-R) or tables (-T load) of the file.
)";
}

namespace {

// What a flag's word is called in messages, and the flag.
constexpr std::array<std::pair<std::string_view, char>, 4> kModifiers = {{
    {"show modifier", 's'},
    {"flush modifier", 'F'},
    {"table command", 'T'},
    {"optimization", 'o'},
}};

// The line of the legend that begins there, with those that it goes on in.
std::string LegendAt(std::string_view legend, size_t at) {
  size_t end = at;
  do {
    end = legend.find('\n', end) + 1;
  } while (legend.substr(end).starts_with("     "));
  return std::string(legend.substr(at, end - at));
}

}  // namespace

std::string UsageFor(std::span<const std::string> words,
                     std::string_view error) {
  constexpr std::string_view kBegin = "       sluicectl ";
  const auto command = std::ranges::find_if(words, IsCommand);
  // Its paragraphs: of the flags, of each command, and the legend of the
  // flags.
  std::vector<std::string> paragraphs;
  std::string legend;
  for (std::string_view rest = Usage(); !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n') + 1);
    rest.remove_prefix(line.size());
    // The legend is the last part, and its lines may go on.
    if (!legend.empty() ||
        (!line.starts_with("     ") && line.starts_with("  "))) {
      legend += line;
    } else if (paragraphs.empty() || line.starts_with(kBegin)) {
      paragraphs.emplace_back(line);
    } else {
      paragraphs.back() += line;
    }
  }
  if (command == words.end()) {
    // Who has mistyped a command has asked for no flags.
    if (error.find("did you mean") != std::string_view::npos) return "";
    for (const auto& [what, flag] : kModifiers) {
      if (error.find(what) == std::string_view::npos) continue;
      const size_t at = legend.find(std::string("  -") + flag);
      if (at != std::string::npos) {
        return LegendAt(legend, at);
      }
    }
    // With the lines about the flags that were given.
    std::string usage = paragraphs.front();
    for (const auto& [what, flag] : kModifiers) {
      const std::string given = std::string("-") + flag;
      if (std::ranges::none_of(words, [&given](const std::string& word) {
            return word.starts_with(given);
          })) {
        continue;
      }
      const size_t at = legend.find("  " + given);
      if (at != std::string::npos) {
        usage += LegendAt(legend, at);
      }
    }
    return usage;
  }
  // Those with the verb, if it is one; else all of the noun.
  std::string of_verb, of_noun;
  for (const std::string& paragraph : paragraphs) {
    std::string_view text = paragraph;
    if (!text.starts_with(kBegin)) continue;
    text.remove_prefix(kBegin.size());
    if (!text.starts_with(*command)) continue;
    of_noun += paragraph;
    if (command + 1 == words.end()) continue;
    std::string spaced = " " + paragraph;
    std::ranges::replace(spaced, '\n', ' ');
    if (spaced.find(" " + command[1] + " ") != std::string::npos) {
      of_verb += paragraph;
    }
  }
  std::string& usage = of_verb.empty() ? of_noun : of_verb;
  return usage.replace(0, 7, "usage: ");
}

std::string_view Help() {
  return R"(
Flags are pfctl's. They ask the filter main, or the one that --filter names;
NAME:emergency is the emergency ruleset of filter NAME.

COMMITS
  -f FILE -v           and warnings of rules that can do nothing: behind a quick
                       one that matches all that they do, always overruled by a
                       later one; of tables that nobody names.
  -f FILE --diff       what would be different: rules, tables, options. Nothing
                       is loaded.
  -f FILE --show-blocked
                       the states that live now and could not begin under these
                       rules. Nothing is loaded.
  -f FILE --kill-blocked
                       loads, then ends exactly those states. Each is judged by
                       the packet that made it: its direction, port, addresses
                       before translation and tag, of TCP a SYN.
  -f FILE --confirm SECONDS
                       unless --confirm-commit follows in time, the rules that
                       were in force before come back: for changes that may cut
                       off whoever makes them. Loading again without --confirm
                       confirms, too.
  --only-if N          with -f: refused unless generation N is in force.
  --rollback N         what was in force N commits ago is loaded again. Tables
                       have the addresses of its text, persistent ones those
                       that were added, too.
  --filter A -f A.conf --filter B -f B.conf ...
                       one commit of several filters, in force at once or not
                       at all. Between one --filter and the next stand -f, -a,
                       --only-if, and -t with -T add, delete or replace and -f,
                       for that filter. With --confirm, --rollback 1 and
                       --confirm-commit it is one commit, too.
  -s commits           the last 32 rulesets: when, who, how many rules, how long
                       they took to build, and how far back each is.

CHECKS AND LOADS
  -n -f FILE says what a load of it would say, and ends with status 1 if that
  would refuse it.
  --language-only      only whether it is right, not whether a load takes it.
  --without NAME,...   what may be left out although it would be carried out
                       in no other way, by its name in the message that
                       refuses it: divert-to, rtable, ... Each load warns, and
                       -s info lists it.

ANCHORS
  -a PATH goes with -f, -F ethernet|nat|rules|Tables|all, -T and
  -s rules|labels|Tables|Anchors: what is loaded, flushed and shown is the
  anchor's. A load of the main ruleset leaves anchors alone but for those that
  the file itself has.
  -a 'PATH/*', -a '*'  those below it, too: -s shows their rules in braces, -F
                       empties them all.
  -s Anchors           the anchors in the main ruleset or in -a PATH; with -v
                       those below them.

STATES
  -s states shows those that meet all conditions:
  --host H             an address or network at either end, before translation
                       or after it.
  --port N             a port at either end; --proto P the protocol.
  --label L, --rule N  made by a rule with the label, by rule N.
  --interface I        bound to it, as -i; --tag T with the tag.
  --age MIN, -MAX, MIN-MAX
                       so old: seconds, or 90s, 5m, 2h, 1d.
  --direction in|out   of the packet that made it.
  --sort WHAT          first those with most bytes, packets, age, or rate:
                       bytes a second of their life; 100 of them, or --limit,
                       at most 1000. The workers find them.
  --limit N            so many; without --sort those that come first.
  --count              how many there are, by protocol and phase.

FILTERS
  A filter is a pf of its own: rules, tables, options, states. It judges what
  enters or leaves at its ports; main judges at all others and is always there.

  filter create NAME   makes one and gives it its ports, in one step or not at
                       all. Beside main, a port is in one filter only.
    --ports P[,Q]      its ports. They may come later, with port add.
    --ruleset FILE     its rules; "-" is standard input. Without one it blocks
                       everything until one is loaded or restored.
    --expect-restore   nothing is judged before the states of its former life
                       have been restored; packets are held meanwhile.
    --source PATH      the snapshot to restore from: a file, or a folder where
                       NAME.snap is or will be, which the daemon has to be able
                       to read. With --ruleset, addresses that tables had been
                       given at run time come from it, too. Of a file the end
                       of the restore is waited for.
    --no-wait          it is not; `restore status` tells how it goes.
    --from-filter F    the snapshot is one of filter F.
    --restore-give-up N  for so many seconds what may do better (a busy
                       machine, no memory) is tried again; then --fail says
                       what holds, until another snapshot comes.
    --fail closed      after a restore that failed nothing passes (default).
    --fail open        after a restore that failed the emergency ruleset holds.
    --emergency FILE   that ruleset.
    --hold-bypass yes  ARP, neighbour discovery and DHCP pass while other
                       packets are held (default); no: they are held too.
    -D macro=value, --dialect, -N are as for -f.
  filter change NAME   changes what can be: --ports, all that it is to have, of
                       which others fall to main; --hold-bypass; --fail, open
                       only where it was made with --emergency. Its name, its
                       source and the emergency ruleset stay as they are made.
  filter destroy NAME  removes it with its states and tables; its ports fall to
                       main. Done when the command ends.
  filter list          all filters, a line each.
  filter show [NAME]   all of one: its state, incarnation, ports, MACs, states,
                       rules, tables, generation, hash, last purge, the result
                       of its restore, and how packets were held.

PORTS
  port list            all ports, a line each.
  port add NAME        plugs a device in while packets flow.
    --device DEVICE    as in sluice.toml: a PCI address or a virtual device
                       with its arguments, such as net_vhost0,iface=/run/vm.sock
    --vhost PATH [--vhost-client]
                       in place of a device: the socket of a virtual machine's
                       vhost-user NIC, which is made here, or there.
    --parent PORT --vlan N [--inner-vlan M]
                       in place of a device: its frames are those of PORT's
                       device with the tag N (of two, the outer one), which they
                       have there only.
    --wire PORT        the port at the other end of its wire.
    --segment NAME     the segment that it is on, in place of a wire.
    --router NAME [--tap INTERFACE]
                       the router that it belongs to, in place of both, and
                       the name of the kernel's interface for it.
    --groups G[,H]  --addresses A[,B]  --queues N  --mtu BYTES
    --non-ip pass|block
                       as in sluice.toml.
    --disabled         it waits for port enable.
  port remove NAME     takes the device away. A filter keeps the port's name.
  port disable NAME    nothing enters or leaves any more; the states stay. With
                       the last port of a filter its incarnation ends.
  port enable NAME     begins the next incarnation; if the filter expects a
                       restore, with that.
  port exclude NAME    packets pass the port unjudged.
  port include NAME    they are judged again.
  port stats NAME      the driver's own counters.
  port bind NAME       from now on only what is bound may come from the port;
                       what was learned before is forgotten.
    --bindings B[,C]   each a MAC address, an address or network, or both, and
                       perhaps a VLAN: "02:00:00:00:00:01 10.0.0.2 vlan 42".
    --learn-bindings N so many addresses of each family, and the first MAC
                       address, are bound as they come.
  port bindings NAME   what is bound, was learned, and how much was dropped.
  port unbind NAME     anything may come from it.

ROUTERS
  router list          all routers, a line each. They are made in sluice.toml;
                       their routes are the Linux kernel's.
  router show NAME     one of them, and the kernel's interfaces of its ports.
  router routes NAME [PREFIX]
                       its routes, as `ip route` says them; with a prefix or an
                       address those that it lies in, or that lie in it.
    --family inet|inet6
  router neighbors NAME
                       where its neighbours are.

SEGMENTS
  segment list         all segments, a line each. A segment joins ports as a
                       switch that learns where its hosts are; each frame is
                       judged where it enters and where it leaves.
  segment add NAME     makes one.
    --ports P[,Q]      the ports that are on it; none of them on a wire.
    --flood none|unknown,multicast,broadcast
                       what leaves by all other ports: frames to hosts that
                       nobody knows where they are, to groups, to everybody.
                       Without it: all three.
    --macs N --macs-per-port N --age SECONDS
                       addresses that it knows at most, that are learnt at one
                       port, and for how long nothing may come from one.
    --non-ip pass|block
                       whether frames that are not IP may cross.
  segment attach NAME --port P    puts a port on it; detach takes it off.
  segment macs NAME    the addresses that it knows, and where they are.
  segment fix NAME --mac M --port P
                       the address is there, and frames from it by other ports
                       are dropped; free: it is learnt again.
  segment flush NAME   forgets what was learnt.
  segment remove NAME  its ports are on nothing then.

METRICS
  metrics              all counters of filters, ports and restores, as
                       Prometheus reads them; --json: the daemon's answers.

LIVE
  top [VIEW]           the whole screen: states (by rate, bytes, packets, age),
                       ports, rules, drop reasons, filters, workers; h shows
                       the keys.
    --sort ORDER       begins with that one; --match TEXT: only what has it.
    --interval S       seconds between looks, 2.
    --once             one look as text or, with --json, as JSON; with
                       --interval, rates of that long. --limit N rows, 50.

WHY
  explain              which state or rule would decide a packet that arrives at
                       the port --in, and then where it leaves the wire or
                       router, and by which route: each rule that matches, in
                       order, with the tag that it sets and the entry of its
                       table. Nothing is sent or changed.
    -v                 and up to 20 rules that miss one condition, with it;
                       -vv: up to 1000.
    -f FILE            by the rules of the file instead; states are not asked.
    --pcap FILE:N      the N-th packet of a capture.
  test FILE            tries packets that the file names and says which of its
                       expectations do not hold: "expect pass in on outside
                       proto tcp from 192.0.2.1 to 10.0.0.5 port 443".
    -f FILE            of the rules of the file, without a daemon; else of those
                       in force.
    --filter NAME      of that filter, not of main.
  trace                packets as they pass, a line each: what each is, what
                       became of it and why, and the rule that decided. It goes
                       on until it is interrupted, or for --for seconds, or
                       until --count packets.
    -v                 and what explain says of each.
  capture PORT         frames as they come to the port and as they leave by it,
                       a line each. The expression is tcpdump's.
    --in, --out        only those; --dropped [REASON]: only what is dropped.
    -w, --write FILE   a pcapng file instead, which says of each frame which
                       way it went, what became of it and by which rule.
    --snaplen BYTES    no more of each frame.
  log --follow         packets of log rules as they are written. The expression
                       is tcpdump's; --write FILE writes a capture instead.
  log --level LEVEL    what the daemon logs from now on: trace, debug, info,
                       warning, error, critical, off; with --module what DPDK's
                       log types of that name say ('pmd.net.virtio*'). [log]
                       level of sluice.toml holds again after a restart.

HELP
  help COMMAND         the same of one command, flag or section: `help filter
                       create`, `help -s`, `help commits`.
  In bash, zsh and fish the tabulator completes commands, options and names.

EXIT STATUS
  0 if all was done; 1 after an error, which standard error explains (and
  standard output, with --json); 2 if -T test found an address that does not
  match. Of test: 1 if an expectation does not hold, 2 if it could not be tried.

FILES
  /run/sluice/control.sock  the daemon's socket; --socket, -p or the variable
                            SLUICE_SOCKET name another one.
)";
}

namespace {

size_t Indent(std::string_view line) {
  return std::min(line.find_first_not_of(' '), line.size());
}

std::vector<std::string_view> LinesOf(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size() - 1);
    lines.push_back(text.substr(0, end + 1));
    text.remove_prefix(end + 1);
  }
  return lines;
}

// What Help() has behind the lines that begin with these words, and below them.
std::string Entries(const std::string& begin) {
  std::string found;
  bool inside = false;
  size_t indent = 0;
  for (const std::string_view line : LinesOf(Help())) {
    const size_t at = Indent(line);
    const std::string_view text = line.substr(at);
    const bool begins =
        at == 2 && text.starts_with(begin) &&
        (text.size() == begin.size() ||
         std::string_view(" \n,").find(text[begin.size()]) !=
             std::string_view::npos);
    if (begins) {
      inside = true;
      indent = at;
    } else if (text == "\n" || at <= indent) {
      inside = false;
    }
    if (inside) found += line;
  }
  return found;
}

// The section with this heading.
std::string Section(std::string topic) {
  std::ranges::transform(topic, topic.begin(), [](unsigned char c) {
    return static_cast<char>(std::toupper(c));
  });
  std::string found;
  bool inside = false;
  for (const std::string_view line : LinesOf(Help())) {
    if (line != "\n" && Indent(line) == 0) inside = line == topic + "\n";
    if (inside) found += line;
  }
  return found;
}

}  // namespace

absl::StatusOr<std::string> HelpFor(std::span<const std::string> words) {
  if (words.empty()) {
    return std::string(Usage()) + std::string(Help());
  }
  std::string name;
  for (const std::string& word : words) name += (name.empty() ? "" : " ") + word;
  const std::string& first = words.front();
  if (first.size() > 1 && first[0] == '-') {
    std::string text = Entries(first);
    for (const std::string_view line : LinesOf(Usage())) {
      if (Indent(line) == 2 && line.substr(2).starts_with(first + " ")) {
        text = LegendAt(Usage(), static_cast<size_t>(line.data() - Usage().data())) + text;
      }
    }
    // Where it stands in the usage at least.
    if (text.empty() && Usage().find(first) != std::string_view::npos) {
      text = UsageFor({});
    }
    if (!text.empty()) return text;
  } else if (IsCommand(first)) {
    const std::string entries = Entries(name);
    return UsageFor(words) + (entries.empty() ? Entries(first) : entries);
  } else if (std::string section = Section(first); !section.empty()) {
    return section;
  }
  return absl::InvalidArgumentError(
      "there is no help for '" + name + "'" + DidYouMeanCommand(first) +
      "; `sluicectl --help` has all");
}

}  // namespace sluice
