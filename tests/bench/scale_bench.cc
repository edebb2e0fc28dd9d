// What very large filters and tables cost: how long each step takes, the
// longest that whoever publishes is blocked, and memory.
//
//   bench_scale rules COUNT FILTERS     (equal rules in all of them)
//   bench_scale others COUNT FILTERS    (other rules in each)
//   bench_scale both COUNT FILTERS      (as `rules`, of both directions)
//   bench_scale change COUNT 1          (an anchor of one rule beside them)
//   bench_scale table COUNT 4|6 [RULES]
//   bench_scale lookups TABLES ENTRIES 4|6
#include <malloc.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pftable/language/parser.h"
#include "pftable/policy/merge_policy.h"
#include "pftable/store/policy_store.h"
#include "pftable/store/table_edits.h"
#include "pftable/tables/table_index.h"

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;

double MillisecondsSince(Clock::time_point began) {
  return std::chrono::duration<double, std::milli>(Clock::now() - began)
      .count();
}

double ResidentMb() {
  malloc_trim(0);
  std::ifstream file("/proc/self/statm");
  uint64_t pages = 0;
  file >> pages >> pages;
  return static_cast<double>(pages) * static_cast<double>(getpagesize()) / 1e6;
}

double ProcessorMilliseconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e3 +
         static_cast<double>(time.tv_nsec) / 1e6;
}

// Both: a machine may be busy with other things.
template <typename F>
auto Timed(const char* what, F&& f) {
  const Clock::time_point began = Clock::now();
  const double before = ProcessorMilliseconds();
  auto result = f();
  std::printf("%-28s %10.3f ms, %10.3f ms of a processor\n", what,
              MillisecondsSince(began), ProcessorMilliseconds() - before);
  return result;
}

void Check(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  std::exit(1);
}

// A firewall's rules: networks of all sizes that overlap, services, some of
// them quick.
std::string RulesText(size_t count, uint64_t seed, bool both = false) {
  std::mt19937_64 random(seed);
  std::string text = "set limit table-entries 30000000\nblock all\n";
  constexpr int kLengths[] = {8, 16, 16, 20, 24, 24, 24, 28, 32, 32};
  constexpr const char* kProtocols[] = {"tcp", "tcp", "tcp", "udp"};
  const auto network = [&] {
    const uint32_t a = static_cast<uint32_t>(random());
    return std::to_string(10 + a % 3) + "." + std::to_string(a >> 8 & 255) +
           "." + std::to_string(a >> 16 & 255) + "." +
           std::to_string(a >> 24) + "/" +
           std::to_string(kLengths[random() % 10]);
  };
  for (size_t i = 1; i < count; ++i) {
    text += random() % 4 == 0 ? "block " : "pass ";
    if (!both) text += "in ";
    if (random() % 3 == 0) text += "quick ";
    text += "proto ";
    text += kProtocols[random() % 4];
    text += " from " + network() + " to " + network() + " port ";
    const uint64_t port = random() % 60000;
    text += std::to_string(port);
    if (random() % 8 == 0) text += ":" + std::to_string(port + random() % 500);
    text += "\n";
  }
  return text;
}

Policy Parsed(const std::string& text) {
  ParseInput input;
  input.text = text;
  ParseResult parsed = ParsePolicy(std::move(input));
  if (!parsed.ok()) {
    std::fprintf(stderr, "%s\n", FormatDiagnostics(parsed.diagnostics).c_str());
    std::exit(1);
  }
  return std::move(parsed.policy);
}

struct Stores {
  explicit Stores(size_t count) {
    for (size_t i = 0; i < count; ++i) {
      all.push_back(std::make_unique<PolicyStore>(
          PolicyStoreConfig{.workers = 2, .rule_slots = 1 << 20,
                            .table_slots = 4096, .pool = &pool,
                            .publication = &publication,
                            .frees_itself = false},
          &interfaces, &reclaimer));
    }
  }
  InterfaceRegistry interfaces;
  ImmediateReclaimer reclaimer;
  Publication publication;
  PolicyPool pool;
  std::vector<std::unique_ptr<PolicyStore>> all;
};

void Rules(size_t count, size_t filters, bool equal, bool both = false) {
  Stores stores(filters);
  const double before = ResidentMb();
  for (int turn = 0; turn < 2; ++turn) {
    std::printf("%s\n", turn == 0 ? "-- first load" : "-- other rules");
    std::vector<StagedCommit> set;
    for (size_t i = 0; i < filters; ++i) {
      PolicyStore& store = *stores.all[i];
      const std::string text = RulesText(
          count, static_cast<uint64_t>(turn) * 100 + (equal ? 0 : i), both);
      Policy policy = Timed("parse", [&] { return Parsed(text); });
      const Ticket ticket = store.Begin();
      Check(Timed("compile", [&] {
        return store.Define(ticket, std::move(policy));
      }));
      auto staged = Timed("stage", [&] { return store.StageLoad(ticket); });
      Check(staged.status());
      set.push_back({.store = &store, .ticket = ticket,
                     .generation = *std::move(staged)});
    }
    Check(Timed("publish all (blocked)", [&] { return PublishTogether(set); }));
    Timed("free what was", [&] {
      for (const auto& store : stores.all) store->TakeGarbage();
      return 0;
    });
    for (int i = 0; i < 1000; ++i) {
      for (const auto& store : stores.all) store->Poll();
    }
    const double used = ResidentMb() - before;
    std::printf("%-28s %10.1f MB, %.0f bytes a rule\n", "memory", used,
                used * 1e6 / static_cast<double>(count * filters));
  }
}

// What a tool that blocks hosts by rules of an anchor of its own pays for what
// stands beside it.
void Change(size_t count) {
  Stores stores(1);
  PolicyStore& store = *stores.all[0];
  Check(store.Load(Parsed(RulesText(count, 1) + "anchor hosts\n")));
  for (int turn = 0; turn < 3; ++turn) {
    Policy policy = Timed("merge", [&] {
      Policy next = Parsed("block in quick from 192.0.2." +
                           std::to_string(turn) + "\n");
      KeepAnchors(&next, *store.generation()->policy->source, "hosts");
      return next;
    });
    const Ticket ticket = store.Begin();
    Check(Timed("compile", [&] {
      return store.Define(ticket, std::move(policy));
    }));
    Check(Timed("commit", [&] { return store.Commit(ticket); }));
  }
}

TableEntry EntryOf(Family family, uint64_t number, uint64_t seed) {
  // Hosts, scattered by a multiplication that maps no two to one.
  const uint32_t host = static_cast<uint32_t>(number * 2654435761u + seed);
  if (family == Family::kIpv4) {
    return {.prefix = {.address = Address::V4(host), .length = 32}};
  }
  Address address = *ParseAddress("2001:db8::");
  for (int i = 0; i < 4; ++i) {
    address.bytes[4 + i] = static_cast<uint8_t>(host >> (24 - 8 * i));
    address.bytes[8 + i] = static_cast<uint8_t>(host >> (8 * i));
  }
  return {.prefix = {.address = address, .length = 128}};
}

void Table(size_t count, Family family, size_t rules) {
  Stores stores(1);
  PolicyStore& store = *stores.all[0];
  Check(store.Load(Parsed(RulesText(rules + 1, 1) +
                          "table <big> persist\nblock in quick from <big>\n")));
  const TableKey key = {.anchor = "", .name = "big"};
  std::vector<TableEntry> entries;
  std::vector<TableEntry> others;
  for (size_t i = 0; i < count; ++i) {
    entries.push_back(EntryOf(family, i, 1));
    others.push_back(EntryOf(family, i + count / 2, 1));
  }
  const double before = ResidentMb();
  const auto edit = [&](const char* what, auto stage) {
    std::printf("-- %s\n", what);
    absl::StatusOr<StagedEdit> staged = Timed("build aside", stage);
    Check(staged.status());
    Check(Timed("publish (blocked)", [&] {
      return store.Publish(std::move(staged->generation));
    }));
    Timed("free what was", [&] {
      staged = StagedEdit();
      store.TakeGarbage();
      return 0;
    });
  };
  edit("replace: empty by all", [&] {
    return StageReplaceAddresses(store, key, entries);
  });
  const double used = ResidentMb() - before;
  std::printf("%-28s %10.1f MB, %.1f bytes an entry\n", "memory", used,
              used * 1e6 / static_cast<double>(count));
  edit("replace: half others", [&] {
    return StageReplaceAddresses(store, key, others);
  });
  edit("replace: the same", [&] {
    return StageReplaceAddresses(store, key, others);
  });
  const TableEntry one = EntryOf(family, 3 * count, 1);
  edit("add one", [&] {
    return StageAddAddresses(store, key, std::span(&one, 1));
  });
  edit("delete one", [&] {
    return StageDeleteAddresses(store, key, std::span(&one, 1));
  });
  edit("delete half", [&] {
    return StageDeleteAddresses(store, key,
                                std::span(others).first(count / 2));
  });
  edit("add half", [&] {
    return StageAddAddresses(store, key, std::span(others).first(count / 2));
  });
}

// An address in all tables of a rule set, of which it is in few.
void Lookups(size_t tables, size_t entries, Family family) {
  std::vector<AddressTable> made;
  for (size_t t = 0; t < tables; ++t) {
    std::vector<AddressTable::Edit> edits;
    for (size_t i = 0; i < entries; ++i) {
      edits.push_back(
          {.prefix = EntryOf(family, t * entries + i, 1).prefix});
    }
    made.push_back(AddressTable().With(edits));
  }
  std::mt19937_64 random(3);
  std::vector<Address> addresses;
  for (int i = 0; i < 4096; ++i) {
    addresses.push_back(
        EntryOf(family, random() % (2 * tables * entries), 1).prefix.address);
  }
  uint64_t found = 0;
  const double began = ProcessorMilliseconds();
  constexpr size_t kTurns = 16;
  for (size_t turn = 0; turn < kTurns; ++turn) {
    for (const Address& address : addresses) {
      for (const AddressTable& table : made) {
        found += table.view().Contains(address);
      }
    }
  }
  const double each = (ProcessorMilliseconds() - began) * 1e6 /
                      static_cast<double>(kTurns * addresses.size());
  std::printf("%zu tables of %zu entries: %.0f ns an address, %.1f a table "
              "(%.2f found)\n",
              tables, entries, each, each / static_cast<double>(tables),
              static_cast<double>(found) /
                  static_cast<double>(kTurns * addresses.size()));
  // The same by an index of all of them.
  const auto index = Timed("index", [&] { return TableIndex::Build(made); });
  uint64_t again = 0;
  const double start = ProcessorMilliseconds();
  for (size_t turn = 0; turn < kTurns; ++turn) {
    for (const Address& address : addresses) {
      const uint64_t* const set = index->Find(family, address.bytes);
      for (uint16_t t = 0; t < tables; ++t) {
        again += TableIndex::InSet(set, t);
      }
    }
  }
  const double indexed = (ProcessorMilliseconds() - start) * 1e6 /
                         static_cast<double>(kTurns * addresses.size());
  std::printf("by an index: %.0f ns an address, %.1f a table; %zu sets, "
              "%.1f bytes an entry%s\n",
              indexed, indexed / static_cast<double>(tables), index->sets(),
              static_cast<double>(index->MemoryUse()) /
                  static_cast<double>(tables * entries),
              again == found ? "" : "; NOT THE SAME");
}

int Run(int argc, char** argv) {
  const auto number = [&](int i) {
    return i < argc ? std::strtoull(argv[i], nullptr, 10) : 0;
  };
  const std::string_view what = argc > 3 ? argv[1] : "";
  if (what == "rules") {
    Rules(number(2), number(3), true);
  } else if (what == "others") {
    Rules(number(2), number(3), false);
  } else if (what == "both") {
    Rules(number(2), number(3), true, true);
  } else if (what == "change") {
    Change(number(2));
  } else if (what == "table") {
    Table(number(2), number(3) == 6 ? Family::kIpv6 : Family::kIpv4,
          number(4));
  } else if (what == "lookups" && argc > 4) {
    Lookups(number(2), number(3),
            number(4) == 6 ? Family::kIpv6 : Family::kIpv4);
  } else {
    std::fprintf(stderr,
                 "usage: bench_scale rules|others|both COUNT FILTERS\n"
                 "       bench_scale change COUNT 1\n"
                 "       bench_scale table COUNT 4|6 [RULES]\n"
                 "       bench_scale lookups TABLES ENTRIES 4|6\n");
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) { return sluice::Run(argc, argv); }
