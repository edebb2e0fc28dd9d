// Reading and replacing whole files, with every error told.
#ifndef SLUICE_DATAPLANE_BASE_FILE_IO_H_
#define SLUICE_DATAPLANE_BASE_FILE_IO_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/descriptor_io.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

// The whole file, as ReadDescriptor() reads: a name that stands for a pipe or
// a device is InvalidArgument. Errors: those of SystemError() too.
absl::StatusOr<std::vector<uint8_t>> ReadWholeFile(
    const std::string& path, size_t max_bytes, const IoGuard& guard = nullptr);

// What takes the place of a file of a directory, or leaves it as it was:
// whatever ends the process or the machine at any moment, the name is a whole
// file, the old one or the new one.
//
//   FileReplacement file(directory, "name");
//   status = file.Write(bytes);   // as often as there are some
//   if (status.ok()) status = file.Commit(/*keep=*/true);
//
// Without a Commit() that succeeds nothing is left of it.
class FileReplacement {
 public:
  // `directory` is open for reading, and stays so.
  FileReplacement(int directory, std::string name);
  ~FileReplacement();
  FileReplacement(const FileReplacement&) = delete;
  FileReplacement& operator=(const FileReplacement&) = delete;

  absl::Status Write(std::span<const uint8_t> bytes);
  // With `keep`, the old file becomes `name`.old.
  absl::Status Commit(bool keep);

 private:
  absl::Status Open();

  const int directory_;
  const std::string name_;
  const std::string temporary_;
  UniqueFd file_;
  size_t unsynced_ = 0;  // bytes
  bool made_ = false;  // the temporary is there
};

// The whole of it in one go.
absl::Status ReplaceFile(int directory, const std::string& name,
                         std::span<const uint8_t> bytes, bool keep);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_FILE_IO_H_
