// Runs scenario files and says what came of them, as TAP.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/scenarios/runner/scenario_run.h"

namespace sluice {
namespace {

constexpr char kUsage[] =
    "usage: scenarios [--segments BYTES] [--captures FOLDER] "
    "[--only SUBSTRING] FILE|FOLDER...\n";

struct Arguments {
  RunOptions run;
  std::string only;
  std::vector<std::string> files;
};

bool Parse(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const bool has_value = i + 1 < argc;
    if (word == "--segments" && has_value) {
      arguments.run.segment_size =
          static_cast<uint32_t>(std::strtoul(argv[++i], nullptr, 10));
    } else if (word == "--captures" && has_value) {
      arguments.run.capture_folder = argv[++i];
    } else if (word == "--only" && has_value) {
      arguments.only = argv[++i];
    } else if (word.starts_with("-")) {
      return false;
    } else if (std::filesystem::is_directory(word)) {
      for (const auto& entry :
           std::filesystem::recursive_directory_iterator(word)) {
        if (entry.path().extension() == ".scenario") {
          arguments.files.push_back(entry.path().string());
        }
      }
    } else {
      arguments.files.push_back(word);
    }
  }
  std::sort(arguments.files.begin(), arguments.files.end());
  return !arguments.files.empty();
}

class Report {
 public:
  void Case(const std::string& name, const absl::Status& status) {
    ++count_;
    if (status.ok()) {
      ++passed_;
      std::printf("ok %d - %s\n", count_, name.c_str());
      return;
    }
    std::printf("not ok %d - %s\n", count_, name.c_str());
    std::printf("# %s\n",
                absl::StrReplaceAll(status.message(), {{"\n", "\n# "}})
                    .c_str());
  }
  int End() const {
    std::printf("1..%d\n# %d passed, %d failed\n", count_, passed_,
                count_ - passed_);
    return passed_ == count_ ? 0 : 1;
  }

 private:
  int count_ = 0;
  int passed_ = 0;
};

int Main(int argc, char** argv) {
  Arguments arguments;
  if (!Parse(argc, argv, arguments)) {
    std::fputs(kUsage, stderr);
    return 2;
  }
  // A full burst in the smallest segments, and its answers.
  MbufPool pool(8191);
  Report report;
  for (const std::string& path : arguments.files) {
    std::ifstream file(path);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const auto scenarios = ParseScenarioFile(path, text);
    if (!scenarios.ok()) {
      report.Case(path, scenarios.status());
      continue;
    }
    for (const Scenario& scenario : *scenarios) {
      if (scenario.name.find(arguments.only) == std::string::npos) continue;
      report.Case(scenario.name, RunScenario(scenario, arguments.run, pool));
      std::fflush(stdout);
    }
  }
  return report.End();
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) { return sluice::Main(argc, argv); }
