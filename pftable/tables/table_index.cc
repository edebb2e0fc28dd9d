#include "pftable/tables/table_index.h"

#include <algorithm>
#include <optional>
#include <random>
#include <unordered_map>
#include <utility>

#include "pftable/policy/policy.h"
#include "pftable/policy/stable_hash.h"

namespace sluice {
namespace {

using search::Intervals;
using search::Number;

// An entry, with the addresses that it covers.
struct Piece {
  Number first;
  Number last;
  uint16_t table;
  bool negated;
};

Number NumberOf(const Address& address) {
  Number number = 0;
  for (int i = 0; i < AddressBits(address.family) / 8; ++i) {
    number = number << 8 | address.bytes[i];
  }
  return number;
}

uint64_t MakeSecret() {
  std::random_device random;
  return uint64_t{random()} << 32 | random();
}

// Nobody can choose tables of which two sets have one hash.
std::array<uint64_t, 2> Secret() {
  static const std::array<uint64_t, 2> secret = {MakeSecret(), MakeSecret()};
  return secret;
}

// Sets of tables, each stored once.
class Sets {
 public:
  Sets(size_t words, size_t most_words)
      : now_(words), most_words_(most_words) {}

  void Toggle(uint16_t table) {
    now_[table / 64] ^= uint64_t{1} << (table % 64);
    hash_.first ^= MixBits(Secret()[0] + table);
    hash_.second ^= MixBits(Secret()[1] + table);
  }
  bool Has(uint16_t table) const {
    return (now_[table / 64] >> (table % 64) & 1) != 0;
  }
  // The number of the set of now; nothing if there is no room for it.
  std::optional<uint32_t> Number() {
    const auto [place, fresh] = known_.try_emplace(
        hash_, static_cast<uint32_t>(bits_.size() / now_.size()));
    if (fresh) {
      if (bits_.size() + now_.size() > most_words_) return std::nullopt;
      bits_.insert(bits_.end(), now_.begin(), now_.end());
    }
    return place->second;
  }
  std::vector<uint64_t> Take() && { return std::move(bits_); }

 private:
  using Hash = std::pair<uint64_t, uint64_t>;
  struct HashOfHash {
    size_t operator()(const Hash& hash) const { return hash.first; }
  };

  std::vector<uint64_t> now_;
  const size_t most_words_;
  Hash hash_;
  std::unordered_map<Hash, uint32_t, HashOfHash> known_;
  std::vector<uint64_t> bits_;
};

// The pieces of all tables, those that cover others first.
std::vector<Piece> PiecesOf(const std::vector<AddressTable>& tables,
                            const std::vector<bool>& has, Family family) {
  std::vector<Piece> pieces;
  for (size_t t = 0; t < tables.size(); ++t) {
    if (!has[t]) continue;
    for (const TableEntry& entry : tables[t].Entries()) {
      if (entry.prefix.address.family != family) continue;
      const int rest = AddressBits(family) - entry.prefix.length;
      const Number low = NumberOf(entry.prefix.address);
      const Number size_less_one =
          rest == 128 ? ~Number{0} : (Number{1} << rest) - 1;
      pieces.push_back({low, low + size_less_one, static_cast<uint16_t>(t),
                        entry.negated});
    }
  }
  std::ranges::sort(pieces, [](const Piece& a, const Piece& b) {
    return a.first != b.first ? a.first < b.first : a.last > b.last;
  });
  return pieces;
}

// Prefixes cover one another or have nothing in common: those that are open at
// an address are a stack, and what a table said before an entry of it began it
// says again behind that.
class Sweeper {
 public:
  Sweeper(std::span<const Piece> pieces, Family family, Sets& sets)
      : pieces_(pieces),
        top_(family == Family::kIpv4 ? Number{0xffffffff} : ~Number{0}),
        sets_(sets) {}

  // False: more sets than there is room for.
  bool Run(Intervals* intervals) {
    size_t next = 0;
    Number at = 0;
    while (true) {
      while (!open_.empty() && open_.back().piece->last < at) Close();
      while (next < pieces_.size() && pieces_[next].first == at) {
        Open(pieces_[next++]);
      }
      const std::optional<uint32_t> number = sets_.Number();
      if (!number) return false;
      if (intervals->classes.empty() || intervals->classes.back() != *number) {
        intervals->starts.push_back(at);
        intervals->classes.push_back(*number);
      }
      const bool ends = !open_.empty() && open_.back().piece->last != top_;
      if (next == pieces_.size() && !ends) break;
      at = !ends ? pieces_[next].first : open_.back().piece->last + 1;
      if (next < pieces_.size()) at = std::min(at, pieces_[next].first);
    }
    while (!open_.empty()) Close();
    return true;
  }

 private:
  struct Opened {
    const Piece* piece;
    bool toggled;
  };

  void Open(const Piece& piece) {
    const bool toggled = sets_.Has(piece.table) == piece.negated;
    if (toggled) sets_.Toggle(piece.table);
    open_.push_back({&piece, toggled});
  }
  void Close() {
    if (open_.back().toggled) sets_.Toggle(open_.back().piece->table);
    open_.pop_back();
  }

  const std::span<const Piece> pieces_;
  const Number top_;
  Sets& sets_;
  std::vector<Opened> open_;
};

}  // namespace

std::shared_ptr<const TableIndex> TableIndex::Build(
    std::vector<AddressTable> tables, const TableIndexBounds& bounds) {
  const std::shared_ptr<TableIndex> index(new TableIndex());
  index->tables_ = std::move(tables);
  index->has_.resize(index->tables_.size());
  for (size_t t = 0; t < index->tables_.size(); ++t) {
    const size_t size = index->tables_[t].size();
    if (size > bounds.most_entries_each ||
        index->entries_ + size > bounds.most_entries) {
      continue;
    }
    index->has_[t] = true;
    index->entries_ += size;
  }
  index->words_ = std::max<size_t>(1, (index->tables_.size() + 63) / 64);
  Sets sets(index->words_, bounds.most_words);
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    Intervals intervals;
    const std::vector<Piece> pieces =
        PiecesOf(index->tables_, index->has_, family);
    if (!Sweeper(pieces, family, sets).Run(&intervals)) {
      index->has_.assign(index->has_.size(), false);
      index->entries_ = 0;
      index->v4_ = search::AddressClasses();
      return index;
    }
    (family == Family::kIpv4 ? index->v4_ : index->v6_)
        .Build(family, intervals);
  }
  index->bits_ = std::move(sets).Take();
  index->bits_.shrink_to_fit();
  return index;
}

size_t TableIndex::MemoryUse() const {
  return bits_.capacity() * sizeof(uint64_t) + v4_.MemoryUse() +
         v6_.MemoryUse();
}

}  // namespace sluice
