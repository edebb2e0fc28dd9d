#include "dataplane/host/pci_address.h"

#include <algorithm>
#include <span>

namespace sluice {
namespace {

bool IsHex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
         (c >= 'A' && c <= 'F');
}

}  // namespace

bool IsPciAddress(std::string_view text) {
  const auto matches = [text](std::string_view shape) {
    return text.size() == shape.size() &&
           std::ranges::equal(text, shape, [](char c, char s) {
             return s == 'x' ? IsHex(c) : s == 'o' ? c >= '0' && c <= '7'
                                                   : c == s;
           });
  };
  return matches("xxxx:xx:xx.o") || matches("xx:xx.o");
}

void NormalisePciAddress(std::string* device) {
  // The short form means domain 0.
  if (device->find(',') == 7 || device->size() == 7) {
    device->insert(0, "0000:");
  }
  for (char& c : std::span(*device).first(std::string_view("0000:00:00.0")
                                              .size())) {
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  }
}

}  // namespace sluice
