// The numbers of ports that are no more, and of tags that nobody uses.
#include <memory>
#include <utility>
#include <vector>

#include "dataplane/filters/filter_registry.h"
#include "dataplane/workers/state_orders.h"
#include "dataplane/workers/worker.h"

namespace sluice {

// Whoever has resolved a name and may make a state of it (rules, a restore)
// holds the registry's epoch, so that Gone() does not have that port; and no
// packet comes by it. So what no worker finds among its states now none will
// have later.
void FilterRegistry::ForgetInterfaces(size_t least) {
  InterfaceRegistry* const interfaces = environment_.interfaces;
  if (forgetting_ || interfaces->gone_count() < least ||
      environment_.workers.empty()) {
    return;
  }
  struct Look {
    std::vector<InterfaceRegistry::GonePort> gone;
    size_t left = 0;  // workers
  };
  auto look = std::make_shared<Look>();
  look->gone = interfaces->Gone();
  look->left = environment_.workers.size();
  forgetting_ = true;
  forgot_at_ = last_look_;
  for (Worker* worker : environment_.workers) {
    worker->mailbox().Post(std::make_unique<NumbersOrder>(
        std::nullopt,
        [this, look, interfaces](const NumbersOrder::Numbers& remembered) {
          std::erase_if(look->gone,
                        [&](const InterfaceRegistry::GonePort& port) {
                          return (remembered[port.id / 64] >> port.id % 64 &
                                  1) != 0;
                        });
          if (--look->left != 0) return;
          interfaces->Forget(look->gone);
          gone_interfaces_ = interfaces->gone_count();
          forgetting_ = false;
        }));
  }
}

struct FilterRegistry::TagLook {
  std::shared_ptr<LiveFilter> filter;
  std::vector<TagRegistry::IdleTag> idle;
  size_t left = 0;   // workers
  int rounds = 2;
};

void FilterRegistry::ForgetTags(const std::shared_ptr<LiveFilter>& filter) {
  TagRegistry& tags = filter->store().tags();
  if (forgetting_tags_ || environment_.workers.empty() ||
      !tags.IsWorthALook()) {
    return;
  }
  auto look = std::make_shared<TagLook>();
  look->filter = filter;
  look->idle = tags.Idle();
  forgetting_tags_ = true;
  LookForTags(look);
}

// Twice: a child that one worker makes by its parent's expectation has the tag
// of a state that another worker may have ended before it was looked at there.
// After the first look there is neither such a parent nor what it expected.
void FilterRegistry::LookForTags(const std::shared_ptr<TagLook>& look) {
  look->left = environment_.workers.size();
  for (Worker* worker : environment_.workers) {
    worker->mailbox().Post(std::make_unique<NumbersOrder>(
        look->filter->number(),
        [this, look](const NumbersOrder::Numbers& remembered) {
          std::erase_if(look->idle, [&](const TagRegistry::IdleTag& tag) {
            return (remembered[tag.tag / 64] >> tag.tag % 64 & 1) != 0;
          });
          if (--look->left != 0) return;
          if (--look->rounds != 0) return LookForTags(look);
          look->filter->store().tags().Forget(look->idle);
          forgetting_tags_ = false;
        }));
  }
}

}  // namespace sluice
