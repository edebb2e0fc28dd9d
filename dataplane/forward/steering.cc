#include "dataplane/forward/steering.h"

#include <cstring>

namespace sluice {
namespace {

constexpr uint16_t kKeyWord = 0x6d5a;

constexpr std::array<uint8_t, kSymmetricKeyBytes> MakeKey() {
  std::array<uint8_t, kSymmetricKeyBytes> key{};
  for (size_t i = 0; i < key.size(); ++i) {
    key[i] = static_cast<uint8_t>(i % 2 == 0 ? kKeyWord >> 8 : kKeyWord);
  }
  return key;
}

// The Toeplitz hash adds, for each bit that is set, the 32 bits of the key
// that begin at that bit. The key repeats after 16 bits: so do these windows,
// and both their halves are the key's word rotated.
constexpr uint16_t HashOfByte(unsigned byte, int first_bit) {
  unsigned hash = 0;
  for (int bit = 0; bit < 8; ++bit) {
    if ((byte >> (7 - bit) & 1) == 0) continue;
    const int by = first_bit + bit;
    hash ^= kKeyWord << by | kKeyWord >> (16 - by);
  }
  return static_cast<uint16_t>(hash);
}

struct Tables {
  std::array<uint16_t, 256> high;
  std::array<uint16_t, 256> low;
};
constexpr Tables kTables = [] {
  Tables tables{};
  for (unsigned byte = 0; byte < 256; ++byte) {
    tables.high[byte] = HashOfByte(byte, 0);
    tables.low[byte] = HashOfByte(byte, 8);
  }
  return tables;
}();

// `folded` is the exclusive or of all 16-bit words, in network order.
uint32_t HashOfFolded(uint64_t folded) {
  folded ^= folded >> 32;
  folded ^= folded >> 16;
  const Be16 word = Be16::FromRaw(static_cast<uint16_t>(folded));
  const uint32_t half =
      kTables.high[word.host() >> 8] ^ kTables.low[word.host() & 0xff];
  return half << 16 | half;
}

// Addresses of 16 bytes; of IPv4 ones, the rest is zero.
uint64_t Fold(const uint8_t* source, const uint8_t* destination) {
  uint64_t words[4];
  std::memcpy(words, source, 16);
  std::memcpy(words + 2, destination, 16);
  return words[0] ^ words[1] ^ words[2] ^ words[3];
}

}  // namespace

const std::array<uint8_t, kSymmetricKeyBytes> kSymmetricKey = MakeKey();

uint32_t SymmetricHash(const Address& source, const Address& destination,
                       Be16 source_port, Be16 destination_port) {
  return HashOfFolded(Fold(source.bytes.data(), destination.bytes.data()) ^
                      source_port.raw() ^ destination_port.raw());
}

uint32_t SymmetricHash(const PacketInfo& info) {
  uint64_t folded = Fold(info.source.data(), info.destination.data());
  if ((info.proto == protocol::kTcp || info.proto == protocol::kUdp) &&
      !info.has(kFragment)) {
    folded ^= info.source_port.raw() ^ info.destination_port.raw();
  }
  return HashOfFolded(folded);
}

Steering::Steering(uint16_t workers) : workers_(workers) {
  for (size_t i = 0; i < kRetaSize; ++i) {
    reta_[i] = static_cast<uint16_t>(i % workers);
  }
}

}  // namespace sluice
