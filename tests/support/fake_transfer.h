// Transfers that a test says the outcome of.
#ifndef SLUICE_TESTS_SUPPORT_FAKE_TRANSFER_H_
#define SLUICE_TESTS_SUPPORT_FAKE_TRANSFER_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "dataplane/control/api/transfer_control.h"

namespace sluice {

class FakeTransfer final : public TransferControl {
 public:
  void Export(std::string_view filter, UniqueFd out,
              const TransferClient& asking,
              Done<ExportReport> done) override {
    exported = filter;
    client = asking;
    descriptor = std::move(out);
    done(export_result);
  }
  void Import(ImportRequest request, Done<ImportReport> done) override {
    imported = std::move(request);
    done(import_result);
  }
  absl::StatusOr<std::vector<RestoreListing>> Restores(
      std::string_view filter) override {
    if (filter.empty()) return restores;
    for (const RestoreListing& listing : restores) {
      if (listing.filter == filter) return std::vector{listing};
    }
    return absl::NotFoundError(absl::StrCat(
        "there is no filter \"",
        absl::string_view(filter.data(), filter.size()), "\""));
  }
  RestoreLimits Limits() const override { return {}; }
  TransferMetrics Metrics() override { return metrics; }

  std::string exported;
  UniqueFd descriptor;
  TransferClient client;
  std::optional<ImportRequest> imported;
  absl::StatusOr<ExportReport> export_result = ExportReport{};
  absl::StatusOr<ImportReport> import_result = ImportReport{};
  std::vector<RestoreListing> restores = {{.filter = "main",
                                           .status = {},
                                           .source = {},
                                           .wait = {},
                                           .last = {},
                                           .time = {},
                                           .ended = 0}};
  TransferMetrics metrics;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_SUPPORT_FAKE_TRANSFER_H_
