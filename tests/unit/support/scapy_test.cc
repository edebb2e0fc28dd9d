#include "tests/support/scapy.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/support/packet_text.h"

namespace sluice {
namespace {

std::string HexOf(std::span<const uint8_t> bytes) {
  return absl::BytesToHexString(absl::string_view(
      reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

const char* const kPackets[] = {
    "tcp 10.0.0.2:1025 > 10.0.0.1:80 S seq 100 <mss 1460,wscale 7>",
    "tcp 10.0.0.2:1025 > 10.0.0.1:80 PA seq 100 ack 7 urg 3 data \"hello\"",
    "tcp [2001:db8::2]:1025 > [2001:db8::1]:80 RA seq 1 ack 2 tos 8",
    "tcp 10.0.0.2:1025 > 10.0.0.1:80 SF cksum bad ipcksum bad",
    "tcp 10.0.0.2:1025 > 10.0.0.1:80 S doff 4",
    "tcp 10.0.0.2:1025 > 10.0.0.1:80 S doff 15",
    "udp 10.0.0.2:1 > 10.0.0.1:2 data 3 df tos 0x10 ttl 1 ipid 9",
    "udp 10.0.0.2:1 > 10.0.0.1:2 data 3 cksum 0",
    "udp 10.0.0.2:1 > 10.0.0.1:2 udplen +9",
    "udp 10.0.0.2:1 > 10.0.0.1:2 data 100 part 0 48",
    "udp 10.0.0.2:1 > 10.0.0.1:2 vlan 7 qinq 9 pcp 3 pad 20",
    "udp 10.0.0.2:1 > 10.0.0.1:2 ipopts { rr }",
    "udp [2001:db8::1]:1 > [2001:db8::2]:2 ext { hopopts dstopts }",
    "udp [2001:db8::1]:1 > [2001:db8::2]:2 iplen -3",
    "icmp 10.0.0.2 > 10.0.0.1 echo id 7 seq 1 data 5",
    "icmp 2001:db8::1 > 2001:db8::2 echo id 7 seq 1 data 5",
    "icmp 2001:db8::1 > 2001:db8::2 echoreply id 7 seq 1 cksum bad",
    "icmp 10.0.0.1 > 10.0.0.2 unreach port inner { udp 10.0.0.2:1 > "
    "10.0.0.1:2 cut 28 }",
    "icmp 10.0.0.1 > 10.0.0.2 toobig mtu 1400 inner { udp 10.0.0.2:1 > "
    "10.0.0.1:2 cut 28 }",
    "sctp 10.0.0.2:1 > 10.0.0.1:2 vtag 7 data 20",
    "ip 10.0.0.2 > 10.0.0.1 proto 47 data 20",
    "arp request 10.0.0.2 > 10.0.0.1",
    "eth 0x88cc data 0x0207",
    "hex 00112233445566778899aabb",
    "hex 00",
};

TEST(ScapyLine, ScapyMakesTheSameBytesOfIt) {
  char path[] = "/tmp/sluice-scapy-XXXXXX";
  const int fd = mkstemp(path);
  ASSERT_GE(fd, 0);
  std::string script =
      "import logging\n"
      "logging.getLogger('scapy').setLevel(logging.CRITICAL)\n"
      "from scapy.all import *\n";
  std::vector<std::string> lines, expected;
  for (const char* text : kPackets) {
    const std::vector<uint8_t> frame = FrameFromText(text);
    lines.push_back(ScapyLine(frame));
    expected.push_back(HexOf(frame));
    absl::StrAppend(&script, "print(bytes(", lines.back(), ").hex())\n");
  }
  ASSERT_EQ(write(fd, script.data(), script.size()),
            static_cast<ssize_t>(script.size()));
  close(fd);
  FILE* scapy =
      popen(absl::StrCat("/usr/bin/python3 ", path, " 2>&1").c_str(), "r");
  ASSERT_NE(scapy, nullptr);
  std::string output;
  char buffer[4096];
  while (const size_t n = fread(buffer, 1, sizeof buffer, scapy)) {
    output.append(buffer, n);
  }
  EXPECT_EQ(pclose(scapy), 0) << output;
  unlink(path);
  const std::vector<std::string> got =
      absl::StrSplit(output, '\n', absl::SkipEmpty());
  ASSERT_EQ(got.size(), expected.size()) << output;
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i], expected[i]) << kPackets[i] << "\n" << lines[i];
  }
}

TEST(ScapyLine, HeadersAreNamed) {
  EXPECT_EQ(ScapyLine(FrameFromText(
                "udp 10.0.0.2:1 > 10.0.0.1:2 data \"ab\" ttl 9")),
            "Ether(dst=\"02:04:0a:00:00:01\",src=\"02:04:0a:00:00:02\","
            "type=0x800)/IP(src=\"10.0.0.2\",dst=\"10.0.0.1\",ttl=9,id=1,"
            "proto=17)/UDP(sport=1,dport=2)/Raw(bytes.fromhex(\"6162\"))");
}

}  // namespace
}  // namespace sluice
