// The preflight over machines made of files: one that has all, and each thing
// taken away from it.
#include "dataplane/daemon/preflight.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <net/if.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "conntrack/state_table.h"
#include "tests/support/fake_host.h"

namespace sluice {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kOutside[] = "0000:03:00.0";
constexpr char kInside[] = "0000:03:00.1";
constexpr uint64_t kMiB = 1 << 20;

class PreflightTest : public ::testing::Test {
 protected:
  PreflightTest() {
    host_.LoadVfio();
    host_.Add({.address = kOutside, .driver = "vfio-pci", .group = 7});
    host_.Add({.address = kInside, .driver = "vfio-pci", .group = 8});
    host_.Put("/dev/vfio/7", "");
    host_.Put("/dev/vfio/8", "");
    host_.Put("/sys/devices/system/cpu/isolated", "1-2\n");
    host_.Put("/sys/devices/system/cpu/nohz_full", "1-2\n");
    host_.Put("/sys/devices/system/node/has_cpu", "0\n");
    config_.file = "s.toml";
    config_.ports = {{.name = "outside", .device = kOutside},
                     {.name = "inside", .device = kInside}};
    config_.wires = {{.ports = {0, 1}}};
    config_.workers.lcores = {1};
    config_.workers.control_lcore = 0;
    config_.eal.hugepages = Hugepages::kYes;
    machine_ = {.cores = {0, 1, 2}, .free_hugepage_bytes = 4096 * kMiB};
    process_.user = "sluice";
  }

  std::vector<Finding> Find() {
    PreflightInput input;
    input.host = host_.files();
    input.machine = machine_;
    input.process = process_;
    input.open_errno = [this](const std::string& path) {
      // The whole path holds the fake machine's root.
      for (const auto& [end, code] : open_errors_) {
        if (path.ends_with(end)) return code;
      }
      return host_.Exists(path.substr(host_.files().Path("").size()))
                 ? 0
                 : ENOENT;
    };
    input.folder_errno = [this](const std::string& path) {
      const auto found = folder_errors_.find(path);
      return found == folder_errors_.end() ? 0 : found->second;
    };
    input.interface_flags =
        [this](const std::string& name) -> std::optional<uint32_t> {
      const auto found = interfaces_.find(name);
      if (found == interfaces_.end()) return std::nullopt;
      return found->second;
    };
    input.interface_queues =
        [this](const std::string& name) -> std::optional<uint32_t> {
      const auto found = interface_queues_.find(name);
      if (found == interface_queues_.end()) return std::nullopt;
      return found->second;
    };
    input.has_group = [](const std::string& name) { return name == "sluice"; };
    input.drivers = drivers_;
    return Preflight(config_, input);
  }

  // All findings as text, for messages and searches.
  std::string Text() {
    std::string text;
    for (const Finding& finding : Find()) text += FormatFinding(finding);
    return text;
  }
  // Expects one finding of that level that says `what`, with advice that says
  // `advice`; errors only if it is one itself.
  void ExpectFinding(FindingLevel level, const std::string& where,
                     const std::string& what, const std::string& advice) {
    const std::vector<Finding> findings = Find();
    bool found = false;
    for (const Finding& finding : findings) {
      if (finding.level != level || finding.where != where ||
          finding.what.find(what) == std::string::npos) {
        continue;
      }
      found = true;
      EXPECT_THAT(finding.advice, HasSubstr(advice));
    }
    EXPECT_TRUE(found) << where << ": " << what << "\nis not in\n" << Text();
    EXPECT_EQ(HasErrors(findings), level == FindingLevel::kError) << Text();
  }

  const std::string outside_ = absl::StrCat("port 'outside' (", kOutside, ")");
  FakeHost host_;
  Config config_;
  MachineFacts machine_;
  ProcessFacts process_;
  std::map<std::string, int> open_errors_;
  std::map<std::string, int> folder_errors_;
  std::map<std::string, uint32_t> interfaces_;
  std::map<std::string, uint32_t> interface_queues_;
  std::optional<DriverList> drivers_;
};

TEST_F(PreflightTest, MachineWithAllOfIt) { EXPECT_EQ(Text(), ""); }

// ---- Devices ---------------------------------------------------------------

TEST_F(PreflightTest, DeviceThatDoesNotExist) {
  config_.ports[0].device = "0000:09:00.0,queues=1";
  ExpectFinding(FindingLevel::kError, "port 'outside' (0000:09:00.0)",
                "there is no such PCI device", "nic list");
}

TEST_F(PreflightTest, DeviceThatIsNoNic) {
  host_.Add({.address = kOutside, .class_code = "0x010601",
             .driver = "vfio-pci", .group = 7});
  ExpectFinding(FindingLevel::kError, outside_, "no network controller",
                "nic list");
}

TEST_F(PreflightTest, DeviceOfTheKernel) {
  host_.Add({.address = kOutside, .driver = "ixgbe", .group = 7,
             .interface = "ens1f0"});
  ExpectFinding(FindingLevel::kError, outside_,
                "bound to the kernel's driver ixgbe",
                "`sluicectl nic bind 0000:03:00.0`");
  EXPECT_THAT(Text(), Not(HasSubstr("the machine uses it")));
}

TEST_F(PreflightTest, DeviceThatTheMachineUses) {
  host_.Add({.address = kOutside, .driver = "ixgbe", .group = 7,
             .interface = "ens1f0", .up = true});
  host_.Put("/proc/net/route", kRoutes4);
  EXPECT_THAT(Text(), HasSubstr("warning: the machine uses it: its interface "
                                "ens1f0 is up and HAS THE DEFAULT ROUTE"));
}

TEST_F(PreflightTest, DefaultRouteOfIpv6) {
  host_.Add({.address = kInside, .driver = "virtio-pci", .group = 8,
             .interface = "ens1f1", .up = true, .below_virtio = true});
  host_.Put("/proc/net/ipv6_route", kRoutes6);
  EXPECT_THAT(Text(), HasSubstr("ens1f1 is up and HAS THE DEFAULT ROUTE"));
}

TEST_F(PreflightTest, DeviceOfNoDriver) {
  host_.SetDriver(kOutside, "");
  ExpectFinding(FindingLevel::kError, outside_, "bound to no driver",
                "`sluicectl nic bind 0000:03:00.0`");
}

TEST_F(PreflightTest, DeviceOfUio) {
  host_.SetDriver(kOutside, "uio_pci_generic");
  ExpectFinding(FindingLevel::kWarning, outside_, "uio_pci_generic",
                "vfio-pci");
}

TEST_F(PreflightTest, DeviceThatStaysWithItsDriver) {
  host_.SetDriver(kOutside, "mlx5_core");
  ExpectFinding(FindingLevel::kNote, outside_, "stays with mlx5_core", "");
}

// ---- Virtual devices -------------------------------------------------------

TEST_F(PreflightTest, DriversAndTheirArguments) {
  drivers_ = DriverList{{"net_tap", "iface=<string> mac=fixed"},
                        {"net_vhost", "iface=<ifc> queues=<int>"},
                        {"net_virtio_user", "path=<path> queues=<int>"},
                        {"net_ring", ""}};
  interfaces_ = {{"eth0", IFF_UP}, {"br1", 0}};
  const auto with = [this](const std::string& device) {
    config_.ports[0].device = device;
    return "port 'outside' (" + device.substr(0, device.find(',')) + ")";
  };
  for (const char* right :
       {"net_tap0", "net_tap7,mac=fixed", "net_vhost0,iface=/run/a,queues=2",
        "net_vhost1,iface=/run/a,legacy-ol-flags=1", "eth_tap0",
        "virtio_user0,path=/run/b", "net_ring0,anything=1"}) {
    with(right);
    EXPECT_THAT(Text(), Not(HasSubstr("DPDK"))) << right;
    EXPECT_THAT(Text(), Not(HasSubstr("argument"))) << right;
  }
  for (const char* name : {"eth0", "br1"}) {
    ExpectFinding(FindingLevel::kError, with(name),
                  "it is an interface of the kernel's",
                  absl::StrCat("net_af_packet0,iface=", name));
  }
  ExpectFinding(FindingLevel::kError, with("net_tab0"),
                "DPDK has no driver 'net_tab'", "did you mean 'net_tap'?");
  ExpectFinding(FindingLevel::kError, with("net_nothing0"),
                "DPDK has no driver 'net_nothing'", "net_vhost");
  ExpectFinding(FindingLevel::kError, with("net_vhost0,iface=/run/a,queue=2"),
                "the driver net_vhost takes no argument 'queue'",
                "it takes: iface=<ifc> queues=<int>");
  // Where nobody knows, nothing is said.
  drivers_.reset();
  with("net_nothing0");
  EXPECT_EQ(Text(), "");
}

TEST_F(PreflightTest, WithoutPortsOrWiresItStarts) {
  config_.wires.clear();
  ExpectFinding(FindingLevel::kNote, "s.toml", "there is no [[wire]]", "");
  config_.ports.clear();
  ExpectFinding(FindingLevel::kNote, "s.toml", "there is no [[port]]", "");
}

TEST_F(PreflightTest, Routers) {
  config_.wires.clear();
  config_.routers = {{.name = "edge", .ports = {"outside", "inside"}}};
  ExpectFinding(FindingLevel::kError, "[[router]]",
                "/dev/net/tun: No such file or directory", "modprobe tun");
  open_errors_["/dev/net/tun"] = EPERM;
  ExpectFinding(FindingLevel::kError, "[[router]]",
                "/dev/net/tun: Operation not permitted", "router.conf");
  open_errors_["/dev/net/tun"] = 0;
  EXPECT_EQ(Text(), "");
  interfaces_["inside"] = IFF_UP;
  ExpectFinding(FindingLevel::kError, "router 'edge'",
                "port 'inside': there is an interface inside already",
                "another `tap`");
  config_.ports[1].tap = "inside0";
  EXPECT_EQ(Text(), "");
  config_.routers[0].netns = "blue";
  ExpectFinding(FindingLevel::kError, "router 'edge'",
                "there is no network namespace 'blue' (/run/netns/blue)",
                "ip netns add blue");
  host_.Put("/run/netns/blue", "");
  EXPECT_EQ(Text(), "");
  process_.capabilities = ~(uint64_t{1} << CAP_SYS_ADMIN);
  ExpectFinding(FindingLevel::kError, "[[router]] netns",
                "user sluice lacks CAP_SYS_ADMIN", "router.conf");
  process_.capabilities = ~(uint64_t{1} << CAP_NET_ADMIN);
  ExpectFinding(FindingLevel::kError, "[[router]]",
                "user sluice lacks CAP_NET_ADMIN", "router.conf");
}

TEST_F(PreflightTest, GroupsThatAreNotThere) {
  config_.control.group = "sluice";
  EXPECT_EQ(Text(), "");
  for (const auto& [key, group] :
       {std::pair("group", &config_.control.group),
        std::pair("read_group", &config_.control.read_group),
        std::pair("operate_group", &config_.control.operate_group),
        std::pair("admin_group", &config_.control.admin_group),
        std::pair("device_group", &config_.control.device_group)}) {
    const std::string before = std::exchange(*group, "nobody-has-it");
    ExpectFinding(FindingLevel::kError, absl::StrCat("[control] ", key),
                  "there is no group 'nobody-has-it'", "groupadd");
    *group = before;
  }
}

TEST_F(PreflightTest, StateDirectoryThatCannotBeWritten) {
  config_.state.directory = "/var/lib/sluice";
  EXPECT_EQ(Text(), "");
  // It is made, if what it is in is there.
  folder_errors_["/var/lib/sluice"] = ENOENT;
  EXPECT_EQ(Text(), "");
  folder_errors_["/var/lib"] = EROFS;
  ExpectFinding(FindingLevel::kError, "[state] dir",
                "user sluice cannot make files in /var/lib: Read-only",
                "or set another `dir`");
  folder_errors_["/var/lib/sluice"] = EACCES;
  ExpectFinding(FindingLevel::kError, "[state] dir",
                "cannot make files in /var/lib/sluice: Permission denied",
                "install -d -o sluice /var/lib/sluice");
}

// ---- The system itself -----------------------------------------------------

TEST(PreflightSystem, DriversOfThisMachine) {
  const std::optional<DriverList> drivers = DriversOfSystem();
  ASSERT_TRUE(drivers.has_value());
  for (const char* name : {"net_af_packet", "net_vhost", "net_memif"}) {
    ASSERT_TRUE(drivers->contains(name)) << name;
  }
  EXPECT_THAT(drivers->at("net_af_packet"), HasSubstr("qpairs="));
  EXPECT_EQ(DriverFor(*drivers, "net_af_packet0")->first, "net_af_packet");
  EXPECT_EQ(DriverFor(*drivers, "eth_af_packet0")->first, "net_af_packet");
  EXPECT_EQ(DriverFor(*drivers, "virtio_user0")->first, "net_virtio_user");
  EXPECT_EQ(DriverFor(*drivers, "eth0"), nullptr);
}

TEST(PreflightSystem, AFolderIsTriedByMakingAFile) {
  const PreflightInput input = PreflightInput::FromSystem();
  EXPECT_EQ(input.folder_errno("/nowhere/at/all"), ENOENT);
  EXPECT_NE(input.folder_errno("/proc"), 0);
  char folder[] = "/tmp/sluice-preflight-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  EXPECT_EQ(input.folder_errno(folder), 0);
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  std::filesystem::remove(folder);
  EXPECT_TRUE(input.has_group("root"));
  EXPECT_TRUE(input.has_group("4711"));
  EXPECT_FALSE(input.has_group("nobody-has-it"));
}

// ---- vfio ------------------------------------------------------------------

TEST_F(PreflightTest, VfioNotLoaded) {
  host_.Remove("/sys/bus/pci/drivers/vfio-pci");
  ExpectFinding(FindingLevel::kError, "vfio-pci", "not loaded",
                "`modprobe vfio-pci`");
}

TEST_F(PreflightTest, NoIommu) {
  host_.Remove("/sys/kernel/iommu_groups");
  host_.Remove(FakeHost::Device(kOutside) + "/iommu_group");
  host_.Remove(FakeHost::Device(kInside) + "/iommu_group");
  ExpectFinding(FindingLevel::kError, "IOMMU", "there is none",
                "intel_iommu=on");
  host_.Put("/proc/cpuinfo", "vendor_id\t: AuthenticAMD\n");
  ExpectFinding(FindingLevel::kError, "IOMMU", "there is none",
                "amd_iommu=on");
}

TEST_F(PreflightTest, VfioWithoutIommu) {
  host_.Remove("/sys/kernel/iommu_groups");
  host_.Put("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n");
  host_.Put("/dev/vfio/noiommu-7", "");
  host_.Put("/dev/vfio/noiommu-8", "");
  ExpectFinding(FindingLevel::kWarning, "IOMMU", "may write anywhere",
                "switch the IOMMU on");
}

TEST_F(PreflightTest, DeviceBehindNoIommu) {
  host_.Remove(FakeHost::Device(kOutside) + "/iommu_group");
  ExpectFinding(FindingLevel::kError, outside_, "behind no IOMMU",
                "iommu_platform=on");
}

TEST_F(PreflightTest, GroupSharedWithTheKernel) {
  host_.Add({.address = "0000:03:00.2", .driver = "ahci", .group = 7});
  ExpectFinding(FindingLevel::kError, outside_,
                "IOMMU group 7 also holds devices of the kernel's: "
                "0000:03:00.2 (ahci)",
                "bind all of the group");
}

TEST_F(PreflightTest, GroupSharedHarmlessly) {
  host_.Add({.address = "0000:03:00.2", .group = 7});
  host_.Add({.address = "0000:03:00.3", .driver = "vfio-pci", .group = 7});
  host_.Add({.address = "0000:00:1c.0", .class_code = "0x060400",
             .driver = "pcieport", .group = 7});
  EXPECT_EQ(Text(), "");
}

TEST_F(PreflightTest, GroupUsedByAnotherProcess) {
  open_errors_["/dev/vfio/7"] = EBUSY;
  ExpectFinding(FindingLevel::kError, outside_,
                "another process uses it: /dev/vfio/7",
                "`fuser /dev/vfio/7`");
  host_.Link("/proc/123/fd/5", "/dev/vfio/7");
  host_.Put("/proc/123/comm", "dpdk-testpmd\n");
  ExpectFinding(FindingLevel::kError, outside_,
                "/dev/vfio/7 is open already by 123 (dpdk-testpmd)",
                "stop that process");
}

TEST_F(PreflightTest, GroupOfSomebodyElse) {
  open_errors_["/dev/vfio/7"] = EACCES;
  ExpectFinding(FindingLevel::kError, outside_,
                "user sluice cannot open /dev/vfio/7: Permission denied",
                "udev rule");
  open_errors_.clear();
  open_errors_["/dev/vfio/vfio"] = EACCES;
  ExpectFinding(FindingLevel::kError, "vfio-pci",
                "user sluice cannot open /dev/vfio/vfio", "chmod 666");
}

TEST_F(PreflightTest, GroupWithoutFile) {
  host_.Remove("/dev/vfio/7");
  ExpectFinding(FindingLevel::kError, outside_, "No such file",
                "bind it again");
}

// ---- Memory ----------------------------------------------------------------

TEST_F(PreflightTest, NoHugepages) {
  machine_.free_hugepage_bytes = 0;
  // One pool of 16383 mbufs: enough for rings of 2 x 2 x 1024 twice over.
  ExpectFinding(FindingLevel::kError, "[eal] hugepages",
                "none are free; needed are 120 MiB for 16383 mbufs",
                "`sysctl -w vm.nr_hugepages=");
  config_.eal.hugepages = Hugepages::kAuto;
  ExpectFinding(FindingLevel::kError, "[eal] hugepages", "none are free",
                "hugepages = \"no\"");
  config_.eal.hugepages = Hugepages::kNo;
  ExpectFinding(FindingLevel::kWarning, "[eal] hugepages", "with PCI ports",
                "\"yes\"");
}

TEST_F(PreflightTest, TooFewHugepages) {
  host_.Put("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "64");
  host_.Put("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "50");
  machine_.free_hugepage_bytes = 100 * kMiB;
  const uint64_t states = StateTable::BytesFor(config_.memory.states);
  const uint64_t wanted = 14 + (120 * kMiB + states) / (2 * kMiB);
  const std::vector<Finding> findings = Find();
  ASSERT_EQ(findings.size(), 1u) << Text();
  EXPECT_THAT(findings[0].what, HasSubstr("too few are free: 100 MiB"));
  // What others have stays theirs; the plan's bytes are no whole MiB.
  EXPECT_TRUE(findings[0].advice.find(absl::StrCat("=", wanted, "`")) !=
                  std::string::npos ||
              findings[0].advice.find(absl::StrCat("=", wanted + 1, "`")) !=
                  std::string::npos)
      << findings[0].advice << " " << wanted;
}

TEST_F(PreflightTest, HugepagesForPacketsAndNotForStates) {
  machine_.free_hugepage_bytes = 150 * kMiB;
  ExpectFinding(FindingLevel::kWarning, "[eal] hugepages",
                "states go to ordinary pages", "vm.nr_hugepages");
}

TEST_F(PreflightTest, LockedMemory) {
  process_.capabilities = 0;
  process_.lockable_bytes = 8 * kMiB;
  ExpectFinding(FindingLevel::kError, "RLIMIT_MEMLOCK",
                "user sluice may lock 8 MiB of memory",
                "LimitMEMLOCK=infinity");
  process_.capabilities = uint64_t{1} << CAP_IPC_LOCK;
  EXPECT_EQ(Text(), "");
  process_.capabilities = 0;
  process_.lockable_bytes = UINT64_MAX;
  EXPECT_EQ(Text(), "");
}

// ---- NUMA and processors ---------------------------------------------------

class PreflightNumaTest : public PreflightTest {
 protected:
  PreflightNumaTest() {
    host_.Put("/sys/devices/system/node/has_cpu", "0-1\n");
    host_.Put("/sys/devices/system/node/node0/cpulist", "0-1\n");
    host_.Put("/sys/devices/system/node/node1/cpulist", "2-3\n");
    machine_.cores = {0, 1, 2, 3};
    SetFree(0, 2048);
    SetFree(1, 2048);
    for (const char* address : {kOutside, kInside}) {
      host_.Put(FakeHost::Device(address) + "/numa_node", "0\n");
    }
  }
  void SetFree(int node, int pages) {
    const std::string folder =
        absl::StrCat("/sys/devices/system/node/node", node,
                     "/hugepages/hugepages-2048kB/");
    host_.Put(folder + "nr_hugepages", absl::StrCat(pages + 10));
    host_.Put(folder + "free_hugepages", absl::StrCat(pages));
  }
};

TEST_F(PreflightNumaTest, AllOnOneNode) { EXPECT_EQ(Text(), ""); }

TEST_F(PreflightNumaTest, HugepagesOnTheWrongNode) {
  SetFree(0, 3);
  ExpectFinding(FindingLevel::kError, "[eal] hugepages",
                "NUMA node 0 has 6 MiB of free hugepages, and the rings of "
                "port(s) outside, inside on it need 8 MiB",
                "node0/hugepages/hugepages-2048kB/nr_hugepages");
}

TEST_F(PreflightNumaTest, WorkersAndPacketsFarFromTheNic) {
  host_.Put(FakeHost::Device(kOutside) + "/numa_node", "1\n");
  ExpectFinding(FindingLevel::kWarning, outside_,
                "on NUMA node 1, worker processor(s) 1 are not",
                "[workers] lcores from 2-3");
  ExpectFinding(FindingLevel::kWarning, outside_,
                "packets lie on that of control_lcore 0",
                "control_lcore from 2-3");
}

TEST_F(PreflightTest, ProcessorThatIsNotThere) {
  config_.workers.lcores = {7};
  // The rest is told all the same.
  machine_.free_hugepage_bytes = 0;
  ExpectFinding(FindingLevel::kError, "s.toml", "processor 7 is not there",
                "processors that are there");
  EXPECT_THAT(Text(), HasSubstr("none are free"));
}

TEST_F(PreflightTest, ProcessorsThatOthersUse) {
  host_.Put("/sys/devices/system/cpu/isolated", "\n");
  ExpectFinding(FindingLevel::kNote, "[workers] lcores",
                "may run on worker processor(s) 1 (not in isolcpus)",
                "isolcpus=1");
  host_.Remove("/sys/devices/system/cpu/nohz_full");
  ExpectFinding(FindingLevel::kNote, "[workers] lcores",
                "(not in nohz_full)", "nohz_full=1");
  // Sleeping workers do not mind.
  config_.workers.idle = IdleMode::kSleep;
  EXPECT_EQ(Text(), "");
}

TEST_F(PreflightTest, TwoThreadsOfOneCore) {
  host_.Put("/sys/devices/system/cpu/cpu1/topology/thread_siblings_list",
            "0,1\n");
  ExpectFinding(FindingLevel::kNote, "[workers] lcores",
                "processors 1 and 0 are two threads", "cores of their own");
}

// ---- Queues and RSS --------------------------------------------------------

TEST_F(PreflightTest, MoreQueuesThanTheNicHas) {
  config_.ports[0].queues = 2;
  host_.Put(FakeHost::Device(kOutside) + "/device", "0x10d3\n");
  ExpectFinding(FindingLevel::kError, outside_,
                "it has 1 receive queue(s), and `queues` is 2",
                "lower `queues`");
}

// Of virtio the kernel's driver knows it, as long as it has the device.
TEST_F(PreflightTest, MoreQueuesThanTheVirtioDeviceHas) {
  config_.ports[0].queues = 3;
  host_.Add({.address = kOutside, .driver = "virtio-pci", .group = 7,
             .interface = "ens1f0", .below_virtio = true});
  host_.Put(FakeHost::Device(kOutside) + "/vendor", "0x1af4\n");
  host_.Put(FakeHost::Device(kOutside) + "/device", "0x1041\n");
  interface_queues_ = {{"ens1f0", 2}};
  ExpectFinding(FindingLevel::kError, outside_,
                "it has 2 receive queue(s), and `queues` is 3",
                "lower `queues`");
  interface_queues_ = {{"ens1f0", 3}};
  EXPECT_THAT(Text(), Not(HasSubstr("receive queue(s)")));
  interface_queues_.clear();
  EXPECT_THAT(Text(), HasSubstr("known only when DPDK drives it"));
}

// How many another driver would use says nothing of the device.
TEST_F(PreflightTest, QueuesOfOtherKernelDriversAreNoLimit) {
  config_.ports[0].queues = 3;
  host_.Add({.address = kOutside, .driver = "ice", .group = 7,
             .interface = "ens1f0"});
  host_.Put(FakeHost::Device(kOutside) + "/device", "0x1592\n");
  interface_queues_ = {{"ens1f0", 2}};
  EXPECT_THAT(Text(), Not(HasSubstr("receive queue(s)")));
}

TEST_F(PreflightTest, WorkersAndQueues) {
  config_.workers.lcores = {1, 2};
  EXPECT_EQ(Text(), "");  // an 82599 has enough of both
  config_.ports[0].queues = 1;
  ExpectFinding(FindingLevel::kWarning, outside_, "`queues` is 1 for 2",
                "number of workers");
  config_.ports[0].queues = 0;
  host_.Put(FakeHost::Device(kOutside) + "/device", "0x100e\n");
  ExpectFinding(FindingLevel::kWarning, outside_,
                "it has 1 receive queue(s) for 2 workers", "fewer workers");
  EXPECT_THAT(Text(), HasSubstr("note: it has no RSS"));
}

TEST_F(PreflightTest, ModelThatIsNotKnown) {
  config_.workers.lcores = {1, 2};
  host_.Put(FakeHost::Device(kOutside) + "/vendor", "0x1af4\n");
  host_.Put(FakeHost::Device(kOutside) + "/device", "0x1041\n");
  ExpectFinding(FindingLevel::kNote, outside_,
                "how many queues it has is known only when DPDK", "");
  ExpectFinding(FindingLevel::kNote, outside_, "whether it has RSS", "");
}

// ---- Virtual ports and files -----------------------------------------------

class PreflightVirtualTest : public PreflightTest {
 protected:
  PreflightVirtualTest() {
    config_.ports = {
        {.name = "outside", .device = "net_af_packet0,iface=veth0"},
        {.name = "inside", .device = "net_af_packet1,iface=veth1"}};
    config_.eal.hugepages = Hugepages::kNo;
    interfaces_ = {{"veth0", IFF_UP}, {"veth1", IFF_UP}};
    // None of these matters to virtual ports.
    host_.Remove("/sys/kernel/iommu_groups");
    host_.Remove("/sys/bus/pci/drivers/vfio-pci");
    process_.lockable_bytes = 0;
  }
};

TEST_F(PreflightVirtualTest, NeedsNothingOfVfio) { EXPECT_EQ(Text(), ""); }

TEST_F(PreflightVirtualTest, InterfaceThatIsNotThere) {
  interfaces_.erase("veth0");
  ExpectFinding(FindingLevel::kError,
                "port 'outside' (net_af_packet0, veth0)",
                "there is no interface veth0", "ip -br link");
}

TEST_F(PreflightVirtualTest, InterfaceThatIsDown) {
  interfaces_["veth0"] = 0;
  ExpectFinding(FindingLevel::kWarning,
                "port 'outside' (net_af_packet0, veth0)", "is down",
                "`ip link set veth0 up`");
}

TEST_F(PreflightVirtualTest, Capabilities) {
  const std::string where = "port 'outside' (net_af_packet0, veth0)";
  process_.capabilities = uint64_t{1} << CAP_NET_ADMIN;
  ExpectFinding(FindingLevel::kError, where, "user sluice lacks CAP_NET_RAW",
                "AmbientCapabilities=CAP_NET_RAW");
  process_.capabilities = uint64_t{1} << CAP_NET_RAW;
  ExpectFinding(FindingLevel::kError, where, "lacks CAP_NET_ADMIN",
                "AmbientCapabilities=CAP_NET_ADMIN");
  process_.capabilities |= uint64_t{1} << CAP_NET_ADMIN;
  EXPECT_EQ(Text(), "");
  process_.capabilities = uint64_t{1} << CAP_NET_RAW;
  config_.ports[0].device = "net_pcap0,iface=veth0";
  config_.ports[1].device = "net_null0";
  EXPECT_EQ(Text(), "");
}

TEST_F(PreflightVirtualTest, TooFewHugepagesAreNoReasonToRefuse) {
  config_.eal.hugepages = Hugepages::kAuto;
  machine_.free_hugepage_bytes = 2 * kMiB;
  ExpectFinding(FindingLevel::kWarning, "[eal] hugepages",
                "going without, slower", "vm.nr_hugepages");
}

TEST_F(PreflightVirtualTest, FoldersOfSocketAndLog) {
  folder_errors_["/run/sluice"] = EACCES;
  ExpectFinding(FindingLevel::kError, "[control] socket",
                "user sluice cannot make files in /run/sluice",
                "install -d -o sluice /run/sluice");
  // The daemon makes the socket's folder itself if it can.
  folder_errors_["/run/sluice"] = ENOENT;
  EXPECT_EQ(Text(), "");
  folder_errors_["/run"] = EACCES;
  ExpectFinding(FindingLevel::kError, "[control] socket",
                "cannot make files in /run:", "");
  folder_errors_.clear();
  config_.log.file = "/var/log/sluice/sluiced.log";
  folder_errors_["/var/log/sluice"] = ENOENT;
  ExpectFinding(FindingLevel::kError, "[log] file",
                "cannot make files in /var/log/sluice", "install -d");
  config_.log = {.packets = "/var/log/sluice"};
  ExpectFinding(FindingLevel::kError, "[log] packets",
                "cannot make files in /var/log/sluice", "install -d");
  config_.log = {};
  config_.log.audit = "/var/log/sluice/audit.log";
  ExpectFinding(FindingLevel::kError, "[log] audit",
                "cannot make files in /var/log/sluice", "install -d");
  config_.log = {};
  config_.flows.sessions = "/var/log/sluice/sessions.log";
  ExpectFinding(FindingLevel::kError, "[log] sessions",
                "cannot make files in /var/log/sluice", "install -d");
}

TEST_F(PreflightVirtualTest, FolderOfTheMetricsSocket) {
  folder_errors_["/run/metrics"] = ENOENT;
  config_.metrics.listen = "/run/metrics/sluice.sock";
  ExpectFinding(FindingLevel::kError, "[metrics] listen",
                "cannot make files in /run/metrics", "install -d");
  // The folder of the control socket, which the daemon makes.
  folder_errors_["/run/sluice"] = ENOENT;
  config_.metrics.listen = "/run/sluice/metrics.sock";
  EXPECT_EQ(Text(), "");
  config_.metrics.listen = "127.0.0.1:9100";
  EXPECT_EQ(Text(), "");
}

TEST_F(PreflightVirtualTest, FolderOfThePagesSocket) {
  folder_errors_["/run/web"] = ENOENT;
  config_.web.listen = "/run/web/sluice.sock";
  ExpectFinding(FindingLevel::kError, "[web] listen",
                "cannot make files in /run/web", "install -d");
  config_.web.listen = "127.0.0.1:8469";
  EXPECT_EQ(Text(), "");
}

TEST(FindingTest, Format) {
  EXPECT_EQ(FormatFinding({FindingLevel::kError, "here", "it is", "change"}),
            "here: it is\nhint: change\n");
  EXPECT_EQ(FormatFinding({FindingLevel::kWarning, "here", "it is", ""}),
            "here: warning: it is\n");
  EXPECT_EQ(FormatFinding({FindingLevel::kNote, "here", "it is", ""}),
            "here: note: it is\n");
}

TEST(CpuListTest, Shapes) {
  using ::testing::ElementsAre;
  EXPECT_THAT(ParseCpuList("0-2,5\n"), ElementsAre(0, 1, 2, 5));
  EXPECT_THAT(ParseCpuList("7"), ElementsAre(7));
  EXPECT_THAT(ParseCpuList(""), IsEmpty());
  EXPECT_THAT(ParseCpuList("(null)"), IsEmpty());
  EXPECT_THAT(ParseCpuList("1,3-2"), ElementsAre(1));
  EXPECT_THAT(ParseCpuList("5,3-4,3"), ElementsAre(3, 4, 5));
  EXPECT_THAT(ParseCpuList("0-65535").size(), kMaxCpuList);
}

}  // namespace
}  // namespace sluice
