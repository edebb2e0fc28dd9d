#include "dataplane/base/command_line.h"

#include <getopt.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dataplane/base/text.h"

namespace sluice {
namespace {

// What getopt_long answers for the option at an index: above all letters.
constexpr int kFirstLong = 256;
constexpr size_t kHelpColumn = 26;
constexpr size_t kHelpWidth = 80;

std::string Spelling(const CommandOption& option) {
  if (option.name.empty()) return {'-', option.letter};
  return absl::StrCat("--", View(option.name));
}

std::string BothSpellings(const CommandOption& option) {
  std::string text;
  if (option.letter != 0) text = {'-', option.letter};
  if (!option.name.empty()) {
    absl::StrAppend(&text, text.empty() ? "    --" : ", --",
                    View(option.name));
  }
  if (!option.value.empty()) absl::StrAppend(&text, " ", View(option.value));
  return text;
}

// Appends `text` broken at blanks, from the help's column on.
void AppendWrapped(std::string_view text, std::string* out) {
  size_t column = kHelpColumn;
  bool first = true;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (!first && column + 1 + word.size() > kHelpWidth) {
      absl::StrAppend(out, "\n", std::string(kHelpColumn, ' '));
      column = kHelpColumn;
      first = true;
    }
    absl::StrAppend(out, first ? "" : " ", View(word));
    column += word.size() + (first ? 0 : 1);
    first = false;
  }
  out->push_back('\n');
}

}  // namespace

absl::Status ReadCommandLine(int argc, char** argv,
                             std::span<const CommandOption> options,
                             bool* help) {
  *help = false;
  std::string letters = ":h";
  std::vector<std::string> names;
  names.reserve(options.size());
  std::vector<option> table;
  for (size_t i = 0; i < options.size(); ++i) {
    const CommandOption& o = options[i];
    const bool takes = !o.value.empty();
    if (o.letter != 0) {
      letters.push_back(o.letter);
      if (takes) letters.push_back(':');
    }
    if (o.name.empty()) continue;
    names.emplace_back(o.name);
    table.push_back({names.back().c_str(),
                     takes ? required_argument : no_argument, nullptr,
                     kFirstLong + static_cast<int>(i)});
  }
  table.push_back({"help", no_argument, nullptr, 'h'});
  table.push_back({});

  std::vector<size_t> counts(options.size());
  opterr = 0;
  optind = 0;  // glibc: begins anew
  for (;;) {
    const int next = optind == 0 ? 1 : optind;
    const int c =
        getopt_long(argc, argv, letters.c_str(), table.data(), nullptr);
    if (c == -1) break;
    if (c == 'h') {
      *help = true;
      return absl::OkStatus();
    }
    const auto found =
        c == '?' ? options.end()
        : c == ':'
            ? std::ranges::find_if(options,
                                   [&](const CommandOption& o) {
                                     const auto i = &o - options.data();
                                     return optopt == o.letter ||
                                            optopt == kFirstLong + i;
                                   })
        : c >= kFirstLong
            ? options.begin() + (c - kFirstLong)
            : std::ranges::find(options, static_cast<char>(c),
                                &CommandOption::letter);
    if (found == options.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the argument ", argv[std::min(next, argc - 1)],
                       " is not expected"));
    }
    const std::string name = Spelling(*found);
    if (c == ':') {
      return absl::InvalidArgumentError(
          absl::StrCat(name, " needs a value: ", View(found->value)));
    }
    if (++counts[found - options.begin()] > 1 && !found->repeated) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, " is given more than once"));
    }
    const absl::Status status =
        found->take(optarg != nullptr ? std::string_view(optarg)
                                      : std::string_view());
    if (!status.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": ", status.message()));
    }
  }
  if (optind < argc) {
    return absl::InvalidArgumentError(
        absl::StrCat("the argument ", argv[optind], " is not expected"));
  }
  for (size_t i = 0; i < options.size(); ++i) {
    if (options[i].required && counts[i] == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(Spelling(options[i]), " is required"));
    }
  }
  return absl::OkStatus();
}

std::string OptionHelp(std::span<const CommandOption> options) {
  const CommandOption help = {
      .name = "help", .letter = 'h', .help = "print this"};
  std::string text;
  const auto append = [&text](const CommandOption& option) {
    std::string line = absl::StrCat("  ", BothSpellings(option));
    if (line.size() + 2 > kHelpColumn) {
      absl::StrAppend(&text, line, "\n", std::string(kHelpColumn, ' '));
    } else {
      line.resize(kHelpColumn, ' ');
      text += line;
    }
    AppendWrapped(option.help, &text);
  };
  append(help);
  for (const CommandOption& option : options) append(option);
  return text;
}

}  // namespace sluice
