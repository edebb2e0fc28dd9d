// What FreeBSD's pf.conf says of ALTQ, and its form in pfctl's print. Internal
// to the language front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_ALTQ_H_
#define SLUICE_PFTABLE_LANGUAGE_ALTQ_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

inline constexpr int64_t kAltqPriority = 1;
inline constexpr int64_t kAltqLimit = 50;

// A share of what is above it, or bits a second.
struct AltqBandwidth {
  int percent = 0;
  uint64_t absolute = 0;

  uint64_t Of(uint64_t above) const;
  std::string Text() const;
};

// A service curve: `first` for some milliseconds, and then `second`.
struct AltqCurve {
  bool is_set = false;
  AltqBandwidth first, second;
  int64_t milliseconds = 0;
};

struct AltqScheduler {
  std::string name;  // empty: that of the interface
  std::set<std::string, std::less<>> flags;
  AltqCurve realtime, linkshare, upperlimit;
  int64_t target = 0, interval = 0;  // of codel

  // "hfsc( default realtime 1Mb ) ", or nothing if it has no options. A queue
  // has `bandwidth`, below one of `above`.
  std::string OptionsText(uint64_t bandwidth, uint64_t above) const;
};

struct AltqDefinition {
  std::vector<std::string> interfaces;
  AltqScheduler scheduler;
  AltqBandwidth bandwidth{.percent = 100};
  int64_t priority = kAltqPriority;
  int64_t limit = kAltqLimit;
  int64_t token_bucket = 0;
  std::vector<std::string> children;
  bool has_children = false;
};

// Where a queue was announced: by an interface or by the queue above it.
struct AltqParent {
  std::string queue, parent, interface, scheduler;
};

struct AltqState {
  struct Interface {
    std::string scheduler;
    uint64_t bandwidth = 0;
    std::set<int64_t> priorities;  // of priq, each once
  };
  std::map<std::string, Interface, std::less<>> interfaces;
  std::vector<AltqParent> announced;
  // By interface and name; the root of an interface has no name.
  std::map<std::pair<std::string, std::string>, uint64_t> bandwidths;
};

bool IsAltqScheduler(std::string_view word);

// The bytes of a token bucket that pfctl takes for an interface's rate.
int64_t AltqTokenBucket(uint64_t rate);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_ALTQ_H_
