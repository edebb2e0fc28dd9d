// The registry of interfaces and groups against maps of names: ports come and
// go under random names with random groups, and policies that have resolved
// names live for random times. To each of these a number means what it meant
// when the policy began, and there is room for a group whenever a model that
// counts names says so.
// SLUICE_PROPERTY_STEPS and SLUICE_PROPERTY_SEED change the work.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "pftable/engine/interface_registry.h"

namespace sluice {
namespace {

constexpr uint32_t kGroupNames = 90;
constexpr uint32_t kPortNames = 60;
constexpr size_t kMostPolicies = 5;
constexpr size_t kMostInterfaces = 40;
constexpr size_t kMostStates = 30;

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

class Runner {
 public:
  explicit Runner(uint64_t seed) : random_(seed) {}

  void Run(uint64_t steps) {
    for (uint64_t step = 0; step < steps; ++step) {
      switch (Below(12)) {
        case 8: Remember(); break;
        case 9:
          if (!states_.empty()) states_.erase(states_.begin());
          break;
        case 10: Look(); break;
        case 0:
        case 1:
        case 2:
        case 3: Add(); break;
        case 4:
        case 5: Remove(); break;
        case 6: Begin(); break;
        default: End(); break;
      }
      if (step % 2000 == 0) CheckAll();
      if (step % 8 == 0 && !policies_.empty()) {
        CheckOne(policies_[Below(policies_.size())]);
      }
      if (testing::Test::HasFatalFailure()) return;
    }
  }

  uint64_t refused = 0;
  uint64_t no_number = 0;
  uint64_t came_back = 0;

 private:
  struct Policy {
    std::shared_ptr<const Epoch> epoch;
    std::map<std::string, InterfaceName> names;
  };

  size_t Below(size_t n) { return random_() % n; }
  std::string Group() {
    return "group" + std::to_string(Below(kGroupNames)) + "x";
  }
  std::string Port() { return "port" + std::to_string(Below(kPortNames)); }

  std::set<std::string> Present() const {
    std::set<std::string> groups;
    for (const auto& [name, of] : ports_) groups.insert(of.begin(), of.end());
    return groups;
  }
  // Names of groups that are no more, and that a policy may still mean.
  std::set<std::string> Ghosts() const {
    std::set<std::string> ghosts;
    for (const auto& [name, since] : gone_) {
      for (const Policy& policy : policies_) {
        if (policy.epoch->version < since) ghosts.insert(name);
      }
    }
    return ghosts;
  }
  void NoteGone(const std::set<std::string>& before) {
    const std::set<std::string> now = Present();
    for (const std::string& name : before) {
      if (!now.contains(name)) gone_[name] = registry_.version();
    }
    for (const std::string& name : now) gone_.erase(name);
  }

  void Add() {
    const std::string port = Port();
    std::set<std::string> groups;
    // Now and then many at once, so that it gets full.
    const size_t count = Below(10) == 0 ? 12 : Below(4);
    for (size_t i = 0; i < count; ++i) groups.insert(Group());
    const std::set<std::string> before = Present();
    std::set<std::string> taken = before;
    taken.insert(groups.begin(), groups.end());
    const std::set<std::string> ghosts = Ghosts();
    for (const std::string& name : groups) {
      came_back += ghosts.contains(name) ? 1 : 0;
    }
    taken.insert(ghosts.begin(), ghosts.end());
    const bool number =
        numbers_.contains(port) || numbers_.size() < kMostInterfaces;
    const bool room =
        number && taken.size() <= InterfaceRegistry::kMaxGroups;
    const std::vector<std::string> list(groups.begin(), groups.end());
    const auto view = registry_.AddPort(port, list);
    ASSERT_EQ(view.ok(), room) << view.status();
    if (!view.ok()) {
      ASSERT_EQ(view.status().code(), absl::StatusCode::kResourceExhausted);
      ++(number ? refused : no_number);
      return;
    }
    ASSERT_EQ(std::popcount(view->groups), static_cast<int>(groups.size()));
    const auto [known, fresh] = numbers_.emplace(port, view->id);
    ASSERT_EQ(known->second, view->id);
    ports_[port] = groups;
    views_[port] = *view;
    NoteGone(before);
  }

  void Remove() {
    const std::string port = Port();
    const std::set<std::string> before = Present();
    ASSERT_EQ(registry_.RemovePort(port).ok(), ports_.erase(port) == 1);
    views_.erase(port);
    NoteGone(before);
  }

  // A state of some port.
  void Remember() {
    if (views_.empty() || states_.size() == kMostStates) return;
    auto view = views_.begin();
    std::advance(view, static_cast<ptrdiff_t>(Below(views_.size())));
    states_.push_back({view->first, view->second.id});
  }
  // Gives numbers back that nobody remembers.
  void Look() {
    std::vector<InterfaceRegistry::GonePort> gone = registry_.Gone();
    // Somebody may come back while one looks.
    if (Below(3) == 0) Add();
    if (Below(3) == 0) Remove();
    std::erase_if(gone, [&](const auto& port) {
      return std::any_of(
          states_.begin(), states_.end(),
          [&](const auto& state) { return state.second == port.id; });
    });
    registry_.Forget(gone);
    std::erase_if(numbers_, [&](const auto& known) {
      return registry_.NameOf(known.second) != known.first;
    });
    for (const auto& [port, groups] : ports_) {
      ASSERT_TRUE(numbers_.contains(port)) << port;
    }
    ASSERT_EQ(registry_.gone_count(), numbers_.size() - ports_.size());
  }

  void Begin() {
    if (policies_.size() == kMostPolicies) return;
    Policy& policy = policies_.emplace_back();
    policy.epoch = registry_.Hold();
    const std::set<std::string> present = Present();
    ASSERT_EQ(policy.epoch->version, registry_.version());
    for (uint32_t i = 0; i < kGroupNames; ++i) {
      const std::string name = "group" + std::to_string(i) + "x";
      policy.names[name] = registry_.Resolve(name);
      ASSERT_EQ(policy.names[name].groups != 0, present.contains(name));
    }
    for (uint32_t i = 0; i < kPortNames; ++i) {
      const std::string name = "port" + std::to_string(i);
      policy.names[name] = registry_.Resolve(name);
      ASSERT_EQ(policy.names[name].id != 0, ports_.contains(name));
    }
  }
  void End() {
    if (policies_.empty()) return;
    policies_.erase(policies_.begin() +
                    static_cast<ptrdiff_t>(Below(policies_.size())));
  }

  // What the policy has resolved matches the ports of that name now, and no
  // others.
  void CheckOne(const Policy& policy) {
    if (ports_.empty()) return;
    auto port = ports_.begin();
    std::advance(port, static_cast<ptrdiff_t>(Below(ports_.size())));
    Check(policy, port->first);
  }
  void Check(const Policy& policy, const std::string& port) {
    for (const auto& [name, means] : policy.names) {
      if (means.id == 0 && means.groups == 0) continue;
      ASSERT_EQ(means.Matches(views_.at(port)),
                name == port || ports_.at(port).contains(name))
          << name << " and " << port;
    }
  }
  void CheckAll() {
    uint64_t all = 0;
    int count = 0;
    for (const std::string& name : Present()) {
      const uint64_t bit = registry_.Resolve(name).groups;
      ASSERT_EQ(std::popcount(bit), 1) << name;
      all |= bit;
      ++count;
    }
    ASSERT_EQ(std::popcount(all), count) << "one bit for two groups";
    for (const Policy& policy : policies_) {
      for (const auto& [port, groups] : ports_) Check(policy, port);
    }
    ASSERT_EQ(registry_.Views().size(), ports_.size());
    for (const auto& [name, id] : states_) {
      ASSERT_EQ(registry_.NameOf(id), name);
    }
  }

  std::mt19937_64 random_;
  InterfaceRegistry registry_{kMostInterfaces};
  std::map<std::string, std::set<std::string>> ports_;
  std::map<std::string, InterfaceView> views_;
  std::map<std::string, uint16_t> numbers_;
  std::map<std::string, uint64_t> gone_;
  std::vector<Policy> policies_;
  std::vector<std::pair<std::string, uint16_t>> states_;
};

TEST(InterfaceProperty, NumbersMeanWhatTheyMeant) {
  const uint64_t seed = FromEnvironment("SLUICE_PROPERTY_SEED", 1);
  const uint64_t steps = FromEnvironment("SLUICE_PROPERTY_STEPS", 100'000);
  Runner runner(seed);
  runner.Run(steps);
  ASSERT_FALSE(testing::Test::HasFailure());
  // It was full at times, and names came back while policies knew them.
  EXPECT_GT(runner.refused, steps / 1000);
  EXPECT_GT(runner.came_back, steps / 1000);
  EXPECT_GT(runner.no_number, steps / 1000);
}

}  // namespace
}  // namespace sluice
