// top: states, ports, rules, drop reasons, filters and workers, again and again. The
// daemon is asked for one view at a time and for no more than a bounded number
// of its things.
#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dataplane/control/socket/json_rpc.h"
#include "dataplane/sluicectl/json_read.h"
#include "dataplane/sluicectl/packet_words.h"
#include "dataplane/sluicectl/tool.h"
#include "dataplane/sluicectl/top_screen.h"
#include "dataplane/sluicectl/top_view.h"

namespace sluice {
namespace {

using nlohmann::json;

// Of states and rules, looked at in one look.
constexpr size_t kMostStatesShown = 1000;
constexpr size_t kMostPages = 8;
constexpr int kStepMs = 100;

uint64_t NowMs() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(
          std::chrono::steady_clock::now().time_since_epoch())
          .count());
}

// What the daemon can sort by.
const char* SortOf(std::string_view order) {
  for (const char* name : {"bytes", "packets", "age", "rate"}) {
    if (order == name) return name;
  }
  return "rate";
}

class Top {
 public:
  Top(Caller* caller, std::string filter, TopView view, size_t order)
      : caller_(*caller),
        filter_(std::move(filter)),
        view_(view),
        order_(order) {}

  // False: error() says why.
  bool Look() {
    json answer = json::array();
    left_out_ = false;
    const bool ok = view_ == TopView::kStates    ? AskStates(&answer)
                    : view_ == TopView::kRules   ? Pages("rules.show", "rules", &answer)
                    : view_ == TopView::kPorts   ? Pages("port.list", "ports", &answer)
                    : view_ == TopView::kFilters ? Pages("filter.list", "filters", &answer)
                                                 : true;
    if (!ok || !AskInfo(&answer)) return false;
    if (view_ == TopView::kWorkers && !AskWorkers(&answer)) return false;
    error_.clear();
    model_.Take(view_, answer, NowMs());
    return true;
  }

  void Show(TopView view) {
    view_ = view;
    order_ = 0;
    first_ = 0;
    reverse_ = false;
  }
  void NextView(int step) {
    const int views = static_cast<int>(kTopViews);
    Show(static_cast<TopView>((static_cast<int>(view_) + step + views) %
                              views));
  }
  // Whether it is one.
  bool OrderBy(int key) {
    if (key < 0 || key > 127) return false;
    const auto order = TopOrderOfKey(view_, static_cast<char>(key));
    if (!order) return false;
    order_ = *order;
    return true;
  }
  void NextOrder() { order_ = (order_ + 1) % OrdersOf(view_).size(); }
  void Reverse() { reverse_ = !reverse_; }
  void Scroll(int rows) {
    const auto size = static_cast<int64_t>(model_.size());
    const int64_t to = static_cast<int64_t>(first_) + rows;
    first_ = static_cast<size_t>(std::clamp<int64_t>(to, 0, std::max<int64_t>(size - 1, 0)));
  }
  void set_match(std::string match) { match_ = std::move(match); }
  const std::string& match() const { return match_; }
  const std::string& error() const { return error_; }
  int32_t error_code() const { return error_code_; }
  TopView view() const { return view_; }

  std::vector<TopRow> Rows(size_t limit) const {
    return model_.Sorted(order_, reverse_, match_, limit);
  }
  const std::vector<std::string>& titles() const { return model_.titles(); }

  // Two lines about it, the titles, and as many rows as there is room for.
  std::vector<std::string> Lines(size_t width, size_t room, bool paused) const {
    std::vector<TopRow> rows = Rows(first_ + room);
    rows.erase(rows.begin(),
               rows.begin() + static_cast<std::ptrdiff_t>(
                                  std::min(first_, rows.size())));
    std::vector<std::string> lines = {
        absl::StrCat("sluice ", Named(), "  states ", Number(info_, "states"),
                     "  passed or blocked by rules ", Number(info_, "decided"),
                     "  generation ", Number(info_, "generation"),
                     Truth(info_, "enabled") ? "" : "  DISABLED"),
        absl::StrCat(std::string(Name(view_)), " by ",
                     std::string(OrdersOf(view_)[order_].name),
                     reverse_ ? ", reversed" : "",
                     match_.empty() ? "" : absl::StrCat(", with \"", match_, "\""),
                     left_out_ ? absl::StrCat(", of the first ", model_.size())
                               : "",
                     paused ? ", paused" : "",
                     error_.empty() ? "" : absl::StrCat("  ERROR: ", error_))};
    for (std::string& line : lines) line.resize(std::min(line.size(), width));
    for (std::string& line : LayOut(view_, model_.titles(), rows, width)) {
      lines.push_back(std::move(line));
    }
    return lines;
  }

  json ToJson(size_t limit) const {
    json rows = json::array();
    for (const TopRow& row : Rows(limit)) {
      json one = {{"key", row.key}, {"cells", row.cells}};
      for (const auto& [name, value] : row.numbers) {
        one["numbers"][name] = value;
      }
      rows.push_back(std::move(one));
    }
    return {{"filter", Named()},
            {"view", std::string(Name(view_))},
            {"order", std::string(OrdersOf(view_)[order_].name)},
            {"titles", model_.titles()},
            {"whole", !left_out_},
            {"rows", std::move(rows)}};
  }

 private:
  std::string Named() const { return filter_.empty() ? "main" : filter_; }

  std::unique_ptr<json> Ask(const char* method, json params) {
    if (!filter_.empty()) params["filter"] = filter_;
    CallError error;
    auto answer = caller_.Call(method, std::move(params), &error);
    if (answer == nullptr) {
      error_ = error.message;
      error_code_ = error.code;
    }
    return answer;
  }

  bool AskInfo(json* answer) {
    const auto info = Ask("info.show", json::object());
    if (info == nullptr) return false;
    info_ = *info;
    if (view_ == TopView::kReasons) *answer = Member(info_, "drop_counters");
    return true;
  }

  bool AskWorkers(json* answer) {
    // They are no filter's.
    const std::string filter = std::exchange(filter_, "");
    const auto process = Ask("process.show", json::object());
    filter_ = filter;
    if (process != nullptr) {
      *answer = Member(*process, "workers");
      return true;
    }
    if (error_code_ == static_cast<int32_t>(RpcError::kMethodNotFound)) {
      error_ = "this daemon does not tell of its workers";
    }
    return false;
  }

  bool AskStates(json* answer) {
    // The first ones by that order, if the daemon can tell them.
    if (daemon_sorts_) {
      const auto page =
          Ask("states.show", {{"sort", SortOf(OrdersOf(view_)[order_].name)},
                              {"limit", kMostStatesShown}});
      if (page != nullptr) {
        *answer = Member(*page, "states");
        left_out_ = answer->size() == kMostStatesShown;
        return true;
      }
      if (error_code_ != static_cast<int32_t>(RpcError::kInvalidParams)) {
        return false;
      }
      daemon_sorts_ = false;
    }
    return Pages("states.show", "states", answer);
  }

  bool Pages(const char* method, const char* name, json* answer) {
    // Ports and filters are all the daemon's, whichever filter is looked at.
    const bool of_filter = view_ == TopView::kStates || view_ == TopView::kRules;
    const std::string filter = std::exchange(filter_, of_filter ? filter_ : "");
    json params = json::object();
    bool ok = true;
    for (size_t i = 0; i < kMostPages; ++i) {
      const auto page = Ask(method, params);
      ok = page != nullptr;
      if (!ok) break;
      for (const json& one : Member(*page, name)) answer->push_back(one);
      std::string next = Text(*page, "next");
      left_out_ = !next.empty();
      if (next.empty()) break;
      params["cursor"] = std::move(next);
    }
    filter_ = filter;
    return ok;
  }

  Caller& caller_;
  std::string filter_;
  TopView view_;
  size_t order_;
  bool reverse_ = false;
  size_t first_ = 0;
  std::string match_;
  bool left_out_ = false;
  bool daemon_sorts_ = true;
  json info_;
  std::string error_;
  int32_t error_code_ = 0;
  TopModel model_;
};

constexpr char kKeys[] =
    "q quit  v view (1-6)  o order  r reverse  f find  p pause  s seconds  h keys";

std::vector<std::string> HelpLines() {
  std::vector<std::string> lines = {
      "Keys of sluicectl top",
      "",
      "  1-6, v, left, right   states, ports, rules, reasons, filters, workers",
      "  o   the next order     r   reverse it",
      "  f   only what has a text in it (empty: all)",
      "  s   seconds between looks        p   pause",
      "  up, down, page up, page down, home   scroll",
      "  space   look now       q   end",
      "",
      "Orders:"};
  for (size_t i = 0; i < kTopViews; ++i) {
    const auto view = static_cast<TopView>(i);
    std::string line = absl::StrCat("  ", std::string(Name(view)), ":");
    for (const TopOrder& order : OrdersOf(view)) {
      absl::StrAppend(&line, " ", std::string(1, order.key), "=",
                      std::string(order.name));
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace

bool Tool::ShowTop() {
  const Command& c = *arguments_.command;
  TopView view = TopView::kStates;
  if (!c.name.empty()) {
    const auto named = TopViewNamed(c.name);
    if (!named) {
      return Fail(absl::StrCat("'", c.name, "' is no view: say states, ports, "
                               "rules, reasons, filters or workers"));
    }
    view = *named;
  }
  size_t order = 0;
  if (!c.sort.empty()) {
    const auto named = TopOrderNamed(view, c.sort);
    if (!named) {
      std::string known;
      for (const TopOrder& one : OrdersOf(view)) {
        absl::StrAppend(&known, known.empty() ? "" : ", ",
                        std::string(one.name));
      }
      return Fail(absl::StrCat("--sort: ", std::string(Name(view)),
                               " are sorted by ", known));
    }
    order = *named;
  }
  uint32_t seconds = c.seconds.value_or(2);
  Top top(caller_, c.trace_filter, view, order);
  top.set_match(c.match);
  if (c.once) {
    // Two looks, when rates are wanted of what has no age.
    if (!top.Look()) return Fail(top.error());
    if (c.seconds) {
      std::this_thread::sleep_for(std::chrono::seconds(seconds));
      if (!top.Look()) return Fail(top.error());
    }
    const size_t limit = c.limit.value_or(50);
    output_.Put("top", top.ToJson(limit));
    constexpr size_t kWide = 160;
    for (const std::string& line : top.Lines(kWide, limit, false)) {
      output_.Print(line + "\n");
    }
    return true;
  }
  if (output_.json()) return Fail("--json goes with --once");
  // An answer before the screen is taken: errors are seen.
  if (!top.Look()) return Fail(top.error());
  absl::StatusOr<std::unique_ptr<TopScreen>> opened = TopScreen::Open();
  if (!opened.ok()) return Fail(std::string(opened.status().message()));
  TopScreen& screen = **opened;
  bool paused = false;
  bool help = false;
  uint64_t next = NowMs() + uint64_t{1000} * seconds;
  for (;;) {
    const size_t room = screen.height() > 4 ? screen.height() - 4 : 1;
    screen.Draw(help ? HelpLines() : top.Lines(screen.width(), room, paused),
                help ? 0 : 2, help ? "any key goes back" : kKeys);
    int key = TopScreen::kNothing;
    while (key == TopScreen::kNothing &&
           (paused || help || NowMs() < next)) {
      key = screen.Key(kStepMs);
    }
    bool look = key == TopScreen::kNothing;
    if (help && key != TopScreen::kResized) {
      help = false;
      continue;
    }
    switch (key) {
      case 'q':
      case 3:  // control-C, if it comes as a key
        return true;
      case 'h':
      case '?':
        help = true;
        break;
      case 'v':
      case TopScreen::kRight:
      case TopScreen::kLeft:
        top.NextView(key == TopScreen::kLeft ? -1 : 1);
        look = true;
        break;
      case '1':
      case '2':
      case '3':
      case '4':
      case '5':
      case '6':
        top.Show(static_cast<TopView>(key - '1'));
        look = true;
        break;
      case 'o':
        top.NextOrder();
        look = top.view() == TopView::kStates;
        break;
      case 'r':
        top.Reverse();
        break;
      case 'f':
      case '/':
        top.set_match(screen.Ask("only with: ", top.match()));
        break;
      case 's': {
        const std::string text =
            screen.Ask("seconds between looks: ", absl::StrCat(seconds));
        if (const auto number = ReadNumber(text, 3600); number && *number > 0) {
          seconds = *number;
        }
        break;
      }
      case 'p':
        paused = !paused;
        break;
      case ' ':
        look = true;
        break;
      case TopScreen::kUp:
        top.Scroll(-1);
        break;
      case TopScreen::kDown:
        top.Scroll(1);
        break;
      case TopScreen::kPageUp:
        top.Scroll(-static_cast<int>(room));
        break;
      case TopScreen::kPageDown:
        top.Scroll(static_cast<int>(room));
        break;
      case TopScreen::kHome:
        top.Scroll(-1'000'000);
        break;
      default:
        if (top.OrderBy(key)) look = top.view() == TopView::kStates;
        break;
    }
    if (look) {
      top.Look();  // what is wrong stands on the screen
      next = NowMs() + uint64_t{1000} * seconds;
    }
  }
}

}  // namespace sluice
