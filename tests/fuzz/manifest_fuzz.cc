// Any bytes as the manifest of a state directory: refused, or filters whose
// names can be files and which are written again as they were read.
//
// The mutator puts the right digest behind the first line, so that the search
// reaches what lies behind it.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/text.h"
#include "dataplane/keep/state_directory.h"
#include "pftable/policy/name.h"
#include "restore/snapshot_digest.h"

namespace sluice {
namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

// The first line with its digest.
std::string Sealed(std::string_view text) {
  std::string line(text.substr(0, text.find('\n')));
  line += '\n';
  return line +
         Hex(DigestOf({reinterpret_cast<const uint8_t*>(line.data()),
                       line.size()})) +
         '\n';
}

void Check(std::string_view text) {
  std::vector<PortSpec> ports;
  const auto entries = ParseManifest(text, &ports);
  if (!entries.ok()) {
    Require(!entries.status().message().empty());
    return;
  }
  for (const ManifestEntry& entry : *entries) {
    Require(IsName(entry.spec.name, kMaxFilterName));
    Require(entry.spec.name.find('/') == std::string::npos);
    Require(entry.spec.emergency.has_value() ==
            (entry.spec.fail_policy == FailPolicy::kOpen));
  }
  const std::string again = FormatManifest(*entries, ports);
  std::vector<PortSpec> ports_again;
  const auto read = ParseManifest(again, &ports_again);
  Require(read.ok());
  Require(read->size() == entries->size());
  Require(ports_again.size() == ports.size());
  Require(FormatManifest(*read, ports_again) == again);
}

}  // namespace
}  // namespace sluice

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size,
                                   size_t max_size);

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size,
                                          size_t max_size, unsigned int seed) {
  size = LLVMFuzzerMutate(data, size, max_size);
  // Some stay broken.
  if (seed % 16 == 0) return size;
  const std::string sealed =
      sluice::Sealed({reinterpret_cast<const char*>(data), size});
  if (sealed.size() > max_size) return size;
  std::copy(sealed.begin(), sealed.end(), data);
  return sealed.size();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  sluice::Check({reinterpret_cast<const char*>(data), size});
  return 0;
}
