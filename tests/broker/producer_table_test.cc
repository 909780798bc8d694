#include "broker/produce/producer_table.h"

#include "tests/support/batch_maker.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::test;

namespace {

// A log's memory, and the verdicts about what comes next.
struct Table {
  ProducerStates producers;
  Offset end;

  static BatchHeader header(std::uint64_t id, std::uint32_t epoch, std::uint64_t sequence,
                            std::string_view payload) {
    const auto bytes = make_batch(payload, {id, epoch, sequence});
    return view_of(bytes).header();
  }
  Result<std::optional<ProducedBatch>> check(const BatchHeader& h) const {
    return check_sequence(producers, h);
  }
  void append(BatchHeader h) {
    const auto checked = check(h);
    REQUIRE(checked);
    REQUIRE_FALSE(checked->has_value());
    const std::uint32_t sum = body_checksum(h);
    h.base_offset = end;
    h.body_crc = sum ^ batch_seed(h.segment_id, h.base_offset);
    end = h.end_offset();
    producers.note(h);
  }
  Errc refusal(const BatchHeader& h) const {
    const auto checked = check(h);
    return checked ? Errc::ok : checked.error().code;
  }
};

}  // namespace

TEST_CASE("a batch without a session is always taken") {
  Table table;
  for (const std::uint64_t sequence : {0u, 7u, 7u})
    CHECK(table.refusal(Table::header(0, 0, sequence, "x")) == Errc::ok);
}

TEST_CASE("PR-10: a duplicate is answered with its first offsets") {
  Table table;
  table.append(Table::header(5, 0, 0, "a"));
  table.append(Table::header(5, 0, 1, "b"));
  const auto again = table.check(Table::header(5, 0, 0, "a"));
  REQUIRE(again);
  REQUIRE(again->has_value());
  CHECK((*again)->base_offset == Offset{0});
  CHECK((*table.check(Table::header(5, 0, 1, "b")))->base_offset == Offset{1});
}

TEST_CASE("PR-10: the same sequence with another payload is a conflict") {
  Table table;
  table.append(Table::header(5, 0, 0, "a"));
  CHECK(table.refusal(Table::header(5, 0, 0, "A")) == Errc::sequence_conflict);
  // A sequence inside of a batch that was taken whole.
  const auto two = make_batch({{"", "x"}, {"", "y"}}, {5, 0, 1});
  table.append(view_of(two).header());
  CHECK(table.refusal(Table::header(5, 0, 2, "y")) == Errc::sequence_conflict);
}

TEST_CASE("PR-10: a gap is out of order") {
  Table table;
  table.append(Table::header(5, 0, 0, "a"));
  CHECK(table.refusal(Table::header(5, 0, 2, "c")) == Errc::out_of_order);
  CHECK(table.refusal(Table::header(5, 0, 1, "b")) == Errc::ok);
}

TEST_CASE("PR-10: an old epoch is fenced and a new one begins at 0") {
  Table table;
  table.append(Table::header(5, 1, 0, "a"));
  CHECK(table.refusal(Table::header(5, 0, 0, "a")) == Errc::fenced);
  CHECK(table.refusal(Table::header(5, 2, 1, "a")) == Errc::unknown_producer);
  table.append(Table::header(5, 2, 0, "a"));
  CHECK(table.refusal(Table::header(5, 1, 1, "b")) == Errc::fenced);
}

TEST_CASE("PR-10: a producer that is not known begins at 0") {
  Table table;
  CHECK(table.refusal(Table::header(5, 0, 1, "a")) == Errc::unknown_producer);
  CHECK(table.refusal(Table::header(5, 0, 0, "a")) == Errc::ok);
}

TEST_CASE("PR-10: what is older than the window has expired") {
  Table table;
  for (std::uint64_t i = 0; i < ProducerState::window + 3; ++i)
    table.append(Table::header(5, 0, i, "x"));
  CHECK(table.refusal(Table::header(5, 0, 2, "x")) == Errc::sequence_expired);
  CHECK(table.refusal(Table::header(5, 0, 3, "x")) == Errc::ok);  // the oldest that is remembered
}

TEST_CASE("PR-23: a sequence near the end of numbers is refused") {
  Table table;
  CHECK(table.refusal(Table::header(5, 0, UINT64_MAX, "a")) == Errc::bad_batch);
}
