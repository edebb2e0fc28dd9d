#include "dataplane/base/build_limits.h"
#include "dataplane/keep/state_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <set>
#include <span>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "dataplane/base/fault_point.h"
#include "dataplane/base/file_io.h"
#include "dataplane/base/text.h"
#include "nlohmann/json.hpp"
#include "pftable/policy/name.h"
#include "restore/snapshot_digest.h"
#include "restore/snapshot_reader.h"

namespace sluice {
namespace {

using nlohmann::json;

constexpr int kFormat = 1;
constexpr size_t kMaxManifest = size_t{256} << 20;
constexpr std::string_view kPolicySuffix = ".policy";
constexpr std::string_view kStatesSuffix = ".snap";

std::span<const uint8_t> BytesOf(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

bool ReadHex(const std::string& text, std::array<uint8_t, 16>* id) {
  if (text.size() != 2 * id->size() ||
      !std::ranges::all_of(text, [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
      })) {
    return false;
  }
  const std::string bytes = absl::HexStringToBytes(text);
  std::copy(bytes.begin(), bytes.end(), id->begin());
  return true;
}

class FileSink final : public ExportSink {
 public:
  FileSink(int directory, std::string name, std::atomic<uint64_t>* written)
      : file_(directory, std::move(name)), written_(written) {}
  absl::Status Write(std::span<const uint8_t> bytes) override {
    absl::Status status = file_.Write(bytes);
    written_->fetch_add(bytes.size(), std::memory_order_relaxed);
    return status;
  }
  absl::Status End() override { return file_.Commit(/*keep=*/true); }

 private:
  FileReplacement file_;
  std::atomic<uint64_t>* const written_;
};

json ToJson(const LoadRequest& request) {
  json files = json::array();
  for (const SourceFile& file : request.files) {
    files.push_back({{"name", file.name}, {"text", file.text}});
  }
  json macros = json::array();
  for (const auto& [name, value] : request.macros) {
    macros.push_back({name, value});
  }
  json result = {{"name", request.name},
                 {"text", request.text},
                 {"files", std::move(files)},
                 {"macros", std::move(macros)}};
  if (request.dialect.has_value()) {
    result["dialect"] = static_cast<int>(*request.dialect);
  }
  return result;
}

[[noreturn]] void Refuse(const char* what) {
  throw json::other_error::create(501, what, nullptr);
}

// Throws what json throws, here and below. A number that is none of an int is
// refused rather than made one.
int IntegerOf(const json& value) {
  const auto number = value.is_number_integer() ? value.get<int64_t>() : -1;
  if (number < 0 || number > INT32_MAX) Refuse("a number is out of range");
  return static_cast<int>(number);
}

LoadRequest RequestOf(const json& value) {
  LoadRequest request;
  request.name = value.at("name").get<std::string>();
  request.text = value.at("text").get<std::string>();
  for (const json& file : value.at("files")) {
    request.files.push_back({file.at("name").get<std::string>(),
                             file.at("text").get<std::string>()});
  }
  for (const json& macro : value.at("macros")) {
    request.macros.emplace_back(macro.at(0).get<std::string>(),
                                macro.at(1).get<std::string>());
  }
  if (value.contains("dialect")) {
    const int dialect = IntegerOf(value.at("dialect"));
    if (dialect > static_cast<int>(Dialect::kFreeBsd)) {
      Refuse("there is no such dialect");
    }
    request.dialect = static_cast<Dialect>(dialect);
  }
  return request;
}

ManifestEntry EntryOf(const json& value) {
  ManifestEntry entry;
  FilterSpec& spec = entry.spec;
  spec.name = value.at("name").get<std::string>();
  // It becomes the name of a file.
  if (!IsName(spec.name, kMaxFilterName)) Refuse("that names no filter");
  if (!ReadHex(value.at("id").get<std::string>(), &entry.id)) {
    Refuse("an id is 32 digits");
  }
  spec.ports = value.at("ports").get<std::vector<std::string>>();
  spec.expect_restore = value.at("expect_restore").get<bool>();
  spec.source = value.at("source").get<std::string>();
  spec.bypass_hold = value.at("bypass_hold").get<bool>();
  // Not in manifests of older versions, nor of filters without them.
  spec.from_filter = value.value("from_filter", "");
  if (value.contains("restore_give_up")) {
    spec.restore_give_up = value.at("restore_give_up").get<uint32_t>();
  }
  if (value.contains("emergency")) {
    spec.fail_policy = FailPolicy::kOpen;
    spec.emergency = RequestOf(value.at("emergency"));
  } else if (value.contains("spare_emergency")) {
    spec.emergency = RequestOf(value.at("spare_emergency"));
  }
  return entry;
}

json ToJson(const PortSpec& port) {
  json addresses = json::array();
  for (const Prefix& prefix : port.addresses) {
    addresses.push_back(
        absl::StrCat(ToString(prefix.address), "/", prefix.length));
  }
  json value = {{"name", port.name},         {"device", port.device},
                {"wire", port.wire},         {"groups", port.groups},
                {"addresses", std::move(addresses)},
                {"queues", port.queues},     {"mtu", port.mtu},
                {"non_ip", port.pass_non_ip}, {"disabled", port.disabled},
                {"bindings", port.bindings}, {"learn", port.learn}};
  if (!port.parent.empty()) {
    value["parent"] = port.parent;
    value["vlan"] = port.vlan;
    value["inner_vlan"] = port.inner_vlan;
  }
  if (!port.vhost.empty()) {
    value["vhost"] = port.vhost;
    value["vhost_client"] = port.vhost_client;
  }
  if (!port.segment.empty()) value["segment"] = port.segment;
  if (!port.router.empty()) value["router"] = port.router;
  if (!port.tap.empty()) value["tap"] = port.tap;
  return value;
}

uint16_t VlanIn(const json& value, const char* key) {
  const int vlan = IntegerOf(value.at(key));
  if (vlan < 0 || vlan > 4094) Refuse("that is no VLAN");
  return static_cast<uint16_t>(vlan);
}

json ToJson(const SegmentSpec& segment) {
  json fixed = json::array();
  for (const FixedMac& mac : segment.fixed) {
    fixed.push_back({{"mac", mac.mac}, {"port", mac.port}});
  }
  return {{"name", segment.name},
          {"ports", segment.ports},
          {"non_ip", segment.pass_non_ip},
          {"flood_unknown", segment.flood_unknown},
          {"flood_multicast", segment.flood_multicast},
          {"flood_broadcast", segment.flood_broadcast},
          {"macs", segment.macs},
          {"macs_per_port", segment.macs_per_port},
          {"age", segment.age},
          {"fixed", std::move(fixed)}};
}

uint32_t SizeIn(const json& value, const char* key, uint32_t least,
                uint32_t most) {
  const int number = IntegerOf(value.at(key));
  if (number < 0 || static_cast<uint32_t>(number) < least ||
      static_cast<uint32_t>(number) > most) {
    Refuse("a number is out of range");
  }
  return static_cast<uint32_t>(number);
}

SegmentSpec SegmentOf(const json& value) {
  SegmentSpec segment;
  segment.name = value.at("name").get<std::string>();
  segment.ports = value.at("ports").get<std::vector<std::string>>();
  segment.pass_non_ip = value.at("non_ip").get<bool>();
  segment.flood_unknown = value.at("flood_unknown").get<bool>();
  segment.flood_multicast = value.at("flood_multicast").get<bool>();
  segment.flood_broadcast = value.at("flood_broadcast").get<bool>();
  segment.macs = SizeIn(value, "macs", 1, kMaxSegmentMacs);
  segment.macs_per_port = SizeIn(value, "macs_per_port", 0, kMaxSegmentMacs);
  segment.age = SizeIn(value, "age", 1, 86400);
  for (const json& fixed : value.at("fixed")) {
    segment.fixed.push_back({.mac = fixed.at("mac").get<std::string>(),
                             .port = fixed.at("port").get<std::string>()});
  }
  if (segment.fixed.size() > kMaxFixedMacs) Refuse("too many fixed addresses");
  return segment;
}

PortSpec PortOf(const json& value) {
  PortSpec port;
  port.name = value.at("name").get<std::string>();
  port.device = value.at("device").get<std::string>();
  port.wire = value.at("wire").get<std::string>();
  port.groups = value.at("groups").get<std::vector<std::string>>();
  for (const json& text : value.at("addresses")) {
    const std::optional<Prefix> prefix =
        ParsePrefix(text.get<std::string>());
    if (!prefix) Refuse("that is no address");
    port.addresses.push_back(*prefix);
  }
  const int queues = IntegerOf(value.at("queues"));
  const int mtu = IntegerOf(value.at("mtu"));
  if (queues > UINT16_MAX || mtu > UINT16_MAX) {
    Refuse("a number is out of range");
  }
  port.queues = static_cast<uint16_t>(queues);
  port.mtu = static_cast<uint16_t>(mtu);
  port.pass_non_ip = value.at("non_ip").get<bool>();
  port.disabled = value.at("disabled").get<bool>();
  // Not in manifests of older versions, nor of other ports.
  if (value.contains("parent")) {
    port.parent = value.at("parent").get<std::string>();
    port.vlan = VlanIn(value, "vlan");
    port.inner_vlan = VlanIn(value, "inner_vlan");
  }
  if (value.contains("vhost")) {
    port.vhost = value.at("vhost").get<std::string>();
    port.vhost_client = value.at("vhost_client").get<bool>();
  }
  port.segment = value.value("segment", "");
  port.router = value.value("router", "");
  port.tap = value.value("tap", "");
  // Not in manifests of older versions.
  if (value.contains("bindings")) {
    port.bindings = value.at("bindings").get<std::vector<std::string>>();
    const int learn = IntegerOf(value.at("learn"));
    if (learn > UINT8_MAX) Refuse("a number is out of range");
    port.learn = static_cast<uint8_t>(learn);
  }
  return port;
}

}  // namespace

std::string FormatManifest(const std::vector<ManifestEntry>& entries,
                           const std::vector<PortSpec>& ports,
                           const std::vector<SegmentSpec>& segments) {
  json filters = json::array();
  for (const ManifestEntry& entry : entries) {
    const FilterSpec& spec = entry.spec;
    json filter = {{"name", spec.name},
                   {"id", Hex(entry.id)},
                   {"ports", spec.ports},
                   {"expect_restore", spec.expect_restore},
                   {"source", spec.source},
                   {"bypass_hold", spec.bypass_hold}};
    if (!spec.from_filter.empty()) filter["from_filter"] = spec.from_filter;
    if (spec.restore_give_up.has_value()) {
      filter["restore_give_up"] = *spec.restore_give_up;
    }
    // One that was told to fail closed may be told to fail open again. Under
    // another name, as `emergency` alone says that it fails open.
    if (spec.emergency.has_value()) {
      filter[spec.fail_policy == FailPolicy::kOpen ? "emergency"
                                                   : "spare_emergency"] =
          ToJson(*spec.emergency);
    }
    filters.push_back(std::move(filter));
  }
  json manifest = {{"format", kFormat}, {"filters", std::move(filters)}};
  for (const PortSpec& port : ports) manifest["ports"].push_back(ToJson(port));
  for (const SegmentSpec& segment : segments) {
    manifest["segments"].push_back(ToJson(segment));
  }
  std::string text =
      manifest.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  const std::string digest = Hex(DigestOf(BytesOf(text)));
  absl::StrAppend(&text, digest, "\n");
  return text;
}

absl::StatusOr<std::vector<ManifestEntry>> ParseManifest(
    std::string_view text, std::vector<PortSpec>* ports,
    std::vector<SegmentSpec>* segments) {
  const size_t line = text.find('\n');
  if (line == std::string_view::npos ||
      text.substr(line + 1) !=
          Hex(DigestOf(BytesOf(text.substr(0, line + 1)))) + "\n") {
    return absl::InvalidArgumentError(
        "it is damaged: the digest at its end is not its own");
  }
  const json manifest = json::parse(text.substr(0, line), nullptr, false);
  try {
    const int format = IntegerOf(manifest.at("format"));
    if (format != kFormat) {
      return absl::UnimplementedError(
          absl::StrCat("its format is ", format, ", not ", kFormat));
    }
    std::vector<ManifestEntry> entries;
    for (const json& filter : manifest.at("filters")) {
      entries.push_back(EntryOf(filter));
    }
    std::vector<PortSpec> read;
    // Not in manifests of older versions.
    if (manifest.contains("ports")) {
      for (const json& port : manifest.at("ports")) {
        read.push_back(PortOf(port));
      }
    }
    if (ports != nullptr) *ports = std::move(read);
    std::vector<SegmentSpec> joined;
    if (manifest.contains("segments")) {
      for (const json& segment : manifest.at("segments")) {
        joined.push_back(SegmentOf(segment));
      }
    }
    if (segments != nullptr) *segments = std::move(joined);
    return entries;
  } catch (const json::exception& error) {
    return absl::InvalidArgumentError(error.what());
  }
}

StateDirectory::StateDirectory(std::string path, UniqueFd directory,
                               UniqueFd lock)
    : path_(std::move(path)),
      directory_(std::move(directory)),
      lock_(std::move(lock)) {}

absl::StatusOr<std::unique_ptr<StateDirectory>> StateDirectory::Open(
    const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    return SystemError(path, errno);
  }
  UniqueFd directory(
      ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return SystemError(path, errno);
  UniqueFd lock(::openat(directory.get(), "lock",
                         O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock.valid()) return SystemError(path + "/lock", errno);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return SystemError(path + "/lock", errno);
    return absl::FailedPreconditionError(absl::StrCat(
        path, " is in use by another process: stop it, or take another state "
              "directory"));
  }
  return std::unique_ptr<StateDirectory>(new StateDirectory(
      path, std::move(directory), std::move(lock)));
}

std::string StateDirectory::PathOf(std::string_view file) const {
  return absl::StrCat(path_, "/", View(file));
}

absl::StatusOr<std::vector<ManifestEntry>> StateDirectory::ReadManifest(
    const Complain& complain, std::vector<PortSpec>* ports,
    std::vector<SegmentSpec>* segments) const {
  absl::Status first;
  for (const char* name : {"manifest", "manifest.old"}) {
    const absl::StatusOr<std::vector<uint8_t>> bytes =
        ReadWholeFile(PathOf(name), kMaxManifest);
    absl::Status status = bytes.status();
    if (status.ok()) {
      FaultPoint("start.manifest");
      absl::StatusOr<std::vector<ManifestEntry>> entries = ParseManifest(
          {reinterpret_cast<const char*>(bytes->data()), bytes->size()}, ports,
          segments);
      if (entries.ok()) return entries;
      status = absl::Status(
          entries.status().code(),
          absl::StrCat(PathOf(name), ": ", entries.status().message()));
    }
    if (absl::IsNotFound(status)) continue;
    complain(std::string(status.message()));
    if (first.ok()) first = status;
  }
  if (!first.ok()) return first;
  return std::vector<ManifestEntry>();
}

std::shared_ptr<KeptFilter> StateDirectory::Read(const ManifestEntry& entry,
                                                 uint64_t max_snapshot,
                                                 Complain complain) const {
  auto kept = std::make_shared<KeptFilter>();
  kept->id = entry.id;
  const std::string policy =
      PathOf(entry.spec.name + std::string(kPolicySuffix));
  std::vector<std::vector<uint8_t>> found;
  for (const std::string& path : {policy, absl::StrCat(policy, ".old")}) {
    absl::StatusOr<std::vector<uint8_t>> bytes =
        ReadWholeFile(path, max_snapshot);
    absl::Status status = bytes.status();
    if (status.ok()) status = CheckWhole(*bytes);
    if (status.ok()) {
      if (ReadSnapshotHeader(*bytes)->filter_id == entry.id) {
        found.push_back(*std::move(bytes));
      }
    } else if (!absl::IsNotFound(status)) {
      complain(bytes.ok() ? absl::StrCat(path, ": ", status.message())
                          : std::string(status.message()));
    }
  }
  FaultPoint("start.policy");
  if (!found.empty()) kept->policy = std::move(found.front());
  if (found.size() > 1) kept->older_policy = std::move(found.back());
  kept->states = std::make_shared<KeptFileSource>(
      PathOf(entry.spec.name + std::string(kStatesSuffix)), entry.id,
      ImportChoice{}, std::move(complain));
  return kept;
}

absl::Status StateDirectory::WriteManifest(
    const std::vector<ManifestEntry>& entries,
    const std::vector<PortSpec>& ports,
    const std::vector<SegmentSpec>& segments) const {
  return ReplaceFile(directory_.get(), "manifest",
                     BytesOf(FormatManifest(entries, ports, segments)),
                     /*keep=*/true);
}

std::shared_ptr<ExportSink> StateDirectory::PolicySink(
    const std::string& name, std::atomic<uint64_t>* written) const {
  return std::make_shared<FileSink>(
      directory_.get(), name + std::string(kPolicySuffix), written);
}

std::shared_ptr<ExportSink> StateDirectory::StatesSink(
    const std::string& name, std::atomic<uint64_t>* written) const {
  return std::make_shared<FileSink>(
      directory_.get(), name + std::string(kStatesSuffix), written);
}

void StateDirectory::Sweep(const std::vector<ManifestEntry>& entries) const {
  std::set<std::string> kept = {"lock", "manifest", "manifest.old"};
  for (const ManifestEntry& entry : entries) {
    for (const std::string_view suffix : {kPolicySuffix, kStatesSuffix}) {
      const std::string name = entry.spec.name + std::string(suffix);
      kept.insert(name);
      kept.insert(name + ".old");
    }
  }
  const auto is_ours = [](const std::string& name) {
    return name.ends_with(".tmp") || name.ends_with(kPolicySuffix) ||
           name.ends_with(kStatesSuffix) || name.ends_with(".policy.old") ||
           name.ends_with(".snap.old");
  };
  std::error_code error;
  for (const auto& file :
       std::filesystem::directory_iterator(path_, error)) {
    const std::string name = file.path().filename().string();
    if (is_ours(name) && !kept.contains(name)) {
      ::unlinkat(directory_.get(), name.c_str(), 0);
    }
  }
}

}  // namespace sluice
