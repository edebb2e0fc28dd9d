// Names of interfaces, tables and queues: those that a ruleset uses, and
// whether anything defines them. Internal to the language front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_CHECK_NAMES_H_
#define SLUICE_PFTABLE_LANGUAGE_CHECK_NAMES_H_

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "pftable/host/host_facts.h"
#include "pftable/language/policy_draft.h"
#include "pftable/language/token_reader.h"

namespace sluice {

class Names {
 public:
  // All outlive this.
  Names(TokenReader& in, const PolicyDraft& draft, const HostFacts& facts)
      : in_(in), draft_(draft), facts_(facts) {}

  void UseInterface(const std::string& name, SourcePlace place);
  // What is said of it already need not be said again.
  void ForgetInterface(const std::string& name) { interface_uses_.erase(name); }
  void UseTable(const std::string& name, SourcePlace place);
  void UseQueue(const std::string& name, SourcePlace place);
  void DefineQueue(const std::string& name, const std::string& parent);
  // A file could not be read: what it defines is not known.
  void MissDefinitions() { misses_definitions_ = true; }

  // Of the queues that are defined so far.
  bool HasQueue(std::string_view name) const { return queues_.contains(name); }
  std::vector<std::string_view> QueueNames() const {
    return {queues_.begin(), queues_.end()};
  }
  // Those that are known, and their groups, without repetitions.
  std::vector<std::string_view> InterfaceNames() const;
  std::string InterfaceHint(std::string_view name) const;

  // At the end: warns of what is used before or without a definition.
  void Check();

 private:
  TokenReader& in_;
  const PolicyDraft& draft_;
  const HostFacts& facts_;
  std::set<std::string, std::less<>> queues_;
  std::set<std::string, std::less<>> parent_queues_;  // that have children
  // The first use of each name.
  std::map<std::string, SourcePlace, std::less<>> interface_uses_;
  std::map<std::string, SourcePlace, std::less<>> table_uses_;
  std::map<std::string, SourcePlace, std::less<>> queue_uses_;
  bool misses_definitions_ = false;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_CHECK_NAMES_H_
