#include "storage/producer_state.h"
#include "tests/storage/log_fixture.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;
using namespace millrace::test;

TEST_CASE("G4 what a producer sent last is known after closes, crashes and checkpoints") {
  LogFixture f;
  std::uint64_t sequence = 0;
  const auto send = [&](int batches) {
    for (int i = 0; i < batches; ++i) {
      TestSession session;
      session.producer_id = 77;
      session.epoch = 2;
      session.sequence = sequence;
      const auto batch = make_batch({{"", std::string(3000, 'p')}, {"", "x"}}, session);
      f.put(batch);
      sequence += 2;
    }
  };
  const auto check = [&] {
    const auto* state = f.storage.log().producers().find(77);
    REQUIRE(state != nullptr);
    REQUIRE(state->epoch == 2);
    REQUIRE(state->next_sequence() == sequence);
    REQUIRE(state->recent.size() >= std::min<std::size_t>(sequence / 2, ProducerState::window));
    REQUIRE(state->recent.size() <= ProducerState::recent_max);
    const auto& last = state->recent.back();
    REQUIRE(last.base_offset == f.known.back().offsets.begin);
    REQUIRE(last.body_checksum == body_checksum(view_of(f.known.back().sent).header()));
  };
  for (int round = 0; round < 8; ++round) {
    send(round % 2 == 0 ? 3 : 20);
    check();
    if (round % 4 == 0) f.reopen();
    if (round % 4 == 1) f.crash();
    if (round % 4 == 2) f.storage.advance(seconds(5));
    if (round % 4 == 3) f.crash(CrashPolicy::all());
    check();
  }
  REQUIRE(f.storage.log().segment_count() > 3);
  // A producer whose batches lie in segments that are gone is still known.
  REQUIRE(LogFixture::reason(f.storage.trim(f.storage.log().durable_end())) == "");
  f.crash();
  check();
}

TEST_CASE("truncation forgets what producers sent behind it") {
  LogFixture f;
  for (std::uint64_t i = 0; i < 6; ++i) {
    TestSession session;
    session.producer_id = 5;
    session.sequence = i;
    f.put(make_batch("p", session));
  }
  REQUIRE(LogFixture::reason(f.storage.truncate(Offset{4})) == "");
  REQUIRE(f.storage.log().producers().find(5)->next_sequence() == 4);
  f.known.resize(4);
  f.acked_end = Offset{4};
  f.crash();
  REQUIRE(f.storage.log().producers().find(5)->next_sequence() == 4);
}
