#include "dataplane/sluicectl/top_screen.h"

// Its functions, not its macros, whose names (timeout, clear) others have too.
#define NCURSES_NOMACROS
#include <ncurses.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

constexpr int kEscape = 27;
constexpr size_t kLongestAnswer = 200;

SCREEN* g_screen = nullptr;  // ncurses has one a process

}  // namespace

absl::StatusOr<std::unique_ptr<TopScreen>> TopScreen::Open() {
  if (::isatty(STDIN_FILENO) == 0 || ::isatty(STDOUT_FILENO) == 0) {
    return absl::FailedPreconditionError(
        "top needs a terminal; --once prints one look");
  }
  // initscr() would end the program.
  g_screen = ::newterm(nullptr, stdout, stdin);
  if (g_screen == nullptr) {
    const char* const term = std::getenv("TERM");
    return absl::FailedPreconditionError(
        absl::StrCat("the terminal is not known (TERM=",
                     term != nullptr ? term : "", "); --once prints one look"));
  }
  ::set_term(g_screen);
  ::cbreak();
  ::noecho();
  ::nonl();
  ::keypad(stdscr, TRUE);
  ::set_escdelay(50);
  ::curs_set(0);
  return std::unique_ptr<TopScreen>(new TopScreen());
}

TopScreen::~TopScreen() {
  ::endwin();
  ::delscreen(g_screen);
  g_screen = nullptr;
}

size_t TopScreen::width() const {
  return static_cast<size_t>(std::max(getmaxx(stdscr), 1));
}
size_t TopScreen::height() const {
  return static_cast<size_t>(std::max(getmaxy(stdscr), 1));
}

void TopScreen::Draw(const std::vector<std::string>& lines, size_t title,
                     const std::string& bottom) {
  ::erase();
  const int wide = static_cast<int>(width());
  const size_t high = height();
  for (size_t i = 0; i < lines.size() && i + 1 < high; ++i) {
    if (i == title) ::attron(A_REVERSE);
    std::string line = lines[i];
    if (i == title) line.resize(std::max(line.size(), width()), ' ');
    mvaddnstr(static_cast<int>(i), 0, line.c_str(), wide);
    if (i == title) ::attroff(A_REVERSE);
  }
  // The last cell of a terminal may make it scroll.
  mvaddnstr(static_cast<int>(high) - 1, 0, bottom.c_str(), wide - 1);
  ::refresh();
}

int TopScreen::Key(int milliseconds) {
  ::timeout(milliseconds);
  const int key = ::getch();
  switch (key) {
    case ERR:
      return kNothing;
    case KEY_UP:
      return kUp;
    case KEY_DOWN:
      return kDown;
    case KEY_PPAGE:
      return kPageUp;
    case KEY_NPAGE:
      return kPageDown;
    case KEY_LEFT:
      return kLeft;
    case KEY_RIGHT:
      return kRight;
    case KEY_HOME:
      return kHome;
    case KEY_RESIZE:
      return kResized;
    default:
      return key;
  }
}

std::string TopScreen::Ask(const std::string& prompt, const std::string& old) {
  std::string answer;
  ::timeout(-1);
  ::curs_set(1);
  for (;;) {
    const int row = static_cast<int>(height()) - 1;
    ::move(row, 0);
    ::clrtoeol();
    mvaddnstr(row, 0, absl::StrCat(prompt, answer).c_str(),
              static_cast<int>(width()) - 1);
    ::refresh();
    const int key = ::getch();
    if (key == ERR || key == kEscape) {
      answer = old;
      break;
    }
    if (key == '\r' || key == '\n' || key == KEY_ENTER) break;
    if (key == KEY_BACKSPACE || key == 0x7f || key == '\b') {
      if (!answer.empty()) answer.pop_back();
    } else if (key >= ' ' && key < 0x7f && answer.size() < kLongestAnswer) {
      answer += static_cast<char>(key);
    }
  }
  ::curs_set(0);
  return answer;
}

}  // namespace sluice
