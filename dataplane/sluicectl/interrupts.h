// What ends a command that goes on and on.
#ifndef SLUICE_DATAPLANE_SLUICECTL_INTERRUPTS_H_
#define SLUICE_DATAPLANE_SLUICECTL_INTERRUPTS_H_

#include <array>
#include <csignal>
#include <cstddef>

namespace sluice {

// While it lives, the first SIGINT, SIGTERM, SIGHUP or SIGPIPE ends nothing but
// is told, so that what is open can be closed; a second one of its kind does
// what it always did. A signal that was ignored stays ignored. One at a time.
class Interrupts {
 public:
  Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;
  ~Interrupts();

  bool came() const;

 private:
  static constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
  std::array<struct sigaction, kSignals.size()> before_ = {};
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_SLUICECTL_INTERRUPTS_H_
