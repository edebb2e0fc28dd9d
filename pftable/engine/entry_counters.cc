#include "pftable/engine/entry_counters.h"

#include <bit>
#include <cstring>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "pftable/engine/lazy_memory.h"
#include "pftable/policy/policy.h"
#include "pftable/policy/stable_hash.h"

namespace sluice {
namespace {

// One worker's, of one entry.
struct Cell {
  std::array<std::array<Counter, kEntryOpCount>, 2> packets;
  std::array<std::array<Counter, kEntryOpCount>, 2> bytes;
};
static_assert(sizeof(Cell) == 96);

// Cells of a chunk, by worker. A small table touches some pages of one.
constexpr uint32_t kChunkCells = 4096;
constexpr size_t kWorkerBytes = LazyMemory::BytesFor<Cell>(kChunkCells);

Cell& CellAt(char* chunk, uint32_t worker, uint32_t cell) {
  return reinterpret_cast<Cell*>(chunk + worker * kWorkerBytes)[cell %
                                                                kChunkCells];
}

uint64_t HashOf(const Prefix& prefix) {
  uint64_t words[2];
  std::memcpy(words, prefix.address.bytes.data(), sizeof words);
  return MixBits(words[0] ^ MixBits(words[1] + prefix.length +
                                    AddressBits(prefix.address.family)));
}

}  // namespace

// The cells of a table over its life. Control side; workers reach cells by
// the addresses that their EntryCounters has.
class EntryCells {
 public:
  explicit EntryCells(uint32_t workers) : workers_(workers) {}

  // A cell that nobody has, at zero; the first hold on it.
  uint32_t Take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) AddChunk();
    const uint32_t cell = free_.back();
    Rebase(cell);
    free_.pop_back();
    ++holds_[cell];
    return cell;
  }
  void Hold(uint32_t cell) {
    const std::lock_guard lock(mutex_);
    ++holds_[cell];
  }
  void Release(uint32_t cell) {
    const std::lock_guard lock(mutex_);
    // free_ has room for all.
    if (--holds_[cell] == 0) free_.push_back(cell);
  }

  EntryCounts Counts(uint32_t cell) const {
    const std::lock_guard lock(mutex_);
    EntryCounts counts = Sum(cell);
    const auto base = baselines_.find(cell);
    if (base == baselines_.end()) return counts;
    for (size_t way = 0; way < 2; ++way) {
      for (size_t op = 0; op < kEntryOpCount; ++op) {
        counts.packets[way][op] -= base->second.packets[way][op];
        counts.bytes[way][op] -= base->second.bytes[way][op];
      }
    }
    return counts;
  }
  void Zero(uint32_t cell) {
    const std::lock_guard lock(mutex_);
    Rebase(cell);
  }
  std::vector<char*> Chunks() const {
    const std::lock_guard lock(mutex_);
    std::vector<char*> chunks;
    for (const LazyMemory& chunk : chunks_) {
      chunks.push_back(static_cast<char*>(chunk.data()));
    }
    return chunks;
  }

 private:
  EntryCounts Sum(uint32_t cell) const {
    EntryCounts sum;
    char* const chunk =
        static_cast<char*>(chunks_[cell / kChunkCells].data());
    for (uint32_t worker = 0; worker < workers_; ++worker) {
      const Cell& of = CellAt(chunk, worker, cell);
      for (size_t way = 0; way < 2; ++way) {
        for (size_t op = 0; op < kEntryOpCount; ++op) {
          sum.packets[way][op] += of.packets[way][op].value();
          sum.bytes[way][op] += of.bytes[way][op].value();
        }
      }
    }
    return sum;
  }
  void Rebase(uint32_t cell) {
    const EntryCounts sum = Sum(cell);
    if (sum.IsZero()) {
      baselines_.erase(cell);
    } else {
      baselines_[cell] = sum;
    }
  }
  void AddChunk() {
    const auto first = static_cast<uint32_t>(holds_.size());
    LazyMemory chunk(workers_ * kWorkerBytes);
    holds_.reserve(first + kChunkCells);
    free_.reserve(first + kChunkCells);
    chunks_.push_back(std::move(chunk));
    holds_.resize(first + kChunkCells, 0);
    // The first ones are given out first: they share pages.
    for (uint32_t i = kChunkCells; i > 0; --i) free_.push_back(first + i - 1);
  }

  const uint32_t workers_;
  mutable std::mutex mutex_;
  std::vector<LazyMemory> chunks_;
  std::vector<uint32_t> holds_;  // EntryCounters that name the cell
  std::vector<uint32_t> free_;   // the next one last
  // What a cell had counted when it was taken or zeroed, if anything.
  std::unordered_map<uint32_t, EntryCounts> baselines_;
};

std::shared_ptr<const EntryCounters> EntryCounters::Make(
    const AddressTable& contents, uint32_t workers,
    const EntryCounters* before) {
  const std::shared_ptr<EntryCounters> made(new EntryCounters);
  made->cells_ = before != nullptr ? before->cells_
                                   : std::make_shared<EntryCells>(workers);
  made->made_for_ = contents.view();
  const std::vector<TableEntry> entries = contents.Entries();
  made->keys_.reserve(entries.size());
  made->buckets_.assign(std::bit_ceil(entries.size() * 2 + 1), 0);
  const size_t mask = made->buckets_.size() - 1;
  for (const TableEntry& entry : entries) {
    Key key{.prefix = entry.prefix, .negated = entry.negated};
    const Key* const old =
        before != nullptr ? before->Find(entry.prefix) : nullptr;
    if (old != nullptr && old->negated == entry.negated) {
      key.cell = old->cell;
      made->cells_->Hold(key.cell);
    } else {
      key.cell = made->cells_->Take();
    }
    made->keys_.push_back(key);
    size_t at = HashOf(key.prefix) & mask;
    while (made->buckets_[at] != 0) at = (at + 1) & mask;
    made->buckets_[at] = static_cast<uint32_t>(made->keys_.size());
  }
  made->chunks_ = made->cells_->Chunks();
  return made;
}

EntryCounters::~EntryCounters() {
  for (const Key& key : keys_) cells_->Release(key.cell);
}

const EntryCounters::Key* EntryCounters::Find(const Prefix& prefix) const {
  const size_t mask = buckets_.size() - 1;
  for (size_t at = HashOf(prefix) & mask; buckets_[at] != 0;
       at = (at + 1) & mask) {
    const Key& key = keys_[buckets_[at] - 1];
    if (key.prefix == prefix) return &key;
  }
  return nullptr;
}

void EntryCounters::Count(uint32_t worker, const Prefix& entry,
                          size_t direction, TableOp op, uint64_t packets,
                          uint64_t bytes) const {
  const Key* const key = Find(entry);
  if (key == nullptr) return;
  Cell& cell = CellAt(chunks_[key->cell / kChunkCells], worker, key->cell);
  const auto kind = static_cast<size_t>(op);
  cell.packets[direction][kind].Add(packets);
  cell.bytes[direction][kind].Add(bytes);
}

EntryCounts EntryCounters::Counts(const Prefix& entry) const {
  const Key* const key = Find(entry);
  return key != nullptr ? cells_->Counts(key->cell) : EntryCounts();
}

bool EntryCounters::Zero(const Prefix& entry) const {
  const Key* const key = Find(entry);
  if (key != nullptr) cells_->Zero(key->cell);
  return key != nullptr;
}

void EntryCounters::ZeroAll() const {
  for (const Key& key : keys_) cells_->Zero(key.cell);
}

}  // namespace sluice
