// Pieces of printed rules. Internal to the language front-end.
#ifndef SLUICE_PFTABLE_PRINT_PRINT_INTERNAL_H_
#define SLUICE_PFTABLE_PRINT_PRINT_INTERNAL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "pftable/print/printer.h"

namespace sluice {

enum class PoolUse : uint8_t { kNat, kRdr, kBinat, kRoute };

// Each of these appends to `out`.
void PrintPool(const Pool& pool, PoolUse use, const PrintOptions& options,
               std::string& out);
void PrintLog(const LogOptions& log, std::string& out);
void PrintFromTo(const Rule& rule, const PrintOptions& options,
                 std::string& out);
void PrintId(const IdMatch& id, std::string_view what, std::string& out);
void PrintState(const Rule& rule, const PrintOptions& options,
                std::string& out);
void PrintStateOptions(const Rule& rule, std::string& out);

// Quoted, with backslashes where the lexer wants them.
std::string QuotedText(std::string_view text);
// A tag, which may be several words without quotes.
std::string TagText(std::string_view text, Dialect dialect);
// Bare if it reads back as one word that is no keyword of `dialect` (of either
// without one), else quoted.
std::string NameText(std::string_view text,
                     std::optional<Dialect> dialect = std::nullopt);
std::string TosText(uint8_t tos);  // 0x10
std::string RateText(const RateLimit& rate);
std::string ProtocolText(uint8_t number, const HostFacts* facts);
std::string StateOptionsText(const StateOptions& options);

}  // namespace sluice

#endif  // SLUICE_PFTABLE_PRINT_PRINT_INTERNAL_H_
