// `millrace log verify` told other damage than the broker: it took a file that is not the log's for
// a segment of it, gave up a whole commit whose first batch was damaged although a checkpoint
// vouches for it, did not miss a newest segment that only the checkpoint knew, called the partial
// index of a segment that lived through a restart wrong, and missed events that had been trimmed
// behind a segment whose removal was not carried out.
#include "storage/inspect/partition_check.h"
#include "storage/log_files.h"
#include "tests/storage/log_fixture.h"
#include "tests/support/temp_dir.h"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

namespace {

using Range = std::pair<std::uint64_t, std::uint64_t>;

struct Verdict {
  std::vector<Range> lost;  // faults that name offsets
  std::size_t faults = 0;
  inspect::PartitionReport partition;
};

// What the offline check says of the files that lie on the disk now.
Verdict verify(LogFixture& f) {
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
  Verdict out;
  out.partition = check.run();
  out.faults = inspection.report.faults.size();
  for (const auto& fault : inspection.report.faults)
    if (fault.begin_offset) out.lost.emplace_back(*fault.begin_offset, *fault.end_offset);
  return out;
}

}  // namespace

TEST_CASE("G7 ST-11 a file that is not of this log hides nothing from the offline check") {
  LogFixture f;
  f.put_many(5);
  f.close();
  auto files = f.storage.disk().files();
  files[f.storage.path(segment_file_name(Offset{3}))] = files.at(f.storage.segment_path(0));
  f.storage.disk().restore(files);
  const Verdict verdict = verify(f);
  CHECK(verdict.faults == 1);
  CHECK(verdict.lost.empty());
  CHECK(verdict.partition.end_offset == 5);
  f.open();
  f.require_all(true);
}

TEST_CASE("G7 ST-05 a damaged batch below the checkpoint's end costs itself alone offline too") {
  LogFixture f;
  for (int i = 0; i < 3; ++i) f.stage(make_batch("of one commit"));
  f.commit();
  const auto [path, place] = f.place_of(Offset{0});
  f.close();
  f.storage.disk().corrupt(path, place + batch_layout::header_bytes + 40, 1);
  CHECK(verify(f).lost == std::vector<Range>{{0, 1}});
  f.open();
  f.require_all_but({{Offset{0}, Offset{1}}}, true);
}

TEST_CASE("ST-07 the partial index of a segment that lived through a restart is no fault") {
  LogFixture f;
  f.put_many(5);
  f.reopen();
  f.put_segments(2);
  f.close();
  CHECK(f.storage.files_ending(".index").size() == 1);
  CHECK(verify(f).faults == 0);
}

TEST_CASE("ST-09 a newest segment that only the checkpoint knows is missed offline too") {
  LogFixture f;
  f.put_many(3);
  f.close();
  // The segment that was to come next was made, but nothing written to it yet.
  Checkpoint next;
  next.generation = 100;
  next.topic_id = f.storage.identity().topic_id;
  next.durable_end = next.segment_base = Offset{3};
  next.segment_id = 77;
  next.scan_position = segment_layout::first_batch_position;
  f.storage.disk().write_file(f.storage.path(checkpoint_file_name), encode_checkpoint(next));
  CHECK(verify(f).faults == 1);
  f.open();
  CHECK_FALSE(f.storage.log().refusal().empty());
}

TEST_CASE("G7 ST-25 of a log that was trimmed to its end a leftover is no damage offline either") {
  auto log = small_log_options();
  log.segment_age = seconds(30);
  LogFixture f(1, {.log = log, .pool_bytes = 0});
  f.put_segments(3);
  f.storage.advance(seconds(60));
  f.storage.log().apply_retention();  // seals the newest
  f.storage.settle();
  const auto oldest = f.storage.segment_path(0);
  const auto bytes = f.storage.disk().read_file(oldest);
  f.refuse_new_segments();
  REQUIRE(LogFixture::reason(f.storage.trim(f.storage.log().durable_end())) == "");
  f.storage.settle();
  f.storage.disk().lift_faults();
  f.storage.crash(CrashPolicy::all());
  REQUIRE(f.storage.files_ending(".segment").empty());
  f.storage.disk().write_file(oldest, bytes);
  const Verdict verdict = verify(f);
  CHECK(verdict.faults == 0);
  CHECK(verdict.lost.empty());
  f.open();
  CHECK(f.storage.log().corrupt_ranges().empty());
}
