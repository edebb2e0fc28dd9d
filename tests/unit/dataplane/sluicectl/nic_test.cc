// `sluicectl nic` over a machine made of files, with a kernel that answers to
// what is written.
#include "dataplane/sluicectl/nic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"
#include "tests/support/fake_host.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kOutside[] = "0000:03:00.0";
constexpr char kInside[] = "0000:03:00.1";

class NicTest : public ::testing::Test {
 protected:
  NicTest() {
    host_.LoadVfio();
    host_.Add({.address = kOutside, .driver = "ixgbe", .group = 7,
               .interface = "ens1f0"});
    host_.Add({.address = kInside, .driver = "ixgbe", .group = 8,
               .interface = "ens1f1"});
    host_.Add({.address = "0000:00:1f.2", .class_code = "0x010601",
               .driver = "ahci"});
  }

  // What the kernel does with a write: drivers come and go.
  absl::Status Write(std::string_view path, std::string_view text) {
    const std::string file(path);
    std::string word(text);
    if (word.ends_with('\n')) word.pop_back();
    writes_.push_back(
        absl::StrCat(file.substr(std::string("/sys/bus/pci/").size()), " ",
                     word));
    if (file == fail_at_) return absl::InternalError("no");
    if (file.ends_with("/driver_override")) {
      host_.Put(file, word.empty() ? "(null)" : word);
    } else if (file.ends_with("/driver/unbind")) {
      host_.SetDriver(word, "");
    } else {
      const std::string wanted =
          host_.files()
              .Read(FakeHost::Device(word) + "/driver_override")
              .value_or("");
      const std::string driver = wanted == "(null)" ? kernel_driver_ : wanted;
      if (driver != refusing_driver_) host_.SetDriver(word, driver);
    }
    return absl::OkStatus();
  }

  int Run(std::vector<std::string> words) {
    const auto arguments = ParseNicArguments(words);
    EXPECT_TRUE(arguments.ok()) << arguments.status();
    out_.str("");
    err_.str("");
    NicTool tool(
        host_.files(),
        [this](std::string_view path, std::string_view text) {
          return Write(path, text);
        },
        out_, err_);
    return tool.Run(*arguments);
  }

  FakeHost host_;
  std::string kernel_driver_ = "ixgbe";
  std::string refusing_driver_ = "none refuses";
  std::string fail_at_;
  std::vector<std::string> writes_;
  std::ostringstream out_, err_;
};

TEST_F(NicTest, BindsAndGivesBack) {
  EXPECT_EQ(Run({"bind", kOutside}), 0) << err_.str();
  EXPECT_THAT(writes_,
              ElementsAre("devices/0000:03:00.0/driver_override vfio-pci",
                          "devices/0000:03:00.0/driver/unbind 0000:03:00.0",
                          "drivers_probe 0000:03:00.0"));
  EXPECT_EQ(host_.DriverOf(kOutside), "vfio-pci");
  EXPECT_EQ(host_.DriverOf(kInside), "ixgbe");
  EXPECT_EQ(out_.str(), "0000:03:00.0: ixgbe -> vfio-pci\n");

  writes_.clear();
  EXPECT_EQ(Run({"unbind", "03:00.0"}), 0) << err_.str();
  EXPECT_THAT(writes_,
              ElementsAre("devices/0000:03:00.0/driver_override ",
                          "devices/0000:03:00.0/driver/unbind 0000:03:00.0",
                          "drivers_probe 0000:03:00.0"));
  EXPECT_EQ(host_.DriverOf(kOutside), "ixgbe");
}

TEST_F(NicTest, BindsByInterfaceAndEachOnce) {
  EXPECT_EQ(Run({"bind", "ens1f1", "03:00.1", "0000:03:00.0"}), 0)
      << err_.str();
  EXPECT_EQ(host_.DriverOf(kInside), "vfio-pci");
  EXPECT_EQ(host_.DriverOf(kOutside), "vfio-pci");
  EXPECT_EQ(writes_.size(), 6u);
}

TEST_F(NicTest, WhatIsBoundStays) {
  host_.SetDriver(kOutside, "vfio-pci");
  EXPECT_EQ(Run({"bind", kOutside}), 0);
  EXPECT_THAT(writes_, IsEmpty());
  EXPECT_THAT(out_.str(), HasSubstr("already"));
  EXPECT_EQ(Run({"unbind", kInside}), 0);
  EXPECT_THAT(writes_, IsEmpty());
}

struct InUse {
  const char* description;
  bool up;
  const char* routes4;
  const char* routes6;
  const char* master;
  const char* expected;
};

class NicInUseTest : public NicTest,
                     public ::testing::WithParamInterface<InUse> {};

TEST_P(NicInUseTest, IsRefusedUnlessForced) {
  const InUse& use = GetParam();
  host_.Add({.address = kInside, .driver = "ixgbe", .group = 8,
             .interface = "ens1f1", .up = use.up});
  host_.Put("/proc/net/route", use.routes4);
  host_.Put("/proc/net/ipv6_route", use.routes6);
  if (*use.master != '\0') {
    host_.Link("/sys/class/net/ens1f1/master", use.master);
  }
  // The other one is as it was, too.
  EXPECT_EQ(Run({"bind", kOutside, kInside}), 1) << use.description;
  EXPECT_THAT(err_.str(), HasSubstr(use.expected));
  EXPECT_THAT(err_.str(), HasSubstr("nothing was changed"));
  EXPECT_THAT(writes_, IsEmpty());
  EXPECT_EQ(Run({"bind", "--force", kInside}), 0) << err_.str();
  EXPECT_EQ(host_.DriverOf(kInside), "vfio-pci");
}

INSTANTIATE_TEST_SUITE_P(
    All, NicInUseTest,
    ::testing::Values(
        InUse{"up", true, "", "", "", "interface ens1f1 is up"},
        InUse{"IPv6 routes", false, "", kRoutes6, "",
              "ens1f1 has the default route"},
        InUse{"IPv4 route", false,
              "Iface\tDestination\nens1f1\t000200C0\t00000000\t0001\t0\t0\t0\t"
              "00FFFFFF\t0\t0\t0\n",
              "", "", "ens1f1 has 1 route(s)"},
        InUse{"in a bridge", false, "", "", "../../../virtual/net/br0",
              "ens1f1 belongs to br0"}));

TEST_F(NicTest, OthersRoutesDoNotCount) {
  host_.Put("/proc/net/route", kRoutes4);
  EXPECT_EQ(Run({"bind", kInside}), 0) << err_.str();
}

TEST_F(NicTest, NeedsDriverAndIommu) {
  host_.Remove("/sys/bus/pci/drivers/vfio-pci");
  EXPECT_EQ(Run({"bind", "--force", kOutside}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("`modprobe vfio-pci`"));

  host_.LoadVfio();
  host_.Remove(FakeHost::Device(kOutside) + "/iommu_group");
  EXPECT_EQ(Run({"bind", kOutside}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("behind no IOMMU"));

  host_.Remove("/sys/kernel/iommu_groups/7");
  host_.Remove("/sys/kernel/iommu_groups/8");
  EXPECT_EQ(Run({"bind", kOutside}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("intel_iommu=on"));
  EXPECT_THAT(writes_, IsEmpty());

  host_.Put("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n");
  EXPECT_EQ(Run({"bind", kOutside}), 0) << err_.str();
}

TEST_F(NicTest, WhatIsNoNicIsRefused) {
  EXPECT_EQ(Run({"bind", "0000:00:1f.2"}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("no network controller"));
  EXPECT_EQ(Run({"bind", "0000:09:00.0", "eth9"}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("device 0000:09:00.0"));
  EXPECT_THAT(err_.str(), HasSubstr("device eth9"));
  EXPECT_THAT(writes_, IsEmpty());
}

TEST_F(NicTest, SaysWhatGroupMatesNeed) {
  host_.Add({.address = "0000:03:00.2", .driver = "ahci", .group = 7});
  host_.Add({.address = "0000:00:1c.0", .class_code = "0x060400",
             .driver = "shpchp", .group = 7});
  EXPECT_EQ(Run({"bind", kOutside}), 0);
  EXPECT_THAT(err_.str(),
              HasSubstr("IOMMU group 7 also holds 0000:03:00.2 (ahci);"));
}

TEST_F(NicTest, FailureUndoesWhatWasDone) {
  fail_at_ = "/sys/bus/pci/devices/0000:03:00.1/driver/unbind";
  EXPECT_EQ(Run({"bind", kOutside, kInside}), 1);
  EXPECT_EQ(host_.DriverOf(kOutside), "ixgbe");
  EXPECT_EQ(host_.DriverOf(kInside), "ixgbe");
  EXPECT_THAT(err_.str(), HasSubstr("0000:03:00.0: left with ixgbe"));
  EXPECT_EQ(host_.files().Read(FakeHost::Device(kOutside) +
                               "/driver_override"),
            "(null)");
}

TEST_F(NicTest, DriverThatDoesNotTakeIt) {
  refusing_driver_ = "vfio-pci";
  EXPECT_EQ(Run({"bind", kOutside}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("vfio-pci did not take it"));
  EXPECT_EQ(host_.DriverOf(kOutside), "ixgbe");
}

TEST_F(NicTest, UnbindTellsWhichModuleIsMissing) {
  host_.SetDriver(kOutside, "vfio-pci");
  kernel_driver_ = "";
  EXPECT_EQ(Run({"unbind", kOutside}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("`modprobe pci:v00008086d000010FB`"));
}

TEST_F(NicTest, UnbindRefusesWhatIsUsed) {
  host_.SetDriver(kOutside, "vfio-pci");
  host_.Link("/proc/123/fd/5", "/dev/vfio/7");
  host_.Put("/proc/123/comm", "sluiced\n");
  EXPECT_EQ(Run({"unbind", kOutside}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("is used by 123 (sluiced)"));
  EXPECT_THAT(writes_, IsEmpty());
}

TEST_F(NicTest, ListsAsTable) {
  host_.Add({.address = kOutside, .driver = "ixgbe", .numa_node = 1,
             .group = 7, .interface = "ens1f0", .up = true});
  host_.Add({.address = "0000:04:00.0", .vendor = "0x1af4",
             .device = "0x1041", .driver = "virtio-pci",
             .interface = "eth2", .below_virtio = true});
  host_.SetDriver(kInside, "vfio-pci");
  host_.Remove(FakeHost::Device(kInside) + "/net");
  host_.Link("/proc/123/fd/5", "/dev/vfio/8");
  host_.Put("/proc/123/comm", "sluiced\n");
  host_.Put("/proc/net/route", kRoutes4);
  host_.Put("/usr/share/misc/pci.ids",
            "# list\n8086  Intel Corporation\n\t10fb  82599ES 10-Gigabit\n"
            "\t\t8086 0000  a subsystem\n");
  EXPECT_EQ(Run({"list"}), 0);
  EXPECT_EQ(
      out_.str(),
      "DEVICE        DRIVER      INTERFACE  USE                NODE  GROUP  "
      "MODEL\n"
      "0000:03:00.0  ixgbe       ens1f0     up, default route  1     7      "
      "Intel Corporation 82599ES 10-Gigabit\n"
      "0000:03:00.1  vfio-pci    -          123 (sluiced)      -     8      "
      "Intel Corporation 82599ES 10-Gigabit\n"
      "0000:04:00.0  virtio-pci  eth2       down               -     -      "
      "1af4:1041\n");
  EXPECT_THAT(err_.str(), IsEmpty());
}

TEST_F(NicTest, ListsAsJson) {
  EXPECT_EQ(Run({"list", "--json"}), 0);
  const auto document = nlohmann::json::parse(out_.str());
  EXPECT_TRUE(document["iommu"]);
  ASSERT_EQ(document["nics"].size(), 2u);
  EXPECT_EQ(document["nics"][0]["address"], kOutside);
  EXPECT_EQ(document["nics"][0]["iommu_group"], 7);
  EXPECT_EQ(document["nics"][0]["interfaces"][0]["name"], "ens1f0");
}

TEST_F(NicTest, ListSaysWhatVfioLacks) {
  FakeHost bare;
  std::ostringstream out, err;
  NicTool tool(bare.files(), {}, out, err);
  EXPECT_EQ(tool.Run({}), 0);
  EXPECT_EQ(out.str(), "no PCI network devices\n");
  EXPECT_THAT(err.str(), HasSubstr("`modprobe vfio-pci`"));
  EXPECT_THAT(err.str(), HasSubstr("there is no IOMMU"));
}

TEST(NicArgumentsTest, Words) {
  const std::vector<std::string> bind = {"bind", "--driver=igb_uio", "-f",
                                         "eth0"};
  const auto arguments = ParseNicArguments(bind);
  ASSERT_TRUE(arguments.ok()) << arguments.status();
  EXPECT_EQ(arguments->command, NicCommand::kBind);
  EXPECT_EQ(arguments->driver, "igb_uio");
  EXPECT_TRUE(arguments->force);
  EXPECT_THAT(arguments->devices, ElementsAre("eth0"));

  for (const std::vector<std::string>& wrong :
       {std::vector<std::string>{},
        {"status"},
        {"bind"},
        {"unbind"},
        {"list", "eth0"},
        {"bind", "--driver", "e1000e", "eth0"},
        {"bind", "eth0", "--driver"},
        {"unbind", "--driver=vfio-pci", "eth0"},
        {"bind", "--json", "eth0"},
        {"bind", "--wat", "eth0"}}) {
    EXPECT_FALSE(ParseNicArguments(wrong).ok())
        << ::testing::PrintToString(wrong);
  }
}

}  // namespace
}  // namespace sluice
