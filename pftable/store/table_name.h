// A table's name in what is said to users.
#ifndef SLUICE_PFTABLE_STORE_TABLE_NAME_H_
#define SLUICE_PFTABLE_STORE_TABLE_NAME_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "pftable/engine/table_slots.h"

namespace sluice {

inline std::string NameOf(const TableKey& key) {
  return key.anchor.empty()
             ? absl::StrCat("table <", key.name, ">")
             : absl::StrCat("table <", key.name, "> of anchor ", key.anchor);
}

inline absl::Status NoSuchTable(const TableKey& key) {
  return absl::NotFoundError(absl::StrCat(NameOf(key), " does not exist"));
}

}  // namespace sluice

#endif  // SLUICE_PFTABLE_STORE_TABLE_NAME_H_
