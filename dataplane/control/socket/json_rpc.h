// JSON-RPC 2.0 (https://www.jsonrpc.org/specification), one object a line.
#ifndef SLUICE_DATAPLANE_CONTROL_SOCKET_JSON_RPC_H_
#define SLUICE_DATAPLANE_CONTROL_SOCKET_JSON_RPC_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "nlohmann/json_fwd.hpp"
#include "pftable/policy/diagnostic.h"

namespace sluice {

// Codes of errors: the specification's, then our own.
enum class RpcError : int32_t {
  kParse = -32700,
  kInvalidRequest = -32600,
  kMethodNotFound = -32601,
  kInvalidParams = -32602,
  kInternal = -32603,
  kRefused = -32000,         // the filter does not do it; the message says why
  kTooLarge = -32001,        // the message; the connection is closed
  kTooManyClients = -32002,  // the connection is closed
  kNotAllowed = -32003,      // the user has not the role for it, or none
  kBusy = -32004,            // try again
  kRuleset = -32005,         // `data` holds what is wrong with the ruleset
  kNotFound = -32006,        // no such table, state, ...
  kMoved = -32007,           // the listing is outdated: start again
};

// JSON nested deeper than this is refused before it is built.
inline constexpr int kMaxJsonDepth = 16;

// A text as JSON; discarded if it is none. Of an object that has a key twice
// the readers of the world keep one value or the other: `twice` says where
// there is one, "params.filter", and is empty otherwise.
nlohmann::json ParseJson(std::string_view text, std::string* twice);

// On one line. Bytes that are no UTF-8 (file names, lines of rulesets) are
// replaced; a throw here would take the control lcore down.
std::string Dump(const nlohmann::json& value);

// The code for a failed operation.
RpcError CodeOf(const absl::Status& status);

// A line (without newline) that answers an unknown request, with "id": null.
std::string ErrorLine(RpcError code, std::string_view message);
// The same for the request with this id, the diagnostics in `data`.
std::string ErrorLine(const nlohmann::json& id, RpcError code,
                      std::string_view message,
                      const std::vector<Diagnostic>& diagnostics = {});
// A line that answers a request with its result.
std::string ResultLine(const nlohmann::json& id, nlohmann::json result);

// {"severity", "file", "line", "column", "message", "source_line", "hint"};
// the last two only if they are not empty.
nlohmann::json ToJson(const Diagnostic& diagnostic);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_CONTROL_SOCKET_JSON_RPC_H_
