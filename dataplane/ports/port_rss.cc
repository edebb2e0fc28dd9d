// Several receive queues: which packet comes to which.
//
// Correctness does not depend on it: the owner of a flow is always computed by
// software (steering.h), and a NIC that agrees saves the way over a ring.
#include <rte_ethdev.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "dataplane/ports/ethdev_port.h"

namespace sluice {
namespace {

// What steering hashes; the rest is by addresses (RTE_ETH_RSS_IPV4 and IPV6).
constexpr uint64_t kWantedRss =
    RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_FRAG_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_TCP |
    RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_NONFRAG_IPV4_OTHER |
    RTE_ETH_RSS_IPV6 | RTE_ETH_RSS_FRAG_IPV6 | RTE_ETH_RSS_NONFRAG_IPV6_TCP |
    RTE_ETH_RSS_NONFRAG_IPV6_UDP | RTE_ETH_RSS_NONFRAG_IPV6_OTHER;

// The kinds of packets that the device can hash, of those that steering
// tells apart.
uint64_t RssKinds(const rte_eth_dev_info& info) {
  return info.flow_type_rss_offloads & kWantedRss;
}

uint8_t RssKeyLength(const rte_eth_dev_info& info) {
  constexpr uint8_t kUsual = 40;
  return info.hash_key_size > 0
             ? std::min<uint8_t>(info.hash_key_size, kSymmetricKeyBytes)
             : kUsual;
}

}  // namespace

// Whether packets come to more than the first of several queues.
bool EthdevPort::SpreadsPackets(const rte_eth_dev_info& info) const {
  // Their hosts deal packets out, with RSS or without.
  constexpr std::array<std::string_view, 3> kByTheHost = {
      "net_virtio", "net_virtio_user", "net_vhost"};
  return RssKinds(info) != 0 ||
         std::ranges::find(kByTheHost, driver_) != kByTheHost.end();
}

// With as much of RSS as the driver takes: with the symmetric key, with its
// own one, which spreads the work of receiving all the same, or none.
int EthdevPort::ConfigureDevice(const rte_eth_dev_info& info, rte_eth_conf* conf) {
  rss_ = Rss::kNone;
  if (rx_queues_ > 1 && RssKinds(info) != 0) {
    conf->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    rte_eth_rss_conf& rss = conf->rx_adv_conf.rss_conf;
    rss.rss_hf = RssKinds(info);
    rss.rss_key = const_cast<uint8_t*>(kSymmetricKey.data());
    rss.rss_key_len = RssKeyLength(info);
    rss_ = Rss::kSymmetric;
    int result = rte_eth_dev_configure(ethdev_, rx_queues_, tx_queues_, conf);
    if (result == 0) return 0;
    rss.rss_key = nullptr;
    rss.rss_key_len = 0;
    rss_ = Rss::kOwn;
    warnings_.push_back(absl::StrCat(
        "port '", config_.name,
        "' does not take the symmetric RSS key; workers hand packets on to "
        "one another"));
    result = rte_eth_dev_configure(ethdev_, rx_queues_, tx_queues_, conf);
    if (result == 0) return 0;
    warnings_.back() = absl::StrCat(
        "port '", config_.name,
        "' does not spread packets by RSS; they are steered by software");
    conf->rxmode.mq_mode = RTE_ETH_MQ_RX_NONE;
    conf->rx_adv_conf = {};
    rss_ = Rss::kNone;
  }
  return rte_eth_dev_configure(ethdev_, rx_queues_, tx_queues_, conf);
}

// Some drivers take a key when they are configured, others only once they
// run, and some keep their own without a word: it is read back.
void EthdevPort::SetRss() {
  if (rss_ != Rss::kSymmetric) return;
  rte_eth_dev_info info;
  if (rte_eth_dev_info_get(ethdev_, &info) != 0) return;
  const uint8_t length = RssKeyLength(info);
  const auto has_key = [this, length] {
    std::array<uint8_t, UINT8_MAX> key = {};
    rte_eth_rss_conf conf = {};
    conf.rss_key = key.data();
    conf.rss_key_len = length;
    const int result = rte_eth_dev_rss_hash_conf_get(ethdev_, &conf);
    // What cannot be asked is believed.
    if (result == -ENOTSUP) return true;
    return result == 0 &&
           std::equal(kSymmetricKey.begin(), kSymmetricKey.begin() + length,
                      key.begin());
  };
  if (!has_key()) {
    rte_eth_rss_conf conf = {};
    conf.rss_hf = RssKinds(info);
    conf.rss_key = const_cast<uint8_t*>(kSymmetricKey.data());
    conf.rss_key_len = length;
    rte_eth_dev_rss_hash_update(ethdev_, &conf);
    if (!has_key()) {
      rss_ = Rss::kOwn;
      warnings_.push_back(absl::StrCat(
          "port '", config_.name,
          "' keeps its own RSS key; workers hand packets on to one another"));
    }
  }
  SetReta(info.reta_size);
}

void EthdevPort::SetReta(uint16_t size) {
  std::array<rte_eth_rss_reta_entry64,
             RTE_ETH_RSS_RETA_SIZE_512 / RTE_ETH_RETA_GROUP_SIZE>
      table = {};
  if (size == 0) return;
  size = std::min<uint16_t>(size, RTE_ETH_RSS_RETA_SIZE_512);
  for (uint16_t i = 0; i < size; ++i) {
    auto& group = table[i / RTE_ETH_RETA_GROUP_SIZE];
    group.mask |= uint64_t{1} << (i % RTE_ETH_RETA_GROUP_SIZE);
    group.reta[i % RTE_ETH_RETA_GROUP_SIZE] =
        static_cast<uint16_t>(steering_.reta(i) % rx_queues_);
  }
  // Without it packets come to other workers first, which hand them on.
  if (rte_eth_dev_rss_reta_update(ethdev_, table.data(), size) != 0) {
    warnings_.push_back(absl::StrCat(
        "port '", config_.name,
        "' keeps its own RSS table; workers hand packets on to one another"));
  }
}

}  // namespace sluice
