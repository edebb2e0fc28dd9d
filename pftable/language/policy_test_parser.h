// Reads tests of a policy: statements in policy_test.cc, what their packets are
// like in policy_test_head.cc, and options with what is expected of them in
// policy_test_options.cc. Internal to the language front-end.
#ifndef SLUICE_PFTABLE_LANGUAGE_POLICY_TEST_PARSER_H_
#define SLUICE_PFTABLE_LANGUAGE_POLICY_TEST_PARSER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pftable/host/host_facts.h"
#include "pftable/language/messages.h"
#include "pftable/language/parse_port.h"
#include "pftable/language/policy_test.h"
#include "pftable/language/token_reader.h"
#include "pftable/policy/source_lines.h"

namespace sluice {

class PolicyTestParser {
 public:
  PolicyTestParser(ParseInput input, PolicyTest* test)
      : input_(std::move(input)),
        facts_(input_.facts != nullptr ? *input_.facts : no_facts_),
        result_{.policy = Policy(input_.dialect),
                .diagnostics = {},
                .truncated = false},
        messages_(input_, result_),
        in_(input_, messages_),
        ports_(in_, facts_),
        test_(*test) {}

  void Run();

 private:
  void Finish();
  bool EndStatement();
  // To the end of the line, and of a list that is open there.
  void Recover();
  bool ParseStatement();
  // As in a ruleset.
  bool ParseMacro(const Token& name);
  bool ParseExpectation(SourcePlace place);
  // Says that the option stands there twice, or takes note of it.
  bool Once(const Token& word, int bit);
  // What only makes sense together.
  bool Check(Expectation* e, SourcePlace place);

  // What a packet is like.
  bool ParseHead(Expectation* e);
  bool ParseReceivedOn(Expectation* e);
  bool NoValue(const char* what);
  bool ParseProtocol(std::vector<uint8_t>* protocols);
  bool ParseEnd(std::vector<AddressSpan>* addresses,
                std::vector<PortSpan>* ports);
  bool ParseAddressItem(std::vector<AddressSpan>* addresses);
  bool NoAddress(SourcePlace place, const std::string& text);
  bool AddNetwork(const Prefix& prefix, SourcePlace place,
                  std::vector<AddressSpan>* addresses);
  bool Add(const AddressSpan& span, SourcePlace place,
           std::vector<AddressSpan>* addresses);

  // Options.
  bool ParseOption(Expectation* e);
  Token Taken() { return in_.Take(); }
  bool ParseFlags(Expectation* e);
  bool ParseIcmp(Family family, std::vector<Expectation::Icmp>* all);
  bool TakeIcmpNumber(const char* what, std::optional<uint8_t> named,
                      uint8_t* out);
  bool ParseTos(uint8_t* tos);
  bool ParseReason(Expectation* e);
  bool ParseTarget(std::optional<Address>* address,
                   std::optional<uint16_t>* port);

  ParseInput input_;
  const HostFacts no_facts_;
  const HostFacts& facts_;
  ParseResult result_;
  Messages messages_;
  TokenReader in_;
  PortParser ports_;
  PolicyTest& test_;
  const SourceLines* lines_ = nullptr;
  uint32_t given_ = 0;  // options of the present statement
  uint64_t packets_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_PFTABLE_LANGUAGE_POLICY_TEST_PARSER_H_
