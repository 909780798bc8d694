#include "broker/produce/admission.h"

#include "tests/support/batch_maker.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::test;

namespace {

AdmissionFacts easy() {
  AdmissionFacts facts;
  facts.batch_bytes_max = 1 << 20;
  facts.staged_bytes_max = 1 << 20;
  return facts;
}

Errc verdict(const AdmissionFacts& facts, const Bytes& batch,
             const ProducerStates& producers = {}) {
  const auto admitted = admit(facts, producers, view_of(batch));
  return admitted ? Errc::ok : admitted.error().code;
}

}  // namespace

TEST_CASE("a batch against which nothing speaks is admitted") {
  CHECK(verdict(easy(), make_batch("x")) == Errc::ok);
}

TEST_CASE("each reason to refuse, and the first in the list is the answer") {
  const auto batch = make_batch("x", {9, 0, 5});  // of a producer that is not known
  AdmissionFacts facts = easy();
  CHECK(verdict(facts, batch) == Errc::unknown_producer);
  facts.acks_waiting = AdmissionFacts::acks_waiting_max;
  CHECK(verdict(facts, batch) == Errc::overloaded);
  facts.batch_bytes_max = 10;
  CHECK(verdict(facts, batch) == Errc::too_large);
  facts.disk_refusal = "full";
  CHECK(verdict(facts, batch) == Errc::storage_full);
}

TEST_CASE("G4 ST-12 a retry of what is stored is recognised though the disk is full") {
  ProducerStates producers;
  const auto batch = make_batch("x", {9, 0, 0});
  producers.note(view_of(batch).header());
  AdmissionFacts facts = easy();
  facts.disk_refusal = "full";
  facts.acks_waiting = AdmissionFacts::acks_waiting_max;
  const auto again = admit(facts, producers, view_of(batch));
  REQUIRE(again);
  CHECK(again->has_value());
  CHECK(verdict(facts, make_batch("y", {9, 0, 1}), producers) == Errc::storage_full);
}

TEST_CASE("one batch is let in however small the limit of staged bytes") {
  AdmissionFacts facts = easy();
  facts.staged_bytes_max = 1;
  CHECK(verdict(facts, make_batch("x")) == Errc::ok);
  facts.staged_bytes = 1;
  CHECK(verdict(facts, make_batch("x")) == Errc::overloaded);
}

TEST_CASE("PR-13: a producer that gives its batch a place is refused") {
  auto batch = make_batch("x");
  const auto header = view_of(batch).header();
  BatchPlace place;
  place.base_offset = Offset{7};
  place.segment_id = 3;
  stamp_batch(batch, header, place);
  CHECK(verdict(easy(), batch) == Errc::bad_batch);
}
