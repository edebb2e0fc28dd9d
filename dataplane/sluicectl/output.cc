#include "dataplane/sluicectl/output.h"

#include <utility>

#include "dataplane/base/text.h"
#include "dataplane/control/socket/json_rpc.h"
#include "nlohmann/json.hpp"

namespace sluice {

void Output::Title(std::string_view title) {
  if (json_ || !titles_) return;
  if (!first_title_) out_ << '\n';
  first_title_ = false;
  out_ << title << '\n';
}

void Output::Print(const std::string& text) {
  if (!json_) out_ << Printable(text);
}

void Output::Say(const std::string& line) {
  if (!json_ && !quiet_) err_ << Printable(line) << '\n';
}

void Output::Complain(const std::string& text) { err_ << Printable(text); }

void Output::Name(const std::string& name) {
  Begin();
  out_ << ",\n " << Dump(name) << ": ";
}

void Output::Begin() {
  if (std::exchange(begun_, true)) return;
  out_ << "{\"json_version\": " << kJsonVersion;
}

void Output::Put(const std::string& name, const nlohmann::json& value) {
  if (!json_) return;
  Name(name);
  out_ << Dump(value);
}

void Output::BeginList(const std::string& name) {
  if (!json_) return;
  Name(name);
  out_ << '[';
  first_element_ = true;
}

void Output::Element(const nlohmann::json& value) {
  if (!json_) return;
  out_ << (first_element_ ? "\n  " : ",\n  ") << Dump(value);
  first_element_ = false;
}

void Output::EndList() {
  if (json_) out_ << ']';
}

bool Output::Finish() {
  if (json_) {
    Begin();
    out_ << "}\n";
  }
  out_.flush();
  return out_.good();
}

}  // namespace sluice
