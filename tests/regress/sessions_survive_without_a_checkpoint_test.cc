// A log whose first checkpoint was not written yet, and which had rolled, was recovered from its
// last segment alone: the producer sessions of the segments before were forgotten, and a retry was
// taken for a new batch.
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("G4 a session of an earlier segment is known after a crash before the first checkpoint") {
  LogFixture f;
  f.storage.disk().inject({.call = Call::open,
                           .error = Errc::storage_error,
                           .nth = 1,
                           .for_ever = true,
                           .path = "checkpoint"});
  f.put(make_batch("first", {.producer_id = 9, .epoch = 0, .sequence = 0}));
  f.put(make_batch("second", {.producer_id = 9, .epoch = 0, .sequence = 1}));
  f.put_segments(3);
  f.storage.disk().lift_faults();
  f.crash();
  const auto* session = f.storage.log().producers().find(9);
  REQUIRE(session != nullptr);
  REQUIRE(session->next_sequence() == 2);
  f.require_all();
}
