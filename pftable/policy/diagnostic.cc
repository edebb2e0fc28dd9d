#include "pftable/policy/diagnostic.h"

#include <algorithm>

namespace sluice {

std::string FormatDiagnostic(const Diagnostic& d) {
  std::string out = d.file;
  if (d.line != 0) {
    out += ':' + std::to_string(d.line) + ':' + std::to_string(d.column);
  }
  out += ": ";
  if (d.severity == Severity::kWarning) out += "warning: ";
  out += d.message;
  out += '\n';
  if (d.line != 0 && !d.source_line.empty()) {
    std::string line = d.source_line;
    for (char& c : line) {
      if (static_cast<unsigned char>(c) < ' ' && c != '\t') c = '?';
    }
    out += line + '\n';
    const size_t before = d.column == 0 ? 0 : d.column - 1;
    std::string indent = line.substr(0, std::min(before, line.size()));
    for (char& c : indent) {
      if (c != '\t') c = ' ';
    }
    out += indent + "^\n";
  }
  if (!d.hint.empty()) out += "hint: " + d.hint + '\n';
  return out;
}

std::string FormatDiagnostics(const std::vector<Diagnostic>& diagnostics) {
  std::string out;
  for (const Diagnostic& d : diagnostics) out += FormatDiagnostic(d);
  return out;
}

}  // namespace sluice
