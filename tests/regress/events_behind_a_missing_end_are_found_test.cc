// Durable events were missing from the end of a segment: they were fenced, and the log was to go on
// in a new segment. After a clean stop it went on in the old one, at the very place where the
// missing ones had been, and what was acknowledged there was never found again.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

namespace {

// Three batches, of whose file only the header is left: [0, 3) is missing, and told so. Where the
// missing part begins, at the beginning of a block, is where the log would go on.
void lose_the_end(LogFixture& f) {
  f.put_many(3);
  const auto [path, place] = f.place_of(Offset{0});
  f.close();
  f.storage.disk().cut_file(path, place);
  f.open();
  REQUIRE(f.storage.log().durable_end() == Offset{3});
}

const std::vector<OffsetRange> missing = {{Offset{0}, Offset{3}}};

}  // namespace

TEST_CASE("ST-36 G1 what is acked after a clean stop behind a missing end is served") {
  LogFixture f;
  lose_the_end(f);
  f.reopen();
  f.put_many(2);
  f.require_all_but(missing, true);
  f.reopen();
  f.require_all_but(missing, true);
  f.put_many(1);
  f.crash();
  f.require_all_but(missing, true);
}

TEST_CASE("ST-08 G1 the same when both checkpoints are lost afterwards") {
  LogFixture f;
  lose_the_end(f);
  f.reopen();
  f.put_many(2);
  f.note_acked();
  f.storage.crash(CrashPolicy::none());
  f.storage.disk().remove_file(f.storage.path("checkpoint"));
  f.open();
  f.adopt();
  f.require_all_but(missing, true);
}

TEST_CASE("ST-36 G1 the same when the missing events were trimmed away") {
  LogFixture f;
  lose_the_end(f);
  REQUIRE(LogFixture::reason(f.storage.trim(Offset{3})) == "");
  f.reopen();
  f.put_many(2);
  f.reopen();
  f.require_all(true);
}
