// The dictionary of the ruleset fuzzer has every word that the parser knows,
// and none that it does not: a fuzzer hardly guesses "endpoint-independent".
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <string_view>

#include "pftable/policy/names.h"
#include "pftable/policy/policy.h"
#include "pftable/policy/reserved_words.h"
#include "pftable/policy/timeouts.h"

namespace sluice {
namespace {

using Words = std::set<std::string, std::less<>>;

constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz";
constexpr std::string_view kInWords = "abcdefghijklmnopqrstuvwxyz0123456789.-";

bool IsWord(std::string_view text) {
  return !text.empty() && kLetters.find(text[0]) != text.npos &&
         text.find_first_not_of(kInWords) == text.npos;
}

std::string Read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

// The string literals of a source that are one word of the language's form.
void AddLiterals(const std::string& source, Words& words) {
  for (size_t at = source.find('"'); at != source.npos;) {
    size_t end = at + 1;
    while (end < source.size() && source[end] != '"' && source[end] != '\n') {
      end += source[end] == '\\' ? 2 : 1;
    }
    if (end >= source.size()) return;
    const std::string literal = source.substr(at + 1, end - at - 1);
    if (source[end] == '"' && IsWord(literal)) words.insert(literal);
    at = source.find('"', end + 1);
  }
}

// What the parsers of statements compare words with, and the tables of names.
const Words& Known() {
  static const Words& words = *new Words([] {
    Words known;
    size_t sources = 0;
    for (const auto& entry : std::filesystem::directory_iterator(
             SLUICE_SOURCE_ROOT "/pftable/language")) {
      const std::string name = entry.path().filename().string();
      if (!name.starts_with("parse_") || !name.ends_with(".cc")) continue;
      ++sources;
      AddLiterals(Read(entry.path()), known);
    }
    EXPECT_GT(sources, 8u);
    const auto add = [&](std::string_view word) { known.emplace(word); };
    for (const std::string_view word : ReservedWords()) add(word);
    for (const std::string_view word : kLimitNames) add(word);
    for (const std::string_view word : kTimeoutNames) add(word);
    for (const Dialect dialect : {Dialect::kOpenBsd, Dialect::kFreeBsd}) {
      for (const std::string_view word : DebugWords(dialect)) add(word);
    }
    for (const Family family : {Family::kIpv4, Family::kIpv6}) {
      for (const IcmpTypeName& type : IcmpTypeNames(family)) add(type.name);
      for (const IcmpCodeName& code : IcmpCodeNames(family)) add(code.name);
    }
    for (const std::string_view word : TosNames()) add(word);
    return known;
  }());
  return words;
}

const Words& Dictionary() {
  static const Words& words = *new Words([] {
    Words entries;
    const std::string text =
        Read(SLUICE_SOURCE_ROOT "/tests/fuzz/corpus/ruleset.dict");
    size_t begin = 0;
    while (begin < text.size()) {
      const size_t end = std::min(text.find('\n', begin), text.size());
      const std::string line = text.substr(begin, end - begin);
      begin = end + 1;
      if (line.empty() || line[0] == '#') continue;
      EXPECT_TRUE(line.size() > 2 && line.front() == '"' && line.back() == '"')
          << line;
      EXPECT_TRUE(entries.insert(line.substr(1, line.size() - 2)).second)
          << line << " is there twice";
    }
    return entries;
  }());
  return words;
}

TEST(FuzzDictionary, HasEveryWordOfTheParser) {
  // Statements, conditions and options of each kind are among them.
  for (const char* word :
       {"antispoof", "dnpipe", "hfsc", "map-e-portset", "scrub-anchor",
        "limiter", "ridentifier", "tcp.first", "neighbrsol", "emerg", "misc",
        "lowdelay", "least-states", "load"}) {
    EXPECT_TRUE(Known().contains(word)) << word;
  }
  std::string missing;
  for (const std::string& word : Known()) {
    if (!Dictionary().contains(word)) missing += '"' + word + "\"\n";
  }
  EXPECT_EQ(missing, "") << "to be added to tests/fuzz/corpus/ruleset.dict";
}

TEST(FuzzDictionary, HasNoWordThatIsGone) {
  // Interfaces of the fuzzer's host and of pflog, hosts and services.
  const Words facts = {"em0", "lo0", "egress", "pflog1", "www", "ssh", "root", "tcp", "udp",
                       "icmp"};
  for (const std::string& word : Dictionary()) {
    if (!IsWord(word) || facts.contains(word)) continue;
    EXPECT_TRUE(Known().contains(word)) << word;
  }
}

}  // namespace
}  // namespace sluice
