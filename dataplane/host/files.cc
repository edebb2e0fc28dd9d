#include "dataplane/host/files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace sluice {

namespace fs = std::filesystem;

std::string HostFiles::Path(std::string_view path) const {
  return root_ + std::string(path);
}

bool HostFiles::Exists(std::string_view path) const {
  std::error_code error;
  return fs::exists(Path(path), error);
}

std::optional<std::string> HostFiles::Read(std::string_view path) const {
  std::ifstream stream(Path(path), std::ios::binary);
  if (!stream) return std::nullopt;
  std::string text;
  char piece[4096];
  while (text.size() < kMaxHostFile &&
         (stream.read(piece, sizeof piece), stream.gcount() > 0)) {
    text.append(piece, static_cast<size_t>(stream.gcount()));
  }
  // Some files exist and cannot be read ("speed" of an interface that is
  // down).
  if (text.empty() && stream.bad()) return std::nullopt;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ' ||
                           text.back() == '\0')) {
    text.pop_back();
  }
  return text;
}

std::optional<int64_t> HostFiles::ReadNumber(std::string_view path) const {
  const std::optional<std::string> text = Read(path);
  if (!text) return std::nullopt;
  std::string_view digits = *text;
  const bool hex = digits.starts_with("0x");
  if (hex) digits.remove_prefix(2);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(
      digits.data(), digits.data() + digits.size(), value, hex ? 16 : 10);
  if (error != std::errc() || end != digits.data() + digits.size()) {
    return std::nullopt;
  }
  return value;
}

std::vector<std::string> HostFiles::List(std::string_view path) const {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(Path(path), error), end;
       !error && at != end; at.increment(error)) {
    names.push_back(at->path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

std::string HostFiles::LinkName(std::string_view path) const {
  std::error_code error;
  return fs::read_symlink(Path(path), error).filename().string();
}

absl::Status HostFiles::Write(std::string_view path,
                              std::string_view text) const {
  const std::string full = Path(path);
  const auto failed = [&full](int code) {
    return absl::ErrnoToStatus(code, absl::StrCat("cannot write ", full));
  };
  const int fd = open(full.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return failed(errno);
  const ssize_t written = write(fd, text.data(), text.size());
  const int code = errno;
  close(fd);
  if (written < 0) return failed(code);
  if (static_cast<size_t>(written) != text.size()) return failed(EIO);
  return absl::OkStatus();
}

std::vector<uint16_t> ParseCpuList(std::string_view text) {
  std::vector<uint16_t> numbers;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    uint16_t first = 0;
    auto parsed = std::from_chars(at, end, first);
    if (parsed.ec != std::errc()) break;
    uint16_t last = first;
    if (parsed.ptr != end && *parsed.ptr == '-') {
      parsed = std::from_chars(parsed.ptr + 1, end, last);
      if (parsed.ec != std::errc() || last < first) break;
    }
    for (uint32_t n = first; n <= last && numbers.size() < kMaxCpuList; ++n) {
      numbers.push_back(static_cast<uint16_t>(n));
    }
    at = parsed.ptr;
    if (at == end || *at != ',') break;
    ++at;
  }
  std::ranges::sort(numbers);
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  return numbers;
}

}  // namespace sluice
