// What `sluicectl top` shows: a view's answers of the daemon as rows, sorted,
// cut and laid out for a width. No terminal and no socket in it.
#ifndef SLUICE_DATAPLANE_SLUICECTL_TOP_VIEW_H_
#define SLUICE_DATAPLANE_SLUICECTL_TOP_VIEW_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nlohmann/json.hpp"

namespace sluice {

enum class TopView : uint8_t {
  kStates,
  kPorts,
  kRules,
  kReasons,
  kFilters,
  kWorkers,
};
inline constexpr size_t kTopViews = 6;
// "states", "ports", "rules", "reasons", "filters", "workers".
std::string_view Name(TopView view);
std::optional<TopView> TopViewNamed(std::string_view name);

// A view's orders; the first is the one that it begins with.
struct TopOrder {
  std::string_view name;  // "rate"
  char key;               // as in pftop: 'R'
  bool descending;
};
const std::vector<TopOrder>& OrdersOf(TopView view);
// Of a view by its name or key; none: it has no such.
std::optional<size_t> TopOrderNamed(TopView view, std::string_view name);
std::optional<size_t> TopOrderOfKey(TopView view, char key);

// One thing that is shown: texts for people, numbers for sorting and programs.
struct TopRow {
  std::string key;  // the same thing in the next look has the same
  std::vector<std::string> cells;
  std::map<std::string, uint64_t, std::less<>> numbers;
};

// Remembers the last look, for rates.
class TopModel {
 public:
  // The view's answer: an array of states, ports, rules, drop counters,
  // filters or workers as docs/control-protocol.md has them; of one look, `now_ms` by a
  // clock that does not go back. Rows of the look before give rates; a state
  // that is new has its own age for that.
  void Take(TopView view, const nlohmann::json& answer, uint64_t now_ms);

  // Rows of which some cell has `match` in it, the first ones by that order.
  std::vector<TopRow> Sorted(size_t order, bool reverse,
                             std::string_view match, size_t limit) const;
  // Titles of the cells.
  const std::vector<std::string>& titles() const { return titles_; }
  size_t size() const { return rows_.size(); }

 private:
  struct Seen {
    uint64_t bytes = 0;
    uint64_t packets = 0;
    uint64_t rounds = 0, idle_rounds = 0;  // of a worker
  };
  // What went by since the last look, a second.
  uint64_t RateOf(const std::string& key, uint64_t value, bool bytes,
                  uint64_t age) const;
  TopRow StateRow(const nlohmann::json& state) const;
  TopRow PortRow(const nlohmann::json& port) const;
  TopRow RuleRow(const nlohmann::json& rule) const;
  TopRow ReasonRow(const nlohmann::json& counter) const;
  TopRow FilterRow(const nlohmann::json& filter) const;
  TopRow WorkerRow(const nlohmann::json& worker) const;

  TopView view_ = TopView::kStates;
  std::vector<std::string> titles_;
  std::vector<TopRow> rows_;
  std::map<std::string, Seen, std::less<>> before_;
  uint64_t elapsed_ms_ = 0;  // since the look before; 0: there was none
  uint64_t last_ms_ = 0;
};

// "1234", "12.3K", "45.6M": at most five characters.
std::string Short(uint64_t number);
// "59s", "12m", "3h05", "5d".
std::string ShortTime(uint64_t seconds);

// A line for the titles, then one a row, each as wide as `width` at most: the
// widest columns give way. Control characters become '?'.
std::vector<std::string> LayOut(TopView view,
                                const std::vector<std::string>& titles,
                                const std::vector<TopRow>& rows, size_t width);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_SLUICECTL_TOP_VIEW_H_
