#include "dataplane/config/config_web.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

constexpr std::array<std::string_view, 6> kWebKeys = {
    "listen", "mode", "group", "clients", "remote", "hosts"};
constexpr size_t kMaxHosts = 16;

// The name of a host, as browsers send it, without a port.
bool IsHostName(const std::string& name) {
  return !name.empty() && name.size() <= 253 &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                  c == '-' || c == '.' || c == '_';
         });
}

bool IsLoopback(const Address& address) {
  if (address.family == Family::kIpv4) return address.bytes[0] == 127;
  return address == *ParseAddress("::1");
}

}  // namespace

const toml::table* ReadWebSection(const toml::table& root,
                                  const ResolvePath& resolve,
                                  ConfigReader* reader, WebConfig* web) {
  const toml::table* table = reader->Table(root, "web");
  if (table == nullptr) return nullptr;
  reader->RefuseUnknownKeys(*table, "[web]", kWebKeys);
  ReadListen(*table, resolve,
             {.listen = &web->listen,
              .address = &web->address,
              .port = &web->port,
              .whose = "the page's",
              .example = "\"127.0.0.1:8469\", \"[::1]:8469\""},
             reader);
  reader->String(*table, "group", &web->group);
  reader->Number(*table, "clients", 1, 64, &web->clients);
  reader->Boolean(*table, "remote", &web->remote);
  reader->Strings(
      *table, "hosts", kMaxHosts,
      [&](const std::string& name, const toml::source_region& place) {
        if (IsHostName(name)) {
          web->hosts.push_back(absl::AsciiStrToLower(name));
          return;
        }
        reader->Error(place, absl::StrCat("\"", name, "\" is no host's name"),
                      "give names without a port: \"fw.example.net\"");
      });
  if (!web->listen.empty() && !web->is_unix() && web->port != 0 &&
      !web->remote && !IsLoopback(web->address)) {
    reader->Error(
        table->get("listen")->source(),
        absl::StrCat("other machines could look at \"", web->listen, "\""),
        "listen on 127.0.0.1 or [::1], or say `remote = true`: nobody is asked "
        "who they are, and nothing is encrypted");
  }
  return table;
}

}  // namespace sluice
