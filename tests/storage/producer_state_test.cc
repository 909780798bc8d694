#include "storage/producer_state.h"

#include <catch2/catch.hpp>

using namespace millrace;

namespace {

BatchHeader header(std::uint64_t producer, std::uint32_t epoch, std::uint64_t sequence,
                   std::uint64_t offset, std::uint32_t events = 1) {
  BatchHeader h;
  h.producer_id = producer;
  h.producer_epoch = epoch;
  h.sequence = sequence;
  h.base_offset = Offset{offset};
  h.event_count = events;
  return h;
}

}  // namespace

TEST_CASE("a batch without a session is not remembered") {
  ProducerStates states;
  states.note(header(0, 0, 0, 0));
  REQUIRE(states.size() == 0);
  REQUIRE(states.find(0) == nullptr);
}

TEST_CASE("the newest batches of a session are remembered, the oldest forgotten") {
  ProducerStates states;
  for (std::uint64_t i = 0; i < 100; ++i) states.note(header(7, 1, 2 * i, 2 * i, 2));
  const auto* state = states.find(7);
  REQUIRE(state != nullptr);
  REQUIRE(state->recent.size() == ProducerState::recent_max);
  REQUIRE(state->recent.front().sequence == 2 * (100 - ProducerState::recent_max));
  REQUIRE(state->next_sequence() == 200);
}

TEST_CASE("a newer epoch starts a session over") {
  ProducerStates states;
  states.note(header(7, 1, 40, 0));
  states.note(header(7, 2, 0, 1));
  REQUIRE(states.find(7)->epoch == 2);
  REQUIRE(states.find(7)->recent.size() == 1);
  REQUIRE(states.find(7)->next_sequence() == 1);
}

TEST_CASE("the session that was silent for longest goes when there are too many") {
  ProducerStates states;
  for (std::uint64_t id = 1; id <= ProducerStates::producers_max; ++id)
    states.note(header(id, 0, 0, id));
  states.note(header(1, 0, 1, 1000));  // speaks again
  states.note(header(9999, 0, 0, 1001));
  REQUIRE(states.size() == ProducerStates::producers_max);
  REQUIRE(states.find(1) != nullptr);
  REQUIRE(states.find(2) == nullptr);
  REQUIRE(states.find(9999) != nullptr);
}

TEST_CASE("G4 a session is saved though a whole window of it is in flight") {
  ProducerStates states;
  for (std::uint64_t i = 0; i < 100; ++i) states.note(header(7, 0, i, i));
  const Offset durable{100 - ProducerState::window};
  const auto saved = states.saved(durable);
  REQUIRE(saved.size() == 1);
  REQUIRE(saved[0].batches.size() == ProducerState::window);
  REQUIRE(saved[0].batches.back().base_offset == Offset{durable.value - 1});
}

TEST_CASE("truncation forgets batches at and behind its end, and sessions that have none left") {
  ProducerStates states;
  for (std::uint64_t i = 0; i < 10; ++i) states.note(header(1, 0, i, i));
  states.note(header(2, 0, 0, 10));
  states.truncate(Offset{6});
  REQUIRE(states.find(1)->next_sequence() == 6);
  REQUIRE(states.find(2) == nullptr);
}

TEST_CASE("G4 an epoch whose batches are all cut off was never begun") {
  ProducerStates states;
  states.note(header(1, 3, 0, 0));
  states.note(header(1, 3, 1, 1));
  states.note(header(1, 4, 0, 2));
  states.note(header(1, 5, 0, 3));
  states.truncate(Offset{2});
  REQUIRE(states.find(1)->epoch == 3);
  REQUIRE(states.find(1)->next_sequence() == 2);
  states.truncate(Offset{0});
  REQUIRE(states.find(1) == nullptr);
}

TEST_CASE("what was saved restores what was below the end") {
  ProducerStates states;
  for (std::uint64_t i = 0; i < 10; ++i) states.note(header(1 + i % 3, 4, i, i));
  states.note(header(5, 0, 0, 10));
  ProducerStates other;
  other.note(header(77, 0, 0, 0));
  other.restore(states.saved(Offset{9}));
  REQUIRE(other.size() == 3);
  REQUIRE(other.find(77) == nullptr);
  REQUIRE(other.find(5) == nullptr);
  REQUIRE(other.find(1)->recent.size() == states.find(1)->recent.size() - 1);
  REQUIRE(other.find(2)->recent == states.find(2)->recent);
  REQUIRE(other.find(1)->epoch == 4);
}
