// What sluicectl says of itself.
#include <algorithm>
#include <array>
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
       sluicectl filter destroy name | list | show [name]
       sluicectl port add name --device device [--wire port] [--groups group,...]
                 [--addresses address,...] [--queues n] [--mtu bytes]
                 [--non-ip pass|block] [--disabled]
                 [--bindings binding,...] [--learn-bindings n]
       sluicectl port bind name [--bindings binding,...] [--learn-bindings n]
       sluicectl port bindings name | unbind name
       sluicectl port list | remove name | enable name | disable name |
                 exclude name | include name | stats name
       sluicectl metrics
       sluicectl explain --in port --proto protocol --from address[:port]
                 --to address[:port] [--flags FSRPAUEW] [--icmp-type n]
                 [--icmp-code n] [--tos n] [--length bytes] [--fragment]
                 [--ip-options] [--tag tag] [-f file] [-v]
       sluicectl trace [--in port] [--filter name] [--proto protocol]
                 [--from network[:port]] [--to network[:port]]
                 [--passed | --dropped] [--reason reason] [--sample n]
                 [--count n] [--for seconds] [-v]
       sluicectl log --follow [--write file] [--count n] [--for seconds]
                 [expression]
       sluicectl nic list|bind|unbind ... (`sluicectl nic --help`)
       sluicectl state|snapshot|restore ... (`sluicectl state --help`)
  -s  ether nat rules states Sources info Interfaces labels timeouts memory
      Tables commits Anchors Running LimiterStates LimiterSrcs all
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
    --wire PORT        the port at the other end of its wire.
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

METRICS
  metrics              all counters of filters, ports and restores, as
                       Prometheus reads them; --json: the daemon's answers.

WHY
  explain              which state or rule would decide a packet that arrives at
                       the port --in, and then where it leaves the wire: each
                       rule that matches, in order, with the tag that it sets
                       and the entry of its table. Nothing is sent or changed.
    -v                 and up to 20 rules that miss one condition, with it;
                       -vv: up to 1000.
    -f FILE            by the rules of the file instead; states are not asked.
  trace                packets as they pass, a line each: what each is, what
                       became of it and why, and the rule that decided. It goes
                       on until it is interrupted, or for --for seconds, or
                       until --count packets.
    -v                 and what explain says of each.
  log --follow         packets of log rules as they are written. The expression
                       is tcpdump's; --write FILE writes a capture instead.

EXIT STATUS
  0 if all was done; 1 after an error, which standard error explains (and
  standard output, with --json); 2 if -T test found an address that does not
  match.

FILES
  /run/sluice/control.sock  the daemon's socket; --socket, -p or the variable
                            SLUICE_SOCKET name another one.
)";
}

}  // namespace sluice
