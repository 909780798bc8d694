// A checkpoint is written when a segment's file is made, before its first commit. Of a new log, or
// of one trimmed to its end, it then names a segment that begins where the log starts and ends.
// When that file was lost, recovery and the offline check took the log for one that was let go,
// said nothing, and gave the offsets of acked events away again.
#include "storage/inspect/partition_check.h"
#include "storage/log_files.h"
#include "tests/storage/log_fixture.h"
#include "tests/support/temp_dir.h"

#include <catch2/catch.hpp>

#include <fstream>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

namespace {

std::vector<inspect::Finding> verify(LogFixture& f) {
  const TempDir directory;
  for (const auto& [path, bytes] : f.storage.disk().files()) {
    if (!path.starts_with(f.storage.identity().directory)) continue;
    const std::string name = path.substr(f.storage.identity().directory.size() + 1);
    std::ofstream(directory / name, std::ios::binary) << as_text(bytes);
  }
  inspect::Inspection inspection(directory.path(), inspect::Depth::verify, {});
  const LogIdentity& identity = f.storage.identity();
  inspect::PartitionCheck check(inspection,
                                {identity.cluster_id, identity.topic_id, identity.partition}, ".");
  check.run();
  return inspection.report.faults;
}

// The checkpoint that says where a segment begins is the last one.
SimStorageOptions rare_checkpoints() {
  SimStorageOptions options{.log = small_log_options(), .pool_bytes = 0};
  options.log.segment_age = seconds(30);
  options.log.checkpoint_interval_bytes = 1 * GiB;
  return options;
}

void require_missed(LogFixture& f, Offset begin) {
  f.storage.crash(CrashPolicy::kill());
  f.storage.disk().remove_file(f.storage.path(segment_file_name(begin)));
  const auto faults = verify(f);
  REQUIRE(faults.size() == 1);
  REQUIRE(faults[0].begin_offset == begin.value);
  REQUIRE(faults[0].end_offset == begin.value + 1);
  for (int start = 0; start < 3; ++start) {
    f.open();
    REQUIRE(f.storage.log().refusal().find("missing") != std::string::npos);
    REQUIRE(f.storage.log().corrupt_ranges().size() == 1);
    REQUIRE_FALSE(f.storage.append(make_batch("again")));
    f.close();
  }
}

}  // namespace

TEST_CASE("G2 G7 ST-09 the only segment of a new log is missed") {
  LogFixture f(1, rare_checkpoints());
  f.put_many(3);
  require_missed(f, Offset{0});
}

TEST_CASE("G2 G7 ST-09 the newest segment of a log that was trimmed to its end is missed") {
  LogFixture f(1, rare_checkpoints());
  f.put_many(3);
  f.storage.advance(seconds(60));
  f.storage.log().apply_retention();
  f.storage.settle();
  const Offset end = f.storage.log().durable_end();
  REQUIRE(LogFixture::reason(f.storage.trim(end)) == "");
  f.storage.settle();
  f.put_many(3);
  REQUIRE(f.storage.files_ending(".segment").size() == 1);
  require_missed(f, end);
}
