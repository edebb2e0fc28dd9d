#include "pftable/language/source_files.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "pftable/host/text_file.h"

namespace sluice {

FileLoader SystemFileLoader(std::string_view main_file) {
  const size_t slash = main_file.rfind('/');
  std::string folder(
      slash == main_file.npos ? "" : main_file.substr(0, slash + 1));
  return [folder = std::move(folder)](
             std::string_view path,
             size_t max_bytes) -> absl::StatusOr<std::string> {
    std::string full(path);
    if (!full.empty() && full[0] != '/') full = folder + full;
    return ReadTextFile(full, max_bytes);
  };
}

bool SourceFiles::Read(const std::string& path, SourcePlace place,
                       std::string& text) {
  if (!input_.load_file) {
    return in_.Error(place,
                     "cannot read \"" + path + "\": files may not be read",
                     "give the contents in the ruleset itself");
  }
  const size_t left = input_.limits.total_bytes - total_bytes_;
  auto read =
      input_.load_file(path, std::min(left, input_.limits.file_bytes));
  const bool too_large = absl::IsResourceExhausted(read.status());
  if (!read.ok() && !too_large) {
    return in_.Error(place, "cannot read \"" + path +
                                "\": " + std::string(read.status().message()));
  }
  if (too_large || read->size() > left) {
    if (left >= input_.limits.file_bytes) {
      return in_.Error(place, "\"" + path + "\" is larger than " +
                                  std::to_string(input_.limits.file_bytes) +
                                  " bytes");
    }
    return in_.Error(place, "the files of the ruleset are larger than " +
                                std::to_string(input_.limits.total_bytes) +
                                " bytes together");
  }
  text = *std::move(read);
  total_bytes_ += text.size();
  return true;
}

}  // namespace sluice
