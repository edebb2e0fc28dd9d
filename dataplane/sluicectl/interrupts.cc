#include "dataplane/sluicectl/interrupts.h"

namespace sluice {
namespace {

// Only handlers and one thread look at it.
volatile std::sig_atomic_t came_already = 0;

void NoteInterrupt(int /*signal*/) { came_already = 1; }

}  // namespace

Interrupts::Interrupts() {
  came_already = 0;
  struct sigaction note = {};
  note.sa_handler = NoteInterrupt;
  // A request that is under way gets its answer.
  note.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);
  for (size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], nullptr, &before_[i]);
    if (before_[i].sa_handler != SIG_IGN) {
      sigaction(kSignals[i], &note, nullptr);
    }
  }
}

Interrupts::~Interrupts() {
  for (size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], &before_[i], nullptr);
  }
}

bool Interrupts::came() const { return came_already != 0; }

}  // namespace sluice
