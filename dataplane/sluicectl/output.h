// Where sluicectl's results go: as pfctl's text, or with --json as one object
// with a member a command, written as it comes so that a million states need
// no memory.
#ifndef SLUICE_DATAPLANE_SLUICECTL_OUTPUT_H_
#define SLUICE_DATAPLANE_SLUICECTL_OUTPUT_H_

#include <ostream>
#include <string>
#include <string_view>

#include "nlohmann/json_fwd.hpp"

namespace sluice {

// Of what --json prints: its member "json_version". It grows when a member goes
// or means something else; new members come without. docs/json.md.
inline constexpr int kJsonVersion = 1;

class Output {
 public:
  // `titles` puts one before each group, as `-s all` does.
  Output(std::ostream& out, std::ostream& err, bool json, bool quiet)
      : out_(out), err_(err), json_(json), quiet_(quiet) {}

  bool json() const { return json_; }
  void set_titles() { titles_ = true; }

  // Text only: a title, with an empty line between groups.
  void Title(std::string_view title);
  // Text only, to standard output.
  void Print(const std::string& text);
  // What was printed is seen at once.
  void Flush() { out_.flush(); }
  // Text only: what was done, to standard error as pfctl does; not with -q.
  void Say(const std::string& line);
  // An error, to standard error; with --json only to JsonError().
  void Complain(const std::string& text);

  // JSON only: a member of the one object.
  void Put(const std::string& name, const nlohmann::json& value);
  // JSON only: a member that is an array, element by element.
  void BeginList(const std::string& name);
  void Element(const nlohmann::json& value);
  void EndList();

  // Closes the object. Returns whether everything could be written.
  bool Finish();

 private:
  void Name(const std::string& name);
  void Begin();

  std::ostream& out_;
  std::ostream& err_;
  const bool json_;
  const bool quiet_;
  bool titles_ = false;
  bool first_title_ = true;
  bool begun_ = false;
  bool first_element_ = true;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_SLUICECTL_OUTPUT_H_
