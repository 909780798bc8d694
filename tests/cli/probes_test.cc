// What the doctor reads of the machine, and the small figures of the bench.
#include "client/cli/disk_probe.h"
#include "client/cli/latency_sample.h"
#include "client/cli/text_table.h"

#include <catch2/catch.hpp>

namespace millrace::cli {
namespace {

constexpr const char* mountinfo =
    "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro\n"
    "30 22 254:0 /srv /data rw,noatime - ext4 /dev/vda1 rw,nobarrier\n"
    "31 22 0:40 / /tmp rw master:1 shared:2 - tmpfs tmpfs rw,size=1g\n";

TEST_CASE("the mount of a path is the deepest one of its device") {
  CHECK(find_mount(mountinfo, "254:0", "/home/x").point == "/");
  const Mount data = find_mount(mountinfo, "254:0", "/data/millrace");
  CHECK(data.point == "/data");
  CHECK(data.options == "rw,noatime");
  CHECK(data.super_options == "rw,nobarrier");
  CHECK(find_mount(mountinfo, "254:0", "/database").point == "/");
  CHECK(find_mount(mountinfo, "0:40", "/tmp").type == "tmpfs");
  CHECK(find_mount(mountinfo, "9:9", "/tmp").type.empty());
}

TEST_CASE("quantiles are measured values, the last one is the largest") {
  LatencySample sample;
  CHECK(sample.quantile(0.5) == 0);
  for (int i = 100; i >= 1; --i) sample.add(i);
  CHECK(sample.quantile(0.5) == 50);
  CHECK(sample.quantile(0.99) == 99);
  CHECK(sample.quantile(1) == 100);
  CHECK(sample.quantile(0) == 1);
}

TEST_CASE("tables align numbers to the right and leave no space at the end of a line") {
  TextTable table({"NAME", ">COUNT", "STATE"});
  table.add_row({"a", "1", "ok"});
  table.add_row({"longer", "12345678", ""});
  CHECK(table.to_string() ==
        "NAME       COUNT  STATE\n"
        "a              1  ok\n"
        "longer  12345678\n");
}

TEST_CASE("figures are told in units that people read") {
  CHECK(human_bytes(12) == "12 B");
  CHECK(human_bytes(1536) == "1.5 KiB");
  CHECK(human_bytes(3ull << 30) == "3.0 GiB");
  CHECK(human_count(0) == "0");
  CHECK(human_count(999) == "999");
  CHECK(human_count(1234567) == "1,234,567");
  CHECK(human_seconds(0.000176) == "176.0 us");
  CHECK(human_seconds(0.25) == "250.000 ms");
  CHECK(human_rate(300'000'000, 1.5) == "200.0 MB/s");
}

}  // namespace
}  // namespace millrace::cli
