#include "dataplane/config/config_listen.h"

#include <charconv>
#include <optional>
#include <string_view>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

// "127.0.0.1:9469", "[::1]:9469".
bool ReadEnd(std::string_view text, const ListenKeys& keys) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return false;
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const bool brackets = host.starts_with('[') && host.ends_with(']');
  if (brackets) host = host.substr(1, host.size() - 2);
  const std::optional<Address> address = ParseAddress(host);
  if (!address || brackets != (address->family == Family::kIpv6)) return false;
  const auto [end, error] =
      std::from_chars(port.data(), port.data() + port.size(), *keys.port);
  *keys.address = *address;
  return error == std::errc() && end == port.data() + port.size() &&
         *keys.port != 0;
}

}  // namespace

void ReadListen(const toml::table& table, const ResolvePath& resolve,
                const ListenKeys& keys, ConfigReader* reader) {
  std::string& listen = *keys.listen;
  if (!reader->String(table, "listen", &listen) || listen.empty()) return;
  const toml::source_region& place = table.get("listen")->source();
  if (listen.find('/') != std::string::npos) {
    listen = resolve(listen);
    // sockaddr_un has room for 107 bytes and a NUL.
    if (listen.size() > 107) {
      reader->Error(place,
                    absl::StrCat("the path of ", keys.whose, " socket has ",
                                 listen.size(), " bytes"),
                    "give a path of at most 107 bytes");
    }
    return;
  }
  if (!ReadEnd(listen, keys)) {
    reader->Error(place, absl::StrCat("'listen' cannot be \"", listen, "\""),
                  absl::StrCat("give the path of a Unix socket, or an address "
                               "and a port: ",
                               keys.example));
  }
  for (const char* key : {"mode", "group"}) {
    if (!table.contains(key)) continue;
    reader->Error(table.get(key)->source(),
                  absl::StrCat("'", key,
                               "' is of a Unix socket, and 'listen' is none"),
                  "remove it, or give a path");
  }
}

}  // namespace sluice
