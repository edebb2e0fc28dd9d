#include "pftable/language/altq.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>

namespace sluice {
namespace {

// "10Mb", "1.50Mb": at most two digits behind the point, as pfctl has it.
std::string AltqRateText(uint64_t rate) {
  constexpr std::string_view kUnits[] = {"", "K", "M", "G"};
  double value = static_cast<double>(rate);
  size_t unit = 0;
  while (unit < 3 && value >= 1000) {
    value /= 1000;
    ++unit;
  }
  std::array<char, 32> text;
  const bool whole = static_cast<int64_t>(value * 100) % 100 == 0;
  const int length =
      whole ? std::snprintf(text.data(), text.size(), "%lld",
                            static_cast<long long>(value))
            : std::snprintf(text.data(), text.size(), "%.2f", value);
  return std::string(text.data(), static_cast<size_t>(length)) +
         std::string(kUnits[unit]) + "b";
}

std::string AltqCurveText(std::string_view name, const AltqCurve& curve) {
  std::string out = " " + std::string(name);
  if (curve.milliseconds == 0) return out + " " + curve.second.Text();
  return out + "(" + curve.first.Text() + " " +
         std::to_string(curve.milliseconds) + " " + curve.second.Text() + ")";
}

}  // namespace

uint64_t AltqBandwidth::Of(uint64_t above) const {
  if (absolute > 0) return std::min(absolute, above);
  return above / 100 * static_cast<uint64_t>(percent);
}

std::string AltqBandwidth::Text() const {
  return percent > 0 ? std::to_string(percent) + "%" : AltqRateText(absolute);
}

std::string AltqScheduler::OptionsText(uint64_t bandwidth,
                                       uint64_t above) const {
  std::string options;
  constexpr std::string_view kFlags[] = {"red",   "ecn",    "rio",
                                         "codel", "borrow", "default"};
  for (std::string_view flag : kFlags) {
    if (flags.contains(flag)) options += " " + std::string(flag);
  }
  if (realtime.is_set) options += AltqCurveText("realtime", realtime);
  // One that says what the bandwidth says is not shown.
  if (linkshare.is_set && (linkshare.milliseconds != 0 ||
                           linkshare.second.Of(above) != bandwidth)) {
    options += AltqCurveText("linkshare", linkshare);
  }
  if (upperlimit.is_set) options += AltqCurveText("upperlimit", upperlimit);
  if (target != 0) options += " target " + std::to_string(target);
  if (interval != 0) options += " interval " + std::to_string(interval);
  return options.empty() ? "" : name + "(" + options + " ) ";
}

bool IsAltqScheduler(std::string_view word) {
  constexpr std::string_view kSchedulers[] = {"cbq",   "priq",  "hfsc",
                                              "fairq", "codel", "codelq"};
  return std::find(std::begin(kSchedulers), std::end(kSchedulers), word) !=
         std::end(kSchedulers);
}

int64_t AltqTokenBucket(uint64_t rate) {
  constexpr int64_t kMtu = 1500;
  int64_t packets = 128;
  if (rate <= 2'500'000'000) packets = 24;
  if (rate <= 200'000'000) packets = 8;
  if (rate <= 10'000'000) packets = 4;
  if (rate <= 1'000'000) packets = 1;
  return packets * kMtu;
}

}  // namespace sluice
