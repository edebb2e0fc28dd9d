// Words of the command line that say what a packet is.
#ifndef SLUICE_DATAPLANE_SLUICECTL_PACKET_WORDS_H_
#define SLUICE_DATAPLANE_SLUICECTL_PACKET_WORDS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "nlohmann/json_fwd.hpp"

namespace sluice {

// None: it is no number from 0 to `most`.
std::optional<uint32_t> ReadNumber(std::string_view text, uint32_t most);
// A name that rules use for it, or its number.
std::optional<uint32_t> ReadProtocol(std::string_view text);
// "HOST", "HOST:PORT", "[HOST]:PORT", ":PORT" in their parts, as they stand
// there; a host with several colons and no brackets has no port. False: a
// bracket or a port is missing.
bool SplitEnd(const std::string& text, std::string* host, std::string* port);
// A packet of rules.explain behind what that has answered: at the next end of
// the wire it is what rules have made of it.
void TakeTranslated(const nlohmann::json& answer, nlohmann::json* packet);
// The bytes of two digits each; empty if they are nothing such.
std::string FromHex(std::string_view digits);
// What is said of a word that ReadProtocol() does not take.
std::string UnknownProtocol(const std::string& text);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_SLUICECTL_PACKET_WORDS_H_
