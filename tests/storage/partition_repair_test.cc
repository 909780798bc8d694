// A log's files, laid out as a data directory, repaired by the tool and opened again by the
// broker's own code.
#include "storage/inspect/partition_repair.h"

#include "storage/data_directory.h"
#include "storage/inspect/partition_check.h"
#include "storage/log_files.h"
#include "tests/storage/log_fixture.h"
#include "tests/support/temp_dir.h"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

using namespace millrace;
using namespace millrace::inspect;
using namespace millrace::sim;
using namespace millrace::test;
namespace fs = std::filesystem;

namespace {

// A closed log of four segments, of which the last is active.
struct Repaired {
  Repaired() {
    f.put_segments(4, 3000);
    f.put_many(3, 3000);
    for (const auto& name : f.storage.files_ending(".segment")) {
      segments.push_back(name);
      bases.push_back(Offset{std::stoull(name)});
    }
    end = f.storage.log().durable_end();
    f.close();
    files = f.storage.disk().files();
    lay_out();
  }

  std::string topic() { return f.storage.identity().topic_id.to_hex(); }
  std::string real_directory() { return directory / ("topics/" + topic() + "/0"); }

  // -- from the simulated disk to files and back
  void lay_out() {
    fs::create_directories(real_directory());
    std::vector<std::byte> block(identity_layout::block_bytes);
    encode_identity({f.storage.identity().cluster_id, WallTime{1}}, block);
    write(directory / "identity", block);
    for (const auto& [path, bytes] : files) {
      if (path.starts_with(f.storage.identity().directory))
        write(real_directory() + path.substr(path.rfind('/')), bytes);
    }
  }
  void open() {
    SimDisk::Files now;
    for (const auto& entry : fs::directory_iterator(real_directory())) {
      std::ifstream in(entry.path(), std::ios::binary);
      const std::string text((std::istreambuf_iterator<char>(in)), {});
      const auto* data = reinterpret_cast<const std::byte*>(text.data());
      now[f.storage.path(entry.path().filename().string())] = {data, data + text.size()};
    }
    f.storage.disk().restore(now);
    f.open();
  }
  static void write(const std::string& path, const std::vector<std::byte>& bytes) {
    std::ofstream out(path, std::ios::binary);
    out.write(reinterpret_cast<const char*>(bytes.data()),
              static_cast<std::streamsize>(bytes.size()));
    REQUIRE(out.good());
  }
  void lose(std::size_t segment) {
    fs::remove(real_directory() + "/" + segments[segment]);
    fs::remove(real_directory() + "/" + index_file_name(bases[segment]));
  }
  void flip(std::size_t segment, std::size_t position) {
    std::fstream file(real_directory() + "/" + segments[segment],
                      std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(static_cast<std::streamoff>(position));
    const auto was = static_cast<char>(file.get());
    file.seekp(static_cast<std::streamoff>(position));
    file.put(static_cast<char>(was ^ 0x40));
  }

  // -- the tool
  Result<PartitionRepair> plan(RepairKind kind, Offset offset = {}) {
    auto found = find_partition_files(directory.path(), topic(), 0);
    if (!found) return fail(found.error());
    return PartitionRepair::plan(std::move(*found), {kind, offset});
  }
  RepairPlan repair(RepairKind kind, Offset offset = {}) {
    auto repair = plan(kind, offset);
    INFO((repair ? "" : repair.error().to_string()));
    REQUIRE(repair);
    REQUIRE(LogFixture::reason(repair->apply()) == "");
    return repair->plan();
  }
  std::size_t in_quarantine() const {
    const std::string path = directory / "quarantine";
    if (!fs::exists(path)) return 0;
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(path), fs::directory_iterator()));
  }
  std::size_t known_events_in(OffsetRange range) const {
    std::size_t events = 0;
    for (const auto& batch : f.known)
      if (batch.offsets.begin >= range.begin && batch.offsets.end <= range.end)
        events += batch.offsets.count();
    return events;
  }
  void forget_from(Offset offset) {
    std::erase_if(f.known, [&](const KnownBatch& b) { return b.offsets.begin >= offset; });
  }

  LogFixture f;
  TempDir directory;
  std::vector<std::string> segments;
  std::vector<Offset> bases;
  Offset end;
  SimDisk::Files files;
};

// Ranges that touch as one.
std::vector<OffsetRange> joined(const std::vector<OffsetRange>& ranges) {
  std::vector<OffsetRange> out;
  for (const OffsetRange& range : ranges) {
    if (!out.empty() && out.back().end == range.begin) {
      out.back().end = range.end;
    } else {
      out.push_back(range);
    }
  }
  return out;
}

}  // namespace

TEST_CASE("ST-09 a missing segment is fenced on an explicit word: appends resume, the rest stays") {
  Repaired r;
  r.lose(1);
  r.open();
  CHECK_FALSE(r.f.storage.log().refusal().empty());
  r.f.close();

  const auto plan = r.repair(RepairKind::fence);
  const OffsetRange hole{r.bases[1], r.bases[2]};
  CHECK(plan.fenced == std::vector{hole});
  CHECK(plan.events == 0);

  for (int starts = 0; starts < 2; ++starts) {
    r.open();
    CHECK(r.f.storage.log().refusal() == "");
    CHECK(r.f.storage.log().durable_end() == r.end);
    r.f.require_all_but({hole}, true);
    r.f.close();
  }
  r.open();
  r.f.put_many(3);
  r.f.require_all_but({hole}, true);
}

TEST_CASE("ST-09 a missing newest segment is fenced: its offsets are never given again") {
  Repaired r;
  r.lose(3);
  const auto plan = r.repair(RepairKind::fence);
  const OffsetRange hole{r.bases[3], r.end};
  CHECK(plan.fenced == std::vector{hole});
  r.open();
  CHECK(r.f.storage.log().refusal() == "");
  CHECK(r.f.storage.log().durable_end() == r.end);
  r.f.put_many(2);
  CHECK(r.f.known.back().offsets.begin >= r.end);
  r.f.require_all_but({hole}, true);
  r.f.reopen();
  r.f.require_all_but({hole}, true);
}

TEST_CASE("ST-09 missing first segments, several in a row, and all of them are fenced") {
  const std::vector<std::vector<std::size_t>> lost{{0},    {0, 1}, {1, 2},
                                                   {2, 3}, {0, 2}, {0, 1, 2, 3}};
  for (const auto& gone : lost) {
    Repaired r;
    std::vector<OffsetRange> holes;
    for (const std::size_t i : gone) {
      r.lose(i);
      const Offset hole_end = i + 1 < r.bases.size() ? r.bases[i + 1] : r.end;
      if (!holes.empty() && holes.back().end == r.bases[i]) {
        holes.back().end = hole_end;
      } else {
        holes.push_back({r.bases[i], hole_end});
      }
    }
    INFO("lost " << gone.size() << ", the first is " << gone.front());
    const auto fenced = r.repair(RepairKind::fence).fenced;
    CHECK(joined(fenced) == holes);
    r.open();
    CHECK(r.f.storage.log().refusal() == "");
    r.f.put_many(2);
    r.f.require_all_but(fenced, true);
    r.f.close();
  }
}

TEST_CASE(
    "G2 ST-09 a missing newest segment that the checkpoint has only just named is fenced: the "
    "offset that it held at least is never given again") {
  for (const bool others_are_there : {false, true}) {
    INFO("the segments before it " << (others_are_there ? "are there" : "were trimmed"));
    Repaired r;
    if (!others_are_there)
      for (std::size_t i = 0; i < 3; ++i) r.lose(i);
    r.lose(3);
    Checkpoint checkpoint;
    checkpoint.topic_id = r.f.storage.identity().topic_id;
    checkpoint.generation = 1;
    checkpoint.segment_id = 7;
    checkpoint.start_offset = others_are_there ? Offset{0} : r.bases[3];
    checkpoint.durable_end = checkpoint.segment_base = r.bases[3];
    r.write(r.real_directory() + "/" + std::string(checkpoint_file_name),
            encode_checkpoint(checkpoint));
    const OffsetRange hole{r.bases[3], r.bases[3] + 1};
    CHECK(r.repair(RepairKind::fence).fenced == std::vector{hole});
    r.forget_from(r.bases[3]);
    if (!others_are_there) r.f.known.clear();
    for (int starts = 0; starts < 2; ++starts) {
      r.open();
      CHECK(r.f.storage.log().refusal() == "");
      r.f.put_many(2);
      CHECK(r.f.known.front().offsets.begin == (others_are_there ? Offset{0} : hole.end));
      r.f.require_all_but({hole}, true);
      r.f.close();
      r.files = r.f.storage.disk().files();
      r.lay_out();
    }
  }
}

// The checkpoint knows nothing of the newest segment, or there is none: what its batches say of
// themselves is all there is.
TEST_CASE("G2 ST-09 a fence over an unreadable newest segment reaches over all its batches") {
  const bool has_checkpoint = GENERATE(false, true);
  const auto damaged = GENERATE(std::size_t{100}, std::size_t{4096});
  INFO((has_checkpoint ? "with" : "without") << " a checkpoint, damaged up to " << damaged);
  Repaired r;
  r.flip(3, 100);
  if (damaged > 100) r.flip(3, damaged + 20);  // the header of the first batch
  const std::string path = r.real_directory() + "/" + std::string(checkpoint_file_name);
  fs::remove(path);
  Checkpoint checkpoint;  // of a time before the newest segment
  checkpoint.topic_id = r.f.storage.identity().topic_id;
  checkpoint.generation = 1;
  checkpoint.durable_end = r.bases[1];
  if (has_checkpoint) r.write(path, encode_checkpoint(checkpoint));
  const OffsetRange hole{r.bases[3], r.end};
  Inspection inspection(r.directory.path(), Depth::verify, {});
  const LogIdentity& log = r.f.storage.identity();
  PartitionCheck(inspection, {log.cluster_id, log.topic_id, log.partition},
                 "topics/" + r.topic() + "/0")
      .run();
  const auto& faults = inspection.report.faults;
  CHECK(std::any_of(faults.begin(), faults.end(), [&](const Finding& fault) {
    return fault.begin_offset == hole.begin.value && fault.end_offset == hole.end.value;
  }));
  CHECK(r.repair(RepairKind::fence).fenced == std::vector{hole});
  r.forget_from(r.bases[3]);
  r.open();
  CHECK(r.f.storage.log().refusal() == "");
  REQUIRE(r.f.storage.append_and_commit(make_batch("next"))->begin == r.end);
  r.f.close();
}

// After a truncation or a repair the checkpoint names no segment: it has the id 0 and the base 0,
// where the only segment of a log begins, too.
TEST_CASE("G2 ST-09 a checkpoint that names no segment hides no batches of the first one") {
  Repaired r;
  for (std::size_t i = 1; i < 4; ++i) r.lose(i);
  Checkpoint checkpoint;
  checkpoint.topic_id = r.f.storage.identity().topic_id;
  checkpoint.generation = 1;
  checkpoint.durable_end = Offset{1};
  r.write(r.real_directory() + "/" + std::string(checkpoint_file_name),
          encode_checkpoint(checkpoint));
  r.flip(0, 100);
  CHECK(r.repair(RepairKind::fence).fenced == std::vector<OffsetRange>{{Offset{0}, r.bases[1]}});
}

// A file that was used before holds batches of its older segment behind its own.
TEST_CASE("ST-09 batches of an older segment in the file of an unreadable one do not count") {
  Repaired r;
  auto bytes = r.files.at(r.f.storage.path(r.segments[3]));
  bytes.resize(align_up(bytes.size(), 4096));
  Bytes older = make_batch("of an older segment");
  BatchPlace place;
  place.base_offset = r.end + 1'000;
  place.segment_id = 0xABCDEF;
  place.position = place.durable_position = static_cast<std::uint32_t>(bytes.size());
  stamp_batch(older, view_of(older).header(), place);
  bytes.insert(bytes.end(), older.begin(), older.end());
  r.write(r.real_directory() + "/" + r.segments[3], bytes);
  fs::remove(r.real_directory() + "/" + std::string(checkpoint_file_name));
  r.flip(3, 100);
  CHECK(r.repair(RepairKind::fence).fenced == std::vector<OffsetRange>{{r.bases[3], r.end}});
}

TEST_CASE("G2 ST-09 a fence over an unreadable newest segment is never empty") {
  Repaired r;
  auto bytes = r.files.at(r.f.storage.path(r.segments[3]));
  std::fill(bytes.begin() + 100, bytes.end(), std::byte{0});
  r.write(r.real_directory() + "/" + r.segments[3], bytes);
  fs::remove(r.real_directory() + "/" + std::string(checkpoint_file_name));
  const OffsetRange hole{r.bases[3], r.bases[3] + 1};
  CHECK(r.repair(RepairKind::fence).fenced == std::vector{hole});
  r.forget_from(r.bases[3]);
  r.open();
  CHECK(r.f.storage.log().refusal() == "");
  r.f.put_many(2);
  CHECK(r.f.known.back().offsets.begin >= hole.end);
  r.f.require_all_but({hole}, true);
  r.f.close();
}

TEST_CASE("ST-09 a trimmed segment that the checkpoint names is nothing to fence") {
  Repaired r;
  r.lose(3);
  Checkpoint checkpoint;  // everything was trimmed; the removal of the older ones was cut short
  checkpoint.topic_id = r.f.storage.identity().topic_id;
  checkpoint.generation = 1;
  checkpoint.segment_id = 7;
  checkpoint.start_offset = checkpoint.durable_end = r.end;
  checkpoint.segment_base = r.bases[3];
  r.write(r.real_directory() + "/" + std::string(checkpoint_file_name),
          encode_checkpoint(checkpoint));
  const auto repair = r.plan(RepairKind::fence);
  REQUIRE(repair);
  CHECK(repair->plan().is_empty());
}

TEST_CASE("a newest segment whose header does not verify goes to quarantine and is fenced") {
  Repaired r;
  r.flip(3, 100);
  const auto plan = r.repair(RepairKind::fence);
  CHECK(plan.moved.size() == 1);
  CHECK(r.in_quarantine() == 1);
  r.open();
  CHECK(r.f.storage.log().refusal() == "");
  r.f.put_many(2);
  r.f.require_all_but({{r.bases[3], r.end}}, true);
}

TEST_CASE("ST-09 events behind the last checkpoint count where the newest header does not verify") {
  Repaired r;
  const auto header = decode_segment_header(r.files.at(r.f.storage.path(r.segments[3])));
  REQUIRE(header);
  Checkpoint checkpoint;  // as it was when the segment began
  checkpoint.topic_id = r.f.storage.identity().topic_id;
  checkpoint.generation = 1;
  checkpoint.segment_id = header->segment_id;
  checkpoint.durable_end = checkpoint.segment_base = r.bases[3];
  checkpoint.scan_position = segment_layout::first_batch_position;
  r.write(r.real_directory() + "/" + std::string(checkpoint_file_name),
          encode_checkpoint(checkpoint));
  r.flip(3, 100);
  if (GENERATE(false, true)) r.flip(3, 4096 + 20);  // its first batch's header, too
  const auto plan = r.repair(RepairKind::fence);
  CHECK(plan.fenced == std::vector<OffsetRange>{{r.bases[3], r.end}});
  r.open();
  REQUIRE(r.f.storage.append_and_commit(make_batch("next"))->begin == r.end);
}

TEST_CASE("a whole log has nothing to fence and is left alone") {
  Repaired r;
  const auto repair = r.plan(RepairKind::fence);
  REQUIRE(repair);
  CHECK(repair->plan().is_empty());
}

TEST_CASE("a cut before a segment gives up what lies below and says how much") {
  Repaired r;
  const auto plan = r.repair(RepairKind::before, r.bases[2]);
  CHECK(plan.given_up == OffsetRange{Offset{0}, r.bases[2]});
  CHECK(plan.events == r.known_events_in(plan.given_up));
  CHECK(r.in_quarantine() == 2);
  r.open();
  CHECK(r.f.storage.log().start_offset() == r.bases[2]);
  CHECK(r.f.storage.log().durable_end() == r.end);
  r.f.require_alive();
}

TEST_CASE("a cut from an offset inside a segment ends the log there and keeps a copy") {
  Repaired r;
  const Offset at = r.f.known[r.f.known.size() / 2].offsets.begin;
  const auto plan = r.repair(RepairKind::from, at);
  CHECK(plan.given_up == OffsetRange{at, r.end});
  CHECK(plan.events == r.known_events_in(plan.given_up));
  CHECK(plan.cut.has_value());
  CHECK(r.in_quarantine() == plan.moved.size() + 1);
  r.forget_from(at);
  r.open();
  CHECK(r.f.storage.log().durable_end() == at);
  r.f.require_alive();
  r.f.reopen();
  r.f.require_all(true);
}

TEST_CASE("a cut at each batch of the log leaves exactly what lies below") {
  const std::size_t batches = Repaired().f.known.size();
  for (std::size_t i = 0; i < batches; i += 3) {
    Repaired r;
    const Offset at = r.f.known[i].offsets.begin;
    INFO("cut from " << at.value);
    r.repair(RepairKind::from, at);
    r.forget_from(at);
    r.open();
    CHECK(r.f.storage.log().durable_end() == at);
    r.f.require_alive();
    r.f.close();
  }
}

TEST_CASE(
    "an offset that is no place to cut is refused, with the right ones, and nothing changes") {
  Repaired r;
  const auto before = r.plan(RepairKind::before, r.bases[1] + 1);
  REQUIRE_FALSE(before);
  CHECK(before.error().code == Errc::bad_request);
  CHECK(before.error().text.find(std::to_string(r.bases[1].value)) != std::string::npos);
  CHECK_FALSE(r.plan(RepairKind::from, r.end + 1));
  r.open();
  r.f.require_all(true);
  r.f.close();
}

TEST_CASE("a cut behind damage is refused and names where the damage begins") {
  Repaired r;
  // In the second batch of the active segment, or in the zeros before it.
  r.flip(3, GENERATE(std::size_t{8192 + 500}, std::size_t{4096 + 3500}));
  const auto repair = r.plan(RepairKind::from, r.end);
  REQUIRE_FALSE(repair);
  CHECK(repair.error().code == Errc::corrupt);
  const auto& damaged = *std::find_if(r.f.known.begin(), r.f.known.end(),
                                      [&](const auto& b) { return b.offsets.begin > r.bases[3]; });
  CHECK(repair.error().text.find("cut from " + std::to_string(damaged.offsets.begin.value)) !=
        std::string::npos);
}

TEST_CASE("a repair that was cut short after its files moved can be run again") {
  Repaired r;
  r.lose(0);  // moved away, and then the power went, before the checkpoint said so
  r.lose(1);
  r.repair(RepairKind::before, r.bases[2]);
  r.open();
  CHECK(r.f.storage.log().start_offset() == r.bases[2]);
  r.f.require_alive();
}

TEST_CASE("ST-28 a directory that a broker uses is not repaired") {
  Repaired r;
  const std::string path = r.directory / "lock";
  const int lock = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  REQUIRE(flock(lock, LOCK_EX) == 0);
  const auto refused = r.plan(RepairKind::before, r.bases[1]);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::data_dir_in_use);
  CHECK(r.in_quarantine() == 0);
  close(lock);
}
