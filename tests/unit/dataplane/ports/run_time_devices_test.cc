#include "dataplane/ports/run_time_devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "dataplane/base/unique_fd.h"
#include "dataplane/ports/device_text.h"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

TEST(DeviceTextTest, IsTakenApart) {
  const auto text = ParseDeviceText("net_vhost12,iface=/run/a/vm,queues=2");
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(text->name, "net_vhost12");
  EXPECT_EQ(text->driver, "net_vhost");
  ASSERT_EQ(text->arguments.size(), 2u);
  EXPECT_EQ(text->Find("iface"), "/run/a/vm");
  EXPECT_EQ(text->Find("queues"), "2");
  EXPECT_EQ(text->Find("queue"), std::nullopt);
  const auto pci = ParseDeviceText("0000:03:00.0");
  ASSERT_TRUE(pci.ok()) << pci.status();
  EXPECT_EQ(pci->driver, "");
}

TEST(DeviceTextTest, WhatDpdkWouldReadInItsOwnWayIsRefused) {
  for (const char* text :
       {"", ",", "net_null0,", "net_null0,,", "net_null0,copy",
        "net_null0,copy=", "net_null0,=1", "net_null0,copy=1,copy=0",
        "net_null0,Copy=1", "net_null0,c opy=1", "net_null0,copy=1 ",
        "net_null0,copy=[1-2]", "net_failsafe0,exec(id)",
        "net_failsafe0,dev(net_null1)", "net_null0,copy=a=b",
        "net_null0,copy=\n1", "net_null0,copy=1\n", "net_null0,copy=\"1\"",
        "bus=vdev,name=net_null0", "class=eth", "net_null0/class=eth",
        "Net_null0", "../net_null0", "net_null0,copy=a/bus=pci"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseDeviceText(text).status()))
        << text;
  }
  std::string many = "net_null0";
  for (size_t i = 0; i < kMaxDeviceArguments; ++i) {
    many += ",a" + std::to_string(i) + "=1";
  }
  EXPECT_TRUE(ParseDeviceText(many).ok());
  EXPECT_FALSE(ParseDeviceText(many + ",b=1").ok());
  EXPECT_FALSE(ParseDeviceText("net_null0,a=" + std::string(1024, '1')).ok());
  EXPECT_FALSE(ParseDeviceText("net_null0," + std::string(33, 'a') + "=1").ok());
}

const RunTimeDevices kSockets = {.drivers = {},
                                 .directories = {"/run/vm", "/srv/net"}};

TEST(RunTimeDevicesTest, WhatOrdersMayPlugIn) {
  for (const char* device :
       {"0000:03:00.0", "03:00.0", "net_null0", "net_null7,size=64,copy=1",
        "net_af_packet3,iface=veth0,framecnt=2048,qpairs=1,qdisc_bypass=0",
        "net_af_xdp0,iface=veth0,start_queue=0,queue_count=1,force_copy=1",
        "net_pcap0,iface=veth0", "net_vhost0,iface=/run/vm/a,queues=2",
        "net_vhost0,iface=/srv/net/x/a.sock,client=1,tso=0",
        "net_virtio_user0,path=/run/vm/b,server=1,mac=02:00:00:00:00:0a",
        "net_memif0,role=client,socket=/run/vm/c,socket-abstract=no,id=1"}) {
    EXPECT_TRUE(CheckRunTimeDevice(device, kSockets).ok())
        << device << ": " << CheckRunTimeDevice(device, kSockets);
  }
}

TEST(RunTimeDevicesTest, WhatOrdersMayNot) {
  const struct {
    const char* device;
    const char* why;
  } kRefused[] = {
      // What runs, reads, empties or removes something.
      {"net_failsafe0,exec(id)", "has no name"},
      {"net_failsafe0,mac=02:00:00:00:00:01", "driver net_failsafe"},
      {"net_pcap0,tx_pcap=/etc/passwd", "argument 'tx_pcap'"},
      {"net_pcap0,rx_pcap=/etc/shadow", "argument 'rx_pcap'"},
      {"net_pcap0,iface=a,infinite_rx=1", "argument 'infinite_rx'"},
      {"net_af_xdp0,iface=a,xdp_prog=/tmp/x.o", "argument 'xdp_prog'"},
      {"net_vhost0,iface=/etc/passwd", "lies outside"},
      {"net_softnic0,firmware=/tmp/x", "driver net_softnic"},
      {"net_ring0,internal=0x7f0000000000", "driver net_ring"},
      {"net_tap0,iface=a", "driver net_tap"},
      {"net_bonding0,slave=net_null1", "driver net_bonding"},
      {"net_vdev_netvsc0,iface=a", "driver net_vdev_netvsc"},
      {"eth_pcap0,iface=a", "driver eth_pcap"},
      {"net_null_x0", "driver net_null_x"},
      {"crypto_openssl", "driver crypto_openssl"},
      {"0000:03:00.0,representor=0", "arguments to a PCI device"},
      // Paths.
      {"net_vhost0,iface=vm", "absolute path"},
      {"net_vhost0,iface=/run/vm/../../etc/x", "absolute path"},
      {"net_vhost0,iface=/run/vm/./x", "absolute path"},
      {"net_vhost0,iface=/run/vm//x", "absolute path"},
      {"net_vhost0,iface=/run/vm/", "absolute path"},
      {"net_vhost0,iface=/run/vm/..", "absolute path"},
      {"net_vhost0,iface=/run/vm", "lies outside"},
      {"net_vhost0,iface=/run/vmx/a", "lies outside"},
      {"net_virtio_user0,path=/dev/vhost-net", "lies outside"},
      {"net_virtio_user0,path=/run/vm/a,iface=tap0", "argument 'iface'"},
      {"net_memif0,role=server,socket=/run/vm/c,socket-abstract=yes",
       "must be 'no'"},
      {"net_memif0,role=server,socket=/run/vm/c", "needs the argument"},
      {"net_memif0,socket=/run/vm/c,socket-abstract=no", "needs the argument"},
      // Types.
      {"net_vhost0", "needs the argument 'iface'"},
      {"net_af_packet0", "needs the argument 'iface'"},
      {"net_vhost0,iface=/run/vm/a,queues=0", "number from 1 to 32"},
      {"net_vhost0,iface=/run/vm/a,queues=33", "number from 1 to 32"},
      {"net_vhost0,iface=/run/vm/a,queues=-1", "number from 1 to 32"},
      {"net_vhost0,iface=/run/vm/a,client=yes", "number from 0 to 1"},
      {"net_af_packet0,iface=a,framecnt=99999999999999999999", "number from"},
      {"net_af_packet0,iface=abcdefghijklmnop", "name of an interface"},
      {"net_af_packet0,iface=..", "name of an interface"},
      {"net_af_packet0,iface=a/b", "name of an interface"},
      {"net_virtio_user0,path=/run/vm/a,mac=02:00:00:00:00", "MAC address"},
  };
  for (const auto& [device, why] : kRefused) {
    const absl::Status status = CheckRunTimeDevice(device, kSockets);
    EXPECT_FALSE(status.ok()) << device;
    EXPECT_THAT(std::string(status.message()), HasSubstr(why)) << device;
    EXPECT_THAT(std::string(status.message()), HasSubstr("device '"));
  }
  EXPECT_FALSE(CheckRunTimeDevice("net_vhost0,iface=/" + std::string(107, 'a'),
                                  {.drivers = {}, .directories = {"/a"}})
                   .ok());
  EXPECT_THAT(std::string(CheckRunTimeDevice("net_vhost0,iface=/run/vm/a", {})
                              .message()),
              HasSubstr("device_dirs"));
}

TEST(RunTimeDevicesTest, AnAdministratorMayAllowADriverByName) {
  const RunTimeDevices allowed = {.drivers = {"net_tap"}, .directories = {}};
  EXPECT_TRUE(CheckRunTimeDevice("net_tap0,iface=a,remote=b", allowed).ok());
  EXPECT_TRUE(CheckRunTimePath("net_tap0,iface=a,remote=b", allowed).ok());
  EXPECT_FALSE(CheckRunTimeDevice("net_tapx0", allowed).ok());
  EXPECT_FALSE(CheckRunTimeDevice("net_failsafe0,exec(id)", allowed).ok());
}

class DevicePathTest : public ::testing::Test {
 protected:
  DevicePathTest() {
    char path[] = "/tmp/sluice-devices.XXXXXX";
    root_ = mkdtemp(path);
    fs::create_directories(root_ / "vm");
    fs::create_directories(root_ / "other");
    allowed_.directories = {(root_ / "vm").string()};
  }
  ~DevicePathTest() override { fs::remove_all(root_); }

  absl::Status Check(const std::string& path) {
    const std::string device =
        "net_vhost0,iface=" + (root_ / path).string();
    absl::Status status = CheckRunTimeDevice(device, allowed_);
    if (status.ok()) status = CheckRunTimePath(device, allowed_);
    return status;
  }
  absl::Status Room(const std::string& path) {
    return MakeRoomFor({.path = (root_ / path).string(), .serves = true});
  }
  UniqueFd Serve(const std::string& path, int type = SOCK_STREAM) {
    UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, (root_ / path).c_str(),
                 sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address),
                     sizeof address),
              0);
    EXPECT_EQ(::listen(fd.get(), 1), 0);
    return fd;
  }

  fs::path root_;
  RunTimeDevices allowed_;
};

TEST_F(DevicePathTest, LinksLeadOutOfNoDirectory) {
  EXPECT_TRUE(Check("vm/a").ok()) << Check("vm/a");
  EXPECT_TRUE(absl::IsNotFound(Check("vm/nosuch/a")));
  fs::create_directory_symlink(root_ / "other", root_ / "vm/link");
  EXPECT_THAT(std::string(Check("vm/link/a").message()),
              HasSubstr("lies outside"));
  fs::create_symlink(root_ / "other/file", root_ / "vm/dangling");
  EXPECT_THAT(std::string(Check("vm/dangling").message()),
              HasSubstr("is no socket"));
  // A directory that is named by a link is the one that it leads to.
  fs::create_directory_symlink(root_ / "vm", root_ / "alias");
  allowed_.directories = {(root_ / "alias").string()};
  EXPECT_TRUE(Check("alias/a").ok()) << Check("alias/a");
}

TEST_F(DevicePathTest, WhereEverybodyWritesNoSocketIsSafe) {
  ASSERT_EQ(chmod((root_ / "vm").c_str(), 0777), 0);
  EXPECT_THAT(std::string(Check("vm/a").message()), HasSubstr("everybody"));
}

TEST_F(DevicePathTest, NothingButASocketThatNobodyServesMakesRoom) {
  EXPECT_TRUE(Room("vm/a").ok());
  std::ofstream(root_ / "vm/file") << "kept";
  EXPECT_THAT(std::string(Check("vm/file").message()),
              HasSubstr("is no socket"));
  EXPECT_THAT(std::string(Room("vm/file").message()),
              HasSubstr("is no socket"));
  EXPECT_EQ(fs::file_size(root_ / "vm/file"), 4u);
  for (const int type : {SOCK_STREAM, SOCK_SEQPACKET}) {
    UniqueFd served = Serve("vm/served", type);
    EXPECT_TRUE(absl::IsAlreadyExists(Room("vm/served")));
    EXPECT_TRUE(fs::exists(root_ / "vm/served"));
    served.Reset();
    EXPECT_TRUE(Room("vm/served").ok()) << Room("vm/served");
    EXPECT_FALSE(fs::exists(root_ / "vm/served"));
  }
  // A driver that connects removes nothing.
  UniqueFd served = Serve("vm/peer");
  EXPECT_TRUE(MakeRoomFor({.path = (root_ / "vm/peer").string()}).ok());
  EXPECT_TRUE(fs::exists(root_ / "vm/peer"));
}

TEST(DeviceSocketTest, WhoMakesTheSocket) {
  const struct {
    const char* device;
    bool serves;
  } kDevices[] = {
      {"net_vhost0,iface=/a/b", true},
      {"net_vhost0,iface=/a/b,client=0", true},
      {"net_vhost0,iface=/a/b,client=1", false},
      {"net_virtio_user0,path=/a/b", false},
      {"net_virtio_user0,path=/a/b,server=1", true},
      {"net_memif0,role=server,socket=/a/b,socket-abstract=no", true},
      {"net_memif0,role=client,socket=/a/b,socket-abstract=no", false},
  };
  for (const auto& [device, serves] : kDevices) {
    const auto socket = SocketOf(device);
    ASSERT_TRUE(socket.has_value()) << device;
    EXPECT_EQ(socket->path, "/a/b");
    EXPECT_EQ(socket->serves, serves) << device;
  }
  EXPECT_FALSE(SocketOf("net_null0").has_value());
  EXPECT_FALSE(SocketOf("net_af_packet0,iface=/a").has_value());
}

}  // namespace
}  // namespace sluice
