// Methods on tables: tables.* on all of them, table.* on one.
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "dataplane/base/log.h"
#include "dataplane/control/methods/call.h"
#include "dataplane/control/methods/encode.h"
#include "dataplane/control/methods/method.h"

namespace sluice {
namespace {

using nlohmann::json;

constexpr size_t kAddressesAPage = 4096;
// Tested on the control lcore, each by one walk down the trie.
constexpr size_t kMaxTests = 4096;

Action ParseListTables(Params& params) {
  bool exact = true;
  params.Bool("exact", &exact);
  return [exact](std::shared_ptr<Call> call) {
    const auto show = [call] {
      FilterControl* const filter = call->filter();
      if (filter == nullptr) return;
      json tables = json::array();
      for (const TableListing& table : filter->Tables().ListTables()) {
        tables.push_back(ToJson(table));
      }
      call->Result({{"tables", std::move(tables)}});
    };
    exact ? call->filter()->States().CollectCounters(show) : show();
  };
}

Action ParseFlushTables(Params& params) {
  std::string anchor;
  bool below = false;
  params.String("anchor", kMaxAnchorPath, &anchor);
  params.Bool("below", &below);
  return [=](std::shared_ptr<Call> call) {
    Call::RunJob<uint64_t>(
        call,
        [=](Call& c) -> std::unique_ptr<BuildJob<uint64_t>> {
          FilterControl* const filter = c.filter();
          if (filter == nullptr) return nullptr;
          return filter->Tables().BeginFlushTables(anchor, below);
        },
        [](Call& c, absl::StatusOr<uint64_t> deleted) {
          if (!deleted.ok()) return c.Error(deleted.status());
          c.Result({{"tables_deleted", *deleted}});
        });
  };
}

Action ParseShowTable(Params& params) {
  std::string table, anchor, cursor;
  size_t limit = kAddressesAPage;
  params.TableName("table", &table);
  params.String("anchor", kMaxAnchorPath, &anchor);
  params.String("cursor", kMaxCursor, &cursor);
  params.PageSize("limit", kAddressesAPage, &limit);
  return [=](std::shared_ptr<Call> call) {
    const auto show = [=] {
      FilterControl* const filter = call->filter();
      if (filter == nullptr) return;
      absl::StatusOr<TableSlice> slice =
          filter->Tables().ListTable(table, anchor, cursor, limit);
      if (!slice.ok()) return call->Error(slice.status());
      json addresses = json::array();
      for (const TableAddressListing& a : slice->addresses) {
        addresses.push_back(ToJson(a));
      }
      json result = {{"addresses", std::move(addresses)}};
      if (!slice->next.empty()) result["next"] = slice->next;
      call->Result(std::move(result));
    };
    FilterControl* const filter = call->filter();
    if (cursor.empty() && filter->Tables().CountsByAddress(table, anchor)) {
      filter->States().CollectCounters(show);
    } else {
      show();
    }
  };
}

Action ParseTestTable(Params& params) {
  std::string table, anchor;
  std::vector<Address> addresses;
  params.TableName("table", &table);
  params.String("anchor", kMaxAnchorPath, &anchor);
  params.Addresses("addresses", kMaxTests, &addresses);
  return [=](std::shared_ptr<Call> call) {
    absl::StatusOr<std::vector<TableMatch>> results =
        call->filter()->Tables().TestTable(table, anchor, addresses);
    if (!results.ok()) return call->Error(results.status());
    json list = json::array();
    for (const TableMatch& r : *results) list.push_back(ToJson(r));
    call->Result({{"results", std::move(list)}});
  };
}

template <TableCommand kCommand, bool kTakesEntries>
Action ParseEdit(Params& params) {
  TableEdit edit;
  edit.command = kCommand;
  params.TableName("table", &edit.table);
  params.String("anchor", kMaxAnchorPath, &edit.anchor);
  if (kTakesEntries) params.Entries("addresses", &edit.entries);
  if (kCommand == TableCommand::kZero) {
    params.Entries("addresses", &edit.entries, Params::Need::kOptional);
  }
  if (kCommand == TableCommand::kExpire) {
    std::optional<uint64_t> age;
    params.Number("age", UINT32_MAX, &age);
    edit.age = age.value_or(0);
  }
  params.Bool("dry_run", &edit.dry_run);
  params.Bool("feedback", &edit.feedback);
  return [edit = std::make_shared<const TableEdit>(std::move(edit))](
             std::shared_ptr<Call> call) {
    const auto run = [edit, call] {
      Call::RunJob<TableEditResult>(
          call,
          [edit](Call& c) -> std::unique_ptr<BuildJob<TableEditResult>> {
            FilterControl* const filter = c.filter();
            if (filter == nullptr) return nullptr;
            return filter->Tables().BeginTableEdit(*edit);
          },
          [](Call& c, absl::StatusOr<TableEditResult> result) {
            if (!result.ok()) return c.Error(result.status());
            // With the fate of each of a million addresses, perhaps.
            c.LargeResult([result = *std::move(result)] {
              return ToJson(result);
            });
          });
    };
    // What states have counted so far is zeroed, too, and counts for addresses
    // before they go.
    FilterControl* const filter = call->filter();
    const bool zeroes = kCommand == TableCommand::kZero;
    if (zeroes ||
        filter->Tables().CountsByAddress(edit->table, edit->anchor)) {
      filter->States().CollectCounters(run);
    } else {
      run();
    }
  };
}

}  // namespace

const std::vector<Method> kTableMethods = {
    {"table.add", ParseEdit<TableCommand::kAdd, true>, Access::kOperate},
    {"table.delete", ParseEdit<TableCommand::kDelete, true>, Access::kOperate},
    {"table.expire", ParseEdit<TableCommand::kExpire, false>, Access::kOperate},
    {"table.flush", ParseEdit<TableCommand::kFlush, false>, Access::kOperate},
    {"table.kill", ParseEdit<TableCommand::kKill, false>, Access::kOperate},
    {"table.replace", ParseEdit<TableCommand::kReplace, true>, Access::kOperate},
    {"table.show", ParseShowTable, Access::kRead},
    {"table.reset", ParseEdit<TableCommand::kReset, false>, Access::kOperate},
    {"table.test", ParseTestTable, Access::kRead},
    {"table.zero", ParseEdit<TableCommand::kZero, false>, Access::kOperate},
    {"tables.flush", ParseFlushTables, Access::kOperate},
    {"tables.list", ParseListTables, Access::kRead},
};

}  // namespace sluice
