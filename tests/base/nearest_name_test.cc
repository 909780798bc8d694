#include "storage/base/nearest_name.h"

#include <catch2/catch.hpp>

#include <string>

using millrace::nearest_name;

namespace {

constexpr std::string_view names[] = {"data.dir", "log.level", "topic.retention_age",
                                      "topic.retention_bytes", "live"};

}  // namespace

TEST_CASE("a slip of a few letters names what was meant") {
  CHECK(nearest_name("data.dri", names) == "data.dir");
  CHECK(nearest_name("log.levle", names) == "log.level");
  CHECK(nearest_name("topic.retention", names) == "topic.retention_age");
  CHECK(nearest_name("topic.retentionbytes", names) == "topic.retention_bytes");
  CHECK(nearest_name("lve", names) == "live");
  for (const std::string_view name : names) CHECK(nearest_name(name, names) == name);
}

TEST_CASE("a name that is far from all known ones names none") {
  for (const char* far :
       {"", "x", "colour", "network.threads", "data.replication_factor", "partition"})
    CHECK_FALSE(nearest_name(far, names));
  CHECK_FALSE(nearest_name(std::string(1'000'000, 'a'), names));
  CHECK_FALSE(nearest_name("live", {}));
}
