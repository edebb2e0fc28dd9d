// Anchors that are called more than once: a body is printed so that the text
// reads back to the same rules, once each.
#include "tests/unit/pftable/language/language_accept.h"

namespace sluice {
namespace {

constexpr Accepted kAnchors[] = {
    {"NamedBodyUnderAList",
     "anchor \"web\" in proto tcp to port { 81 444 } { block label x }",
     "anchor \"web\" in proto tcp from any to any port = 81 {\n"
     "  block drop all label \"x\"\n}\n"
     "anchor \"web\" in proto tcp from any to any port = 444\n",
     nullptr},
    {"UnnamedBodyUnderAList",
     "anchor on { em0 em1 } { block quick label x }",
     "anchor on em0 all {\n  block drop quick all label \"x\"\n}\n"
     "anchor on em1 all {\n  block drop quick all label \"x\"\n}\n",
     nullptr},
    {"NamedBodyAndACallOfIt",
     "anchor \"a\" { block label x }\nanchor \"a\" out\n"
     "anchor \"b\" { anchor \"/a\" }",
     "anchor \"a\" all {\n  block drop all label \"x\"\n}\n"
     "anchor \"a\" out all\n"
     "anchor \"b\" all {\n  anchor \"/a\" all\n}\n",
     nullptr},
    {"TableInABodyUnderAList",
     "anchor \"a\" on { em0 em1 } { table <t> { 192.0.2.1 }\nblock from <t> }",
     "anchor \"a\" on em0 all {\n  table <t> { 192.0.2.1 }\n"
     "  block drop from <t> to any\n}\nanchor \"a\" on em1 all\n",
     nullptr},
    {"EtherBodyUnderAList",
     "ether anchor \"l2\" on { em0 em1 } { ether block }",
     "ether anchor \"l2\" on em0 l3 all {\n  ether block l3 all\n}\n"
     "ether anchor \"l2\" on em1 l3 all\n",
     nullptr},
    {"UnnamedBodiesInEachOther",
     "anchor on { em0 em1 } { anchor { block label x } }",
     "anchor on em0 all {\n  anchor all {\n    block drop all label \"x\"\n"
     "  }\n}\nanchor on em1 all {\n  anchor all {\n"
     "    block drop all label \"x\"\n  }\n}\n",
     nullptr},
};

INSTANTIATE_TEST_SUITE_P(Anchors, AcceptTest,
                         testing::Combine(testing::ValuesIn(kAnchors),
                                          testing::ValuesIn(kDialects)),
                         AcceptTestName);

}  // namespace
}  // namespace sluice
