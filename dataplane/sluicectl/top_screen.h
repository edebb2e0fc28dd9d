// The terminal of `sluicectl top`: a full screen by ncurses, without colour.
#ifndef SLUICE_DATAPLANE_SLUICECTL_TOP_SCREEN_H_
#define SLUICE_DATAPLANE_SLUICECTL_TOP_SCREEN_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace sluice {

class TopScreen {
 public:
  static constexpr int kNothing = -1;
  static constexpr int kUp = 0x1001, kDown = 0x1002, kPageUp = 0x1003,
                       kPageDown = 0x1004, kLeft = 0x1005, kRight = 0x1006,
                       kResized = 0x1007, kHome = 0x1008;

  // The terminal as it was comes back with the end of it. FailedPrecondition:
  // there is none that this could be shown on.
  static absl::StatusOr<std::unique_ptr<TopScreen>> Open();
  ~TopScreen();
  TopScreen(const TopScreen&) = delete;
  TopScreen& operator=(const TopScreen&) = delete;

  size_t width() const;
  size_t height() const;

  // The lines from the top; the one numbered `title` stands out. What does not
  // fit is cut. `bottom`: the last line of the screen.
  void Draw(const std::vector<std::string>& lines, size_t title,
            const std::string& bottom);
  // A key, or kNothing after so many milliseconds.
  int Key(int milliseconds);
  // What is typed at the bottom, up to Enter; Escape gives `old` back.
  std::string Ask(const std::string& prompt, const std::string& old);

 private:
  TopScreen() = default;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_SLUICECTL_TOP_SCREEN_H_
