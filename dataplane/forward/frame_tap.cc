#include "dataplane/forward/frame_tap.h"

#include <pcap/bpf.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "packet/parse.h"

namespace sluice {
namespace {

static_assert(sizeof(FilterStep) == sizeof(bpf_insn) &&
              offsetof(FilterStep, jump_true) == offsetof(bpf_insn, jt) &&
              offsetof(FilterStep, value) == offsetof(bpf_insn, k));

// So much of a frame is looked at by a filter, however little is kept.
constexpr uint32_t kLeastCopied = 256;

// What bpf_filter() knows: at any other code it ends the process.
bool IsKnown(uint16_t code) {
  switch (code) {
    case BPF_LD | BPF_W | BPF_ABS:
    case BPF_LD | BPF_H | BPF_ABS:
    case BPF_LD | BPF_B | BPF_ABS:
    case BPF_LD | BPF_W | BPF_IND:
    case BPF_LD | BPF_H | BPF_IND:
    case BPF_LD | BPF_B | BPF_IND:
    case BPF_LD | BPF_W | BPF_LEN:
    case BPF_LD | BPF_IMM:
    case BPF_LD | BPF_MEM:
    case BPF_LDX | BPF_W | BPF_LEN:
    case BPF_LDX | BPF_MSH | BPF_B:
    case BPF_LDX | BPF_IMM:
    case BPF_LDX | BPF_MEM:
    case BPF_ST:
    case BPF_STX:
    case BPF_ALU | BPF_NEG:
    case BPF_JMP | BPF_JA:
    case BPF_RET | BPF_K:
    case BPF_RET | BPF_A:
    case BPF_MISC | BPF_TAX:
    case BPF_MISC | BPF_TXA:
      return true;
    default:
      break;
  }
  const int base = code & ~BPF_X;
  switch (BPF_CLASS(code)) {
    case BPF_ALU:
      for (const int op : {BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_MOD, BPF_AND,
                           BPF_OR, BPF_XOR, BPF_LSH, BPF_RSH}) {
        if (base == (BPF_ALU | op)) return true;
      }
      return false;
    case BPF_JMP:
      for (const int op : {BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET}) {
        if (base == (BPF_JMP | op)) return true;
      }
      return false;
    default:
      return false;
  }
}

const bpf_insn* AsProgram(const std::vector<FilterStep>& steps) {
  return reinterpret_cast<const bpf_insn*>(steps.data());
}

}  // namespace

bool IsGoodFilter(const std::vector<FilterStep>& steps) {
  const size_t count = steps.size();
  if (count == 0 || count > kMaxFilterSteps) return false;
  for (size_t i = 0; i < count; ++i) {
    // The library's own check lets a jump go back.
    const FilterStep& step = steps[i];
    if (!IsKnown(step.code)) return false;
    if (BPF_CLASS(step.code) == BPF_JMP && BPF_OP(step.code) == BPF_JA &&
        uint64_t{step.value} + i + 1 >= count) {
      return false;
    }
  }
  return ::bpf_validate(AsProgram(steps), static_cast<int>(count)) != 0;
}

FrameRecord* FrameTap::Copy(uint16_t port, const rte_mbuf& mbuf) {
  const uint32_t length = mbuf.pkt_len;
  const uint32_t copied =
      std::min(length, std::max(conditions_.snap_length, kLeastCopied));
  void* const place = ring_.Begin(sizeof(FrameRecord) + copied);
  if (place == nullptr) return nullptr;
  auto* const record = new (place) FrameRecord;
  uint8_t* to = record->bytes();
  uint32_t left = copied;
  for (const rte_mbuf* segment = &mbuf; segment != nullptr && left > 0;
       segment = segment->next) {
    const uint32_t part = std::min<uint32_t>(segment->data_len, left);
    std::memcpy(to, rte_pktmbuf_mtod(segment, const uint8_t*), part);
    to += part;
    left -= part;
  }
  const uint32_t there = copied - left;
  if (!conditions_.steps.empty() &&
      ::bpf_filter(AsProgram(conditions_.steps), record->bytes(), length,
                   there) == 0) {
    ring_.Shorten(0);
    return nullptr;
  }
  record->length = length;
  record->captured = std::min(there, conditions_.snap_length);
  record->cycles = rte_rdtsc();
  record->at = port;
  ring_.Shorten(sizeof(FrameRecord) + record->captured);
  return record;
}

void FrameTap::Arrive(uint16_t port, const PacketBurst& burst) {
  arrived_.fill(nullptr);
  if (!conditions_.arriving || !conditions_.ports[port]) return;
  for (uint32_t i = 0; i < burst.count; ++i) {
    if (burst.infos[i].kind == Kind::kTaken) continue;
    arrived_[i] = Copy(port, *burst.mbufs[i]);
  }
}

void FrameTap::Decide(uint32_t i, const TraceRecord& record, bool wanted) {
  if (arrived_[i] == nullptr) return;
  arrived_[i]->traced = record;
  arrived_[i]->wanted = wanted;
}

void FrameTap::Leave(uint16_t port, const rte_mbuf& mbuf,
                     const TraceRecord* record) {
  if (!conditions_.leaving || !conditions_.ports[port]) return;
  FrameRecord* const copy = Copy(port, mbuf);
  if (copy == nullptr) return;
  if (record != nullptr) {
    copy->traced = *record;
  } else {
    copy->answer = true;
    copy->traced.rule = copy->traced.rule_slot = ~uint32_t{0};
  }
  // As it goes, which may not be as it came.
  ParsePacket(mbuf, {.verify_checksums = false}, &copy->traced.packet);
  copy->traced.passed = true;
  copy->leaving = true;
  copy->wanted = true;
}

}  // namespace sluice
