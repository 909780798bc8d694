// A commit that was durable and then damaged is told from a torn one by what lies behind it. Where
// that was only a torn tail, recovery cut it off, and the next recovery took the damaged commit,
// with the whole batches in it that had been served meanwhile, for torn as well.
#include "storage/batch_scan.h"
#include "storage/format/segment_layout.h"
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

namespace {

struct Scene {
  SimDisk::Files files;
  Bytes kept;  // the batch at offset 1
};

// | A (damaged) B | C (torn) D |     and no checkpoint
Scene make_scene(LogFixture& f) {
  f.stage(make_batch("A"));
  Scene scene;
  scene.kept = make_batch("B");
  f.stage(scene.kept);
  f.commit();
  f.stage(make_batch("C"));
  f.stage(make_batch("D"));
  f.commit();
  const auto damaged = f.place_of(Offset{0}), torn = f.place_of(Offset{2});
  scene.files = f.files_after_crash();
  f.storage.crash(CrashPolicy::none());
  for (const auto& [path, place] : {damaged, torn})
    scene.files.at(path).at(place + batch_layout::header_bytes + 40) ^= std::byte{1};
  scene.files.erase(f.storage.path("checkpoint"));
  return scene;
}

void require_b_is_served(LogFixture& f, const Scene& scene) {
  REQUIRE(f.storage.log().durable_end() == Offset{2});
  const auto contents = f.read_all(true, 1 * MiB);
  REQUIRE(contents.holes == std::vector<OffsetRange>{{Offset{0}, Offset{1}}});
  REQUIRE(contents.batches.size() == 1);
  LogFixture::require_same(contents.batches[0], {{Offset{1}, Offset{2}}, scene.kept});
}

// The power goes, the header of the batch at `offset` has rotted, and there is no checkpoint.
void open_with_bad_header(LogFixture& f, Offset offset) {
  const auto [path, place] = f.place_of(offset);
  f.storage.crash(CrashPolicy::none());
  auto files = f.storage.disk().files();
  files.at(path).at(place + 20) ^= std::byte{1};
  files.erase(f.storage.path("checkpoint"));
  f.storage.disk().restore(files);
  f.open();
}

}  // namespace

TEST_CASE("ST-39 G6 what was served beside damage is there after recovery cut a torn tail") {
  auto options = small_log_options();
  options.checkpoint_idle = seconds(1'000'000);
  LogFixture f(1, {.log = options});
  const Scene scene = make_scene(f);
  f.storage.disk().restore(scene.files);
  f.open();
  require_b_is_served(f, scene);
  REQUIRE(LogFixture::reason(f.storage.crash_and_reopen(CrashPolicy::none())) == "");
  require_b_is_served(f, scene);
  REQUIRE(f.storage.append_and_commit(make_batch("E")).has_value());
  REQUIRE(LogFixture::reason(f.storage.crash_and_reopen(CrashPolicy::none())) == "");
  REQUIRE(f.storage.log().durable_end() == Offset{3});
}

TEST_CASE("ST-39 G6 the same when that recovery is cut short at any of its operations") {
  auto options = small_log_options();
  options.checkpoint_idle = seconds(1'000'000);
  LogFixture f(2, {.log = options});
  const Scene scene = make_scene(f);
  bool cut_short = true;
  for (std::uint64_t operation = 1; cut_short; ++operation) {
    REQUIRE(operation < 200);
    INFO("operation " << operation);
    f.storage.disk().restore(scene.files);
    f.storage.disk().crash_at(operation, CrashPolicy::random());
    const auto opened = f.storage.open();
    cut_short = !f.storage.disk().has_power();
    if (!cut_short) f.storage.disk().no_crash();
    REQUIRE((cut_short || opened.has_value()));
    REQUIRE(LogFixture::reason(f.storage.crash_and_reopen(CrashPolicy::random())) == "");
    require_b_is_served(f, scene);
    f.storage.crash(CrashPolicy::none());
  }
}

// | A | B (damaged) | C, of which the header arrived |     and no checkpoint
//
// C's header proves that B was durable. B was fenced, and its offset was given to the next event.
//
// A file goes on behind a torn commit where blocks were given ahead: C's body is seen to be wrong
// at once, and its header was not believed then.
TEST_CASE("G2 ST-05 the offsets of damage are not given again where all behind it is torn") {
  const bool goes_on = GENERATE(false, true);
  INFO("the file " << (goes_on ? "goes on in zeros" : "ends") << " behind the sector that arrived");
  auto options = small_log_options();
  options.checkpoint_idle = seconds(1'000'000);
  LogFixture f(3, {.log = options});
  f.put(make_batch("A"));
  f.put(make_batch("B"));
  f.put(make_batch_of_bytes(6000));
  const auto damaged = f.place_of(Offset{1}), torn = f.place_of(Offset{2});
  f.storage.crash(CrashPolicy::none());
  auto files = f.storage.disk().files();
  auto& segment = files.at(damaged.first);
  segment.at(damaged.second + batch_layout::header_bytes + 40) ^= std::byte{1};
  const std::size_t size = segment.size();
  segment.resize(torn.second + 4096);
  if (goes_on) segment.resize(size);
  files.erase(f.storage.path("checkpoint"));
  f.storage.disk().restore(files);

  const std::vector<OffsetRange> hole{{Offset{1}, Offset{2}}};
  f.open();
  REQUIRE(f.storage.log().durable_end() == Offset{2});
  REQUIRE(f.read_all(true, 1 * MiB).holes == hole);
  // The proof is overwritten by a commit that is torn in its turn.
  REQUIRE(f.storage.append(make_batch("D"))->begin == Offset{2});
  f.storage.crash(CrashPolicy::none());
  f.open();
  REQUIRE(f.storage.log().durable_end() == Offset{2});
  REQUIRE(f.storage.append_and_commit(make_batch("E"))->begin == Offset{2});
  REQUIRE(LogFixture::reason(f.storage.crash_and_reopen(CrashPolicy::none())) == "");
  const auto contents = f.read_all(true, 1 * MiB);
  REQUIRE(contents.holes == hole);
  REQUIRE(contents.batches.size() == 2);
}

// | A (damaged) B | C (torn, larger than a window) |     and no checkpoint
//
// C's header was taken for whole as long as its body was not looked at, and proved what it proved;
// when its body had been found torn there was no proof left to remember, and the next torn commit
// took it away.
TEST_CASE("G1 ST-05 what a torn commit proved is remembered though it is seen to be torn") {
  auto options = small_log_options();
  options.checkpoint_idle = seconds(1'000'000);
  options.segment_bytes = 8 * MiB;
  options.batch_bytes_max = 4 * MiB;
  LogFixture f(4, {.log = options, .cache_bytes = 16 * MiB});
  f.stage(make_batch("A"));
  const Bytes kept = make_batch("B");
  f.stage(kept);
  f.commit();
  f.put(make_batch_of_bytes(1500 * KiB));
  const auto damaged = f.place_of(Offset{0}), torn = f.place_of(Offset{2});
  f.storage.crash(CrashPolicy::none());
  auto files = f.storage.disk().files();
  auto& segment = files.at(damaged.first);
  segment.at(damaged.second + batch_layout::header_bytes + 40) ^= std::byte{1};
  segment.at(torn.second + 1400 * KiB) ^= std::byte{1};
  files.erase(f.storage.path("checkpoint"));
  f.storage.disk().restore(files);
  const Scene scene{{}, kept};
  f.open();
  require_b_is_served(f, scene);
  // Of the next commit the header arrives and not all of the rest.
  REQUIRE(f.storage.append_and_commit(make_batch_of_bytes(6000))->begin == Offset{2});
  const auto next = f.place_of(Offset{2});
  f.storage.crash(CrashPolicy::none());
  auto bytes = f.storage.disk().read_file(next.first);
  bytes.at(next.second + 2000) ^= std::byte{1};
  f.storage.disk().write_file(next.first, bytes);
  f.storage.disk().remove_file(f.storage.path("checkpoint"));
  f.open();
  require_b_is_served(f, scene);
}

// | A  zeros | B, of which not all arrived |     and no checkpoint
//
// B begins at a block of its own, behind the zeros that fill A's. It was neither cut nor told.
TEST_CASE("ST-03 a torn batch that begins behind padding is cut") {
  const auto flip = GENERATE(std::size_t{40}, std::size_t{5000});
  INFO("the byte " << flip << " behind the header is wrong");
  auto options = small_log_options();
  options.checkpoint_idle = seconds(1'000'000);
  LogFixture f(5, {.log = options});
  f.put(make_batch("A"));
  f.put(make_batch_of_bytes(6000));
  const auto torn = f.place_of(Offset{1});
  f.storage.crash(CrashPolicy::none());
  auto files = f.storage.disk().files();
  files.at(torn.first).at(torn.second + batch_layout::header_bytes + flip) ^= std::byte{1};
  files.erase(f.storage.path("checkpoint"));
  f.storage.disk().restore(files);
  f.open();
  REQUIRE(f.storage.log().durable_end() == Offset{1});
  const Bytes after = f.storage.disk().read_file(torn.first);
  REQUIRE(torn.second % 4096 == 0);
  REQUIRE(all_zero(ByteView(after).subspan(std::min<std::size_t>(torn.second, after.size()))));
}

// What lies behind the end is all that proves the damage, so none of it may change: the log goes on
// in a new segment, and a start on a full disk that makes none leaves every byte.
TEST_CASE("ST-12 ST-39 a file with damage before its end is left as it is") {
  auto options = small_log_options();
  options.checkpoint_idle = seconds(1'000'000);
  LogFixture f(6, {.log = options});
  const Scene scene = make_scene(f);
  f.storage.disk().restore(scene.files);
  for (const auto call : {Call::write, Call::synced_write, Call::preallocate})
    f.storage.disk().inject(
        {.call = call, .error = Errc::storage_full, .for_ever = true, .path = ""});
  f.open();
  require_b_is_served(f, scene);
  REQUIRE(f.storage.disk().open_files() == 0);
  f.storage.crash(CrashPolicy::none());
  f.storage.disk().lift_faults();
  REQUIRE(f.storage.disk().files() == scene.files);
  f.open();
  require_b_is_served(f, scene);
  REQUIRE(f.storage.append_and_commit(make_batch("E"))->begin == Offset{2});
  REQUIRE(f.storage.files_ending(".segment").size() == 2);
}

// | C (damaged) | D1 (lost) D2 (torn) D3 (whole), all in one block |     and no checkpoint
//
// D2's header proves that C was durable. A checkpoint that remembered the end at D2, before D2 and
// D3 were cut off, had the next recovery begin behind their block: they stayed, under offsets that
// were given to E, and once the index was made anew D3 was served in E's place.
TEST_CASE("G1 G2 ST-39 nothing that was torn comes back in the place of what was acked later") {
  auto options = small_log_options();
  options.checkpoint_idle = seconds(1'000'000);
  LogFixture f(7, {.log = options});
  f.put(make_batch("C"));
  for (const char* payload : {"D1", "D2", "D3"}) f.stage(make_batch(payload));
  f.commit();
  const auto c = f.place_of(Offset{0}), d1 = f.place_of(Offset{1}), d2 = f.place_of(Offset{2});
  f.storage.crash(CrashPolicy::none());
  auto scene = f.storage.disk().files();
  scene.at(c.first).at(c.second + 20) ^= std::byte{1};
  scene.at(d1.first).at(d1.second + 20) ^= std::byte{1};
  scene.at(d2.first).at(d2.second + batch_layout::header_bytes + 40) ^= std::byte{1};
  scene.erase(f.storage.path("checkpoint"));
  const Bytes kept = make_batch("E", {}), kept_too = make_batch("F", {});
  bool cut_short = true;
  for (std::uint64_t operation = 1; cut_short; ++operation) {
    REQUIRE(operation < 200);
    INFO("the power goes at operation " << operation << " of the first recovery");
    f.storage.disk().restore(scene);
    f.storage.disk().crash_at(operation, CrashPolicy::random());
    static_cast<void>(f.storage.open());
    cut_short = !f.storage.disk().has_power();
    if (!cut_short) f.storage.disk().no_crash();
    REQUIRE(LogFixture::reason(f.storage.crash_and_reopen(CrashPolicy::random())) == "");
    REQUIRE(f.storage.log().durable_end() == Offset{2});
    REQUIRE(f.storage.append_and_commit(kept)->begin == Offset{2});
    REQUIRE(f.storage.append_and_commit(kept_too)->begin == Offset{3});
    for (const bool clean : {false, true}) {
      INFO("then it is " << (clean ? "closed" : "killed"));
      const auto contents = f.read_all(true, 1 * MiB);
      REQUIRE(contents.holes == std::vector<OffsetRange>{{Offset{0}, Offset{2}}});
      REQUIRE(contents.batches.size() == 2);
      LogFixture::require_same(contents.batches[0], {{Offset{2}, Offset{3}}, kept});
      LogFixture::require_same(contents.batches[1], {{Offset{3}, Offset{4}}, kept_too});
      if (clean) {
        f.close();
        f.open();
      } else {
        REQUIRE(LogFixture::reason(f.storage.crash_and_reopen(CrashPolicy::none())) == "");
      }
    }
    f.storage.crash(CrashPolicy::none());
  }
}

// | B C (damaged) F G | H |     and no checkpoint
//
// H proves that C was durable, F and G do not. Where G's header ended with the megabyte that was
// read at once, the search ended there, too.
TEST_CASE("G1 G7 ST-05 what proves damage is found wherever the headers before it lie") {
  auto options = small_log_options();
  options.checkpoint_idle = seconds(1'000'000);
  options.segment_bytes = 8 * MiB;
  options.batch_bytes_max = 4 * MiB;
  constexpr std::size_t window = 1 * MiB;
  std::size_t filler = 4 * KiB;
  // Where G's header ends in the first window of the scan, which begins at the first batch. C to G
  // are one commit: none of them proves that another was durable, and H, behind the window, does.
  const auto append_all = [&](LogFixture& f) {
    f.put(make_batch_of_bytes(6000));
    f.stage(make_batch("C"));
    f.stage(make_batch_of_bytes(1000 * KiB));
    f.stage(make_batch_of_bytes(filler));
    f.stage(make_batch("G"));
    f.commit();
    f.put(make_batch("H"));
    const auto batches = f.read_all(true, 1 * MiB).batches;
    REQUIRE(batches.at(4).header.durable_position == batches.at(1).header.durable_position);
    return f.place_of(Offset{4}).second + batch_layout::header_bytes -
           segment_layout::first_batch_position.value;
  };
  for (std::size_t ends_at = window - 24; ends_at <= window + 24; ends_at += 8) {
    INFO("a header ends at byte " << ends_at << " of what is searched");
    {
      LogFixture measured(8, {.log = options, .cache_bytes = 16 * MiB});
      filler += ends_at - append_all(measured);
    }
    LogFixture f(8, {.log = options, .cache_bytes = 16 * MiB});
    REQUIRE(append_all(f) == ends_at);
    open_with_bad_header(f, Offset{1});
    REQUIRE(f.storage.log().durable_end() == Offset{6});
    REQUIRE(f.read_all(true, 1 * MiB).holes == std::vector<OffsetRange>{{Offset{1}, Offset{2}}});
    f.storage.crash(CrashPolicy::none());
  }
}

TEST_CASE("G1 G7 ST-05 damage as long as any batch may be is no torn tail, whatever is set today") {
  auto options = small_log_options();
  options.checkpoint_idle = seconds(1'000'000);
  options.segment_bytes = 64 * MiB;
  options.batch_bytes_max = 16 * MiB;
  LogFixture f(9, {.log = options, .cache_bytes = 64 * MiB});
  f.put(make_batch_of_bytes(12 * MiB));
  f.put(make_batch("behind"));
  f.storage.options().log.batch_bytes_max = 4 * MiB;
  open_with_bad_header(f, Offset{0});
  REQUIRE(f.storage.log().durable_end() == Offset{2});
  REQUIRE(f.read_all(true, 1 * MiB).holes == std::vector<OffsetRange>{{Offset{0}, Offset{1}}});
}
