// `sluicectl metrics`: the text, and what it is asked from.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "dataplane/metrics/metrics.h"
#include "nlohmann/json.hpp"
#include "tests/support/fake_transfer.h"
#include "tests/unit/dataplane/sluicectl/sluicectl_fixture.h"

namespace sluice {
namespace {

using nlohmann::json;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Key;
using testing::Not;
using testing::Pair;
using Kind = PrometheusText::Kind;

// Samples by "name{labels}", read by the rules of the format: a family begins
// with HELP and TYPE, has all of its samples there, and each of them once.
std::map<std::string, std::string> Read(const std::string& text) {
  std::map<std::string, std::string> samples;
  std::set<std::string> families;
  std::string family, type;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string mark, what, name;
    words >> mark >> what >> name;
    if (mark == "#") {
      if (what == "HELP") {
        EXPECT_TRUE(families.insert(name).second) << line << " twice";
        family = name;
        type.clear();
        EXPECT_GT(line.size(), line.find(name) + name.size() + 1) << line;
      } else {
        EXPECT_EQ(what, "TYPE") << line;
        EXPECT_EQ(name, family) << "HELP is missing";
        words >> type;
      }
      continue;
    }
    const size_t space = line.rfind(' ');
    const std::string key = line.substr(0, space);
    EXPECT_TRUE(samples.emplace(key, line.substr(space + 1)).second) << line;
    std::string of = key.substr(0, key.find('{'));
    if (type == "histogram") {
      for (const char* suffix : {"_bucket", "_sum", "_count"}) {
        if (of == family + suffix) of = family;
      }
    }
    EXPECT_EQ(of, family) << line;
    EXPECT_EQ(type == "counter", family.ends_with("_total")) << line;
    EXPECT_TRUE(family.starts_with("sluice_")) << line;
  }
  return samples;
}

TEST(PrometheusTextTest, EscapesLabelsAndHelp) {
  PrometheusText text;
  text.Begin("sluice_a", Kind::kGauge, "back\\slash\nand \"quotes\".");
  text.Sample({{"l", "a\\b\"c\nd\xc3\xa9"}, {"m", ""}}, uint64_t{7});
  text.Sample({}, "+Inf");
  EXPECT_EQ(text.text(),
            "# HELP sluice_a back\\\\slash\\nand \"quotes\".\n"
            "# TYPE sluice_a gauge\n"
            "sluice_a{l=\"a\\\\b\\\"c\\nd\xc3\xa9\",m=\"\"} 7\n"
            "sluice_a +Inf\n");
}

TEST(MetricsTest, RoutersAndTheirPorts) {
  const auto samples = Read(FormatPrometheus(json::parse(R"({"routers": [
      {"name": "edge", "routes": 3, "max_routes": 10, "neighbors": 2,
       "memory": 99, "questions": 4, "dumps": 5, "lost_events": 6,
       "refused": 7, "ports": [
         {"port": "lan", "present": true, "to_host": 8, "from_host": 9,
          "limited": {"arp": 10, "discovery": 11, "other": 12},
          "refused": 13, "lost": 14, "taken_away": 15}]}]})")));
  EXPECT_THAT(samples, Contains(Pair("sluice_router_routes{router=\"edge\"}",
                                     "3")));
  EXPECT_THAT(
      samples,
      Contains(Pair("sluice_router_lost_events_total{router=\"edge\"}", "6")));
  const std::string port = "{router=\"edge\",port=\"lan\"";
  for (const auto& [name, value] :
       {std::pair{"to_host_packets_total", "8"},
        {"from_host_packets_total", "9"}, {"refused_packets_total", "13"},
        {"lost_packets_total", "14"}, {"taken_away_total", "15"},
        {"present", "1"}}) {
    EXPECT_THAT(samples,
                Contains(Pair("sluice_router_port_" + std::string(name) +
                                  port + "}",
                              value)));
  }
  EXPECT_THAT(samples,
              Contains(Pair("sluice_router_port_limited_packets_total" + port +
                                ",kind=\"discovery\"}",
                            "11")));
}

TEST(PrometheusTextTest, SecondsAreDecimal) {
  EXPECT_EQ(DecimalSeconds(1500, 3), "1.500");
  EXPECT_EQ(DecimalSeconds(7, 6), "0.000007");
  EXPECT_EQ(DecimalSeconds(0, 9), "0.000000000");
  EXPECT_EQ(DecimalSeconds(UINT64_MAX, 6), "18446744073709.551615");
}

TEST(PrometheusTextTest, WhatIsMissingHasNoSamples) {
  for (const json& answers :
       {json(), json::object(), json{{"filters", 5}, {"restore", "x"}},
        json{{"filters", {1, {{"name", "a"}, {"info", 7}}}},
             {"ports", {nullptr}}}}) {
    const auto samples = Read(FormatPrometheus(answers));
    EXPECT_THAT(samples, Not(Contains(Key("sluice_filter_states"))));
    EXPECT_THAT(samples, Not(Contains(Key(HasSubstr("_bucket")))));
  }
}

TEST(PrometheusTextTest, HistogramsAreCumulativeInSeconds) {
  TimeHistogram times;
  for (const RestoreTime time : {0, 1, 2, 3, 4, 1000}) times.Add(time);
  times.Add(RestoreTime{1} << 40);
  json buckets = json::array();
  for (const uint64_t count : times.buckets) buckets.push_back(count);
  PrometheusText text;
  AppendRestoreMetrics({{"total_time",
                         {{"count", times.count},
                          {"sum_us", times.sum},
                          {"buckets", buckets}}}},
                       &text);
  const auto samples = Read(text.text());
  const std::string name = "sluice_restore_total_seconds";
  const auto below = [&](const std::string& bound) {
    const auto it = samples.find(name + "_bucket{le=\"" + bound + "\"}");
    return it == samples.end() ? "none" : it->second;
  };
  EXPECT_EQ(below("0.000000"), "1");
  EXPECT_EQ(below("0.000001"), "2");
  EXPECT_EQ(below("0.000003"), "4");
  EXPECT_EQ(below("0.000511"), "5");
  EXPECT_EQ(below("0.001023"), "6");
  EXPECT_EQ(below("67.108863"), "6");
  EXPECT_EQ(below("+Inf"), "7");
  EXPECT_EQ(samples.at(name + "_count"), "7");
  EXPECT_EQ(samples.at(name + "_sum"), "1099511.628786");
}

class SluicectlMetricsTest : public SluicectlToolTest {
 protected:
  SluicectlMetricsTest() { operations_.SetTransfer(&transfer_); }

  FakeTransfer transfer_;
};

TEST_F(SluicectlMetricsTest, HasFiltersPortsAndRestores) {
  Make("vm-1", "tap1");
  directory_.main_listing.states = 12;
  directory_.main_listing.hash = "00ff";
  filter_.flow_counters = {
      {"records-lost", 1}, {"sessions", 5}, {"export-unfit", 2}};
  filter_.fragment_counters = {{"held", 3}, {"reassembled", 7}, {"expired", 1}};
  FilterListing& vm = directory_.made["vm-1"].listing;
  vm.hold = {.held = 9, .waiting = 1, .replayed = 6, .bypassed = 0,
             .dropped = 2, .refused = 0, .longest = 1500};
  PortListing& inside = directory_.ports["inside"];
  inside.device = "net_pcap0,rx_pcap=a\"b\\c";
  inside.received_packets = 100;
  inside.received_bytes = 6400;
  inside.missed = 3;
  transfer_.metrics.queue.commits = 2;
  transfer_.metrics.queue.requests[0] = 5;
  transfer_.metrics.longest_step = 2'500;
  transfer_.metrics.dropped_failed = 4;
  const Outcome outcome = Run({"metrics"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  const auto samples = Read(outcome.out);
  for (const auto& [key, value] :
       std::map<std::string, std::string>{
           {"sluice_filter_states{filter=\"main\"}", "12"},
           {"sluice_fragments_held", "3"},
           {"sluice_flow_records_total{what=\"sessions\"}", "5"},
           {"sluice_flow_records_lost_total{what=\"records-lost\"}", "1"},
           {"sluice_flow_records_lost_total{what=\"export-unfit\"}", "2"},
           {"sluice_fragment_events_total{event=\"reassembled\"}", "7"},
           {"sluice_fragment_events_total{event=\"expired\"}", "1"},
           {"sluice_filter_states{filter=\"vm-1\"}", "0"},
           {"sluice_filter_loaded{filter=\"main\"}", "1"},
           {"sluice_filter_loaded{filter=\"vm-1\"}", "0"},
           {"sluice_filter_generation{filter=\"vm-1\"}", "1"},
           {"sluice_filter_info{filter=\"main\",state=\"active\",restore="
            "\"NONE\",fail=\"closed\",hash=\"00ff\"}",
            "1"},
           {"sluice_filter_limit{filter=\"main\",limit=\"states\"}", "100000"},
           {"sluice_filter_limit{filter=\"main\",limit=\"tables\"}", "+Inf"},
           {"sluice_filter_limit_used{filter=\"vm-1\",limit=\"tables\"}", "0"},
           {"sluice_filter_limit_alarms_total{filter=\"main\",limit="
            "\"states\"}",
            "4"},
           {"sluice_filter_dropped_packets_total{filter=\"main\",reason="
            "\"match\"}",
            "124"},
           {"sluice_filter_state_inserts_total{filter=\"vm-1\"}", "31"},
           {"sluice_filter_classifier_rules{filter=\"main\"}", "21"},
           {"sluice_filter_classifier_verified{filter=\"vm-1\"}", "3"},
           {"sluice_filter_classifier_bytes{filter=\"main\"}", "4096"},
           {"sluice_filter_classifier_walked{filter=\"main\",direction="
            "\"in\",family=\"inet\"}",
            "0"},
           {"sluice_filter_classifier_walked{filter=\"main\",direction="
            "\"out\",family=\"inet6\"}",
            "1"},
           {"sluice_filter_held_packets_total{filter=\"vm-1\"}", "9"},
           {"sluice_filter_waiting_packets{filter=\"vm-1\"}", "1"},
           {"sluice_filter_longest_hold_seconds{filter=\"vm-1\"}", "1.500"},
           {"sluice_port_info{port=\"inside\",filter=\"main\",wire="
            "\"outside\",device=\"net_pcap0,rx_pcap=a\\\"b\\\\c\",driver="
            "\"net_null\",mac=\"00:00:5e:00:53:01\"}",
            "1"},
           {"sluice_port_receive_packets_total{port=\"inside\"}", "100"},
           {"sluice_port_receive_bytes_total{port=\"inside\"}", "6400"},
           {"sluice_port_receive_missed_packets_total{port=\"inside\"}", "3"},
           {"sluice_port_speed_bytes{port=\"inside\"}", "1250000000"},
           {"sluice_port_enabled{port=\"tap1\"}", "1"},
           {"sluice_restore_commits_total", "2"},
           {"sluice_restore_requests_total{source=\"packet\"}", "5"},
           {"sluice_transfer_longest_step_seconds", "0.000002500"},
           {"sluice_hold_dropped_packets_total{reason=\"failed\"}", "4"},
           {"sluice_restore_queue_seconds_count", "0"}}) {
    EXPECT_THAT(samples, Contains(Pair(key, value)));
  }
  // Nothing is there that could count.
  EXPECT_FALSE(
      samples.contains("sluice_port_receive_packets_total{port=\"tap1\"}"));
}

TEST_F(SluicectlMetricsTest, JsonHasTheAnswersThemselves) {
  Make("vm-1", "tap1");
  const json all = json::parse(Run({"--json", "metrics"}).out);
  ASSERT_EQ(all["filters"].size(), 2u);
  EXPECT_EQ(all["filters"][1]["name"], "vm-1");
  EXPECT_EQ(all["filters"][1]["info"]["drop_counters"][0]["value"], 124);
  EXPECT_EQ(all["filters"][0]["limits"][0]["name"], "states");
  EXPECT_EQ(all["ports"].size(), 3u);
  EXPECT_EQ(all["restore"]["commits"], 0);
  EXPECT_EQ(all["version"]["program"], "sluiced");
}

TEST_F(SluicectlMetricsTest, AFilterThatGoesMeanwhileIsLeftOut) {
  Make("vm-1", "tap1");
  Make("vm-2", "tap2");
  // Main is asked first.
  filter_.on_collect = [this](std::function<void()> done) {
    directory_.DestroyFilter("vm-1", [](absl::Status) {});
    done();
  };
  const Outcome outcome = Run({"metrics"});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("filter=\"vm-2\""));
  EXPECT_THAT(outcome.out, Not(HasSubstr("filter=\"vm-1\"")));
}

TEST_F(SluicectlMetricsTest, WholeOrNothing) {
  operations_.SetTransfer(nullptr);
  const Outcome outcome = Run({"metrics"});
  EXPECT_EQ(outcome.status, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr("transfers no states"));
}

TEST_F(SluicectlMetricsTest, ManyFiltersOnSeveralPages) {
  MakeFilters(300);
  const auto samples = Read(Run({"metrics"}).out);
  size_t filters = 0, ports = 0;
  for (const auto& [key, value] : samples) {
    filters += key.starts_with("sluice_filter_states{");
    ports += key.starts_with("sluice_port_enabled{");
  }
  EXPECT_EQ(filters, 301u);
  EXPECT_EQ(ports, 302u);
}

}  // namespace
}  // namespace sluice
