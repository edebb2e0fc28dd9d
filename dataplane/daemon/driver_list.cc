#include "dataplane/daemon/driver_list.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <rte_eal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// What DPDK's build writes into each driver, before a JSON object.
constexpr std::string_view kMark = "PMD_INFO_STRING= ";
constexpr std::string_view kLibraries = "librte_net_";
constexpr std::string_view kSuffix = ".so";

void ReadLibrary(const fs::path& path, DriverList* drivers) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status;
  if (!fd.valid() || ::fstat(fd.get(), &status) != 0 || status.st_size <= 0) {
    return;
  }
  const auto size = static_cast<size_t>(status.st_size);
  void* const memory =
      ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (memory == MAP_FAILED) return;
  const auto unmap =
      absl::MakeCleanup([memory, size] { ::munmap(memory, size); });
  std::string_view rest(static_cast<const char*>(memory), size);
  for (;;) {
    const void* const found =
        ::memmem(rest.data(), rest.size(), kMark.data(), kMark.size());
    if (found == nullptr) return;
    rest.remove_prefix(static_cast<size_t>(static_cast<const char*>(found) -
                                           rest.data()) +
                       kMark.size());
    const json info =
        json::parse(rest.substr(0, rest.find('\0')), nullptr,
                    /*allow_exceptions=*/false);
    if (!info.is_object() || !info.contains("name") ||
        !info["name"].is_string()) {
      continue;
    }
    const auto params = info.find("params");
    (*drivers)[info["name"].get<std::string>()] =
        params != info.end() && params->is_string()
            ? params->get<std::string>()
            : "";
  }
}

}  // namespace

DriverList ReadDrivers(const std::string& folder) {
  DriverList drivers;
  std::error_code error;
  for (const fs::directory_entry& entry :
       fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    // Once each, and not by its other names.
    if (name.starts_with(kLibraries) &&
        name.find(kSuffix) != std::string::npos && !entry.is_symlink(error)) {
      ReadLibrary(entry.path(), &drivers);
    }
  }
  return drivers;
}

std::optional<DriverList> DriversOfSystem() {
  Dl_info info;
  if (::dladdr(reinterpret_cast<const void*>(&rte_eal_init), &info) == 0 ||
      info.dli_fname == nullptr) {
    return std::nullopt;
  }
  // librte_eal.so.23.0 loads what is in dpdk/pmds-23.0 beside it.
  std::error_code error;
  const fs::path library = fs::canonical(info.dli_fname, error);
  if (error) return std::nullopt;
  const std::string name = library.filename().string();
  const size_t version = name.find(".so.");
  if (version == std::string::npos) return std::nullopt;
  const fs::path folder = library.parent_path() / "dpdk" /
                          absl::StrCat("pmds-", name.substr(version + 4));
  if (!fs::is_directory(folder, error)) return std::nullopt;
  DriverList drivers = ReadDrivers(folder.string());
  if (drivers.empty()) return std::nullopt;
  return drivers;
}

const DriverList::value_type* DriverFor(const DriverList& drivers,
                                        std::string_view device_name) {
  // Names of before DPDK 17.
  std::string modern(device_name);
  if (modern.starts_with("eth_")) modern.replace(0, 4, "net_");
  if (modern.starts_with("virtio_user")) modern.insert(0, "net_");
  const DriverList::value_type* longest = nullptr;
  for (const auto& driver : drivers) {
    if (modern.starts_with(driver.first) &&
        (longest == nullptr || driver.first.size() > longest->first.size())) {
      longest = &driver;
    }
  }
  return longest;
}

}  // namespace sluice
