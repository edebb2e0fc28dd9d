// The files that a ruleset names. Internal to the language front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_SOURCE_FILES_H_
#define SLUICE_PFTABLE_LANGUAGE_SOURCE_FILES_H_

#include <cstddef>
#include <string>

#include "pftable/language/parser.h"
#include "pftable/language/token_reader.h"

namespace sluice {

class SourceFiles {
 public:
  // Both outlive this. `main_bytes`: of the ruleset itself.
  SourceFiles(const ParseInput& input, TokenReader& in, size_t main_bytes)
      : input_(input), in_(in), total_bytes_(main_bytes) {}

  // Reads a file within the limits; reports and returns false if it cannot.
  bool Read(const std::string& path, SourcePlace place, std::string& text);

 private:
  const ParseInput& input_;
  TokenReader& in_;
  size_t total_bytes_;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_SOURCE_FILES_H_
