// The kernel's files about the machine (/sys, /proc, /dev), seen below a root
// that tests may move.
//
// Files of sysfs are small texts; what is larger than kMaxHostFile is cut.
// A file that is not there reads as nothing: a kernel without some feature has
// no file of it, and that is no error.
#ifndef SLUICE_DATAPLANE_HOST_FILES_H_
#define SLUICE_DATAPLANE_HOST_FILES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace sluice {

inline constexpr size_t kMaxHostFile = 4 << 20;

class HostFiles {
 public:
  // `root` is put before every path; empty: the machine itself.
  explicit HostFiles(std::string root = "") : root_(std::move(root)) {}

  // `path` is absolute, as the kernel has it: "/sys/class/net".
  std::string Path(std::string_view path) const;
  bool Exists(std::string_view path) const;
  // The whole file without white space at its end.
  std::optional<std::string> Read(std::string_view path) const;
  // A number in the file, decimal or with 0x.
  std::optional<int64_t> ReadNumber(std::string_view path) const;
  // Names in a folder, ascending; empty if there is no such folder.
  std::vector<std::string> List(std::string_view path) const;
  // The last part of what a symbolic link points at, or "".
  std::string LinkName(std::string_view path) const;
  // Writes `text` in one call, as sysfs wants it. The file must be there.
  absl::Status Write(std::string_view path, std::string_view text) const;

 private:
  std::string root_;
};

// "0-2,5" as numbers, ascending and each once; what is no list gives what was
// read so far. At most kMaxCpuList numbers.
inline constexpr size_t kMaxCpuList = 4096;
std::vector<uint16_t> ParseCpuList(std::string_view text);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_HOST_FILES_H_
