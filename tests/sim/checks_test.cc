// The checks are checked: each is shown a history that breaks its promise, and must say so; the
// same history told right must pass.
#include "tests/sim/checks.h"

#include "storage/format/checkpoint_layout.h"
#include "storage/log_files.h"
#include "tests/sim/observer.h"
#include "tests/sim/sim_client.h"

#include <catch2/catch.hpp>

using namespace millrace;
using namespace millrace::sim;

namespace {

constexpr std::uint64_t session = 7;

// One topic of one partition, and batches of two events.
struct History {
  History() : random(1), disk(random) {
    TopicRecord topic;
    topic.name = "orders";
    topic.id.bytes[0] = 1;
    topic.state = TopicRecord::State::standing;
    topic.parts.resize(1);
    oracle.topics.push_back(std::move(topic));
    oracle.is_calm = true;
  }
  PartitionRecord& part() { return oracle.topics[0].parts[0]; }
  SentBatch& sent(std::uint64_t sequence = 0, std::uint32_t epoch = 0) {
    SentBatch& batch = oracle.new_batch();
    batch.producer_id = session;
    batch.sequence = sequence;
    batch.epoch = epoch;
    do fill_batch(batch, random, 2, 20);
    while (batch.event_count != 2);
    batch.attempts = 1;
    return batch;
  }
  // As the broker would hand it out.
  BatchView view(SentBatch& batch, std::uint64_t base, std::int64_t append_time = 5) {
    auto parsed = BatchView::parse(batch.bytes);
    const auto header = stamp_batch(batch.bytes, parsed->header(),
                                    {Offset{base}, {}, WallTime{append_time}, 1, 4096, 0, 4096});
    return BatchView::trusted(header, batch.bytes);
  }
  void place(SentBatch& batch, std::uint64_t base) {
    batch.base = base;
    batch.is_acked = true;
    part().placed[base] = {batch.tag, batch.event_count, WallTime{5}};
    part().end_told = std::max(part().end_told, base + batch.event_count);
    SessionRecord& known = part().sessions[session];
    known = {true, batch.epoch, batch.epoch, batch.sequence + batch.event_count, 1};
  }
  FullRead read(std::initializer_list<std::pair<SentBatch*, std::uint64_t>> batches) {
    FullRead out{0, 0, 0, part().end_told, {}, {}};
    for (const auto& [batch, base] : batches)
      out.batches.emplace(base, view(*batch, base).header());
    return out;
  }
  std::string verdict() const { return oracle.finding() ? oracle.finding()->promise : "kept"; }

  Random random;
  SimDisk disk;
  Oracle oracle;
};

Error named(std::uint64_t begin, std::uint64_t end) {
  Error error{Errc::corrupt, "damage"};
  error.range_begin = begin;
  error.range_end = end;
  return error;
}

}  // namespace

TEST_CASE("G1 is broken by an ack without a place on the medium") {
  History h;
  check_g1_ack_is_on_disk(h.oracle, h.disk, h.sent(), 0);
  REQUIRE(h.verdict() == "G1");
}

TEST_CASE("G1 is broken by an end or a start that goes back") {
  History back, forward;
  check_g1_bounds(back.oracle, 0, 0, 0, 9);
  check_g1_bounds(back.oracle, 0, 0, 0, 8);
  REQUIRE(back.verdict() == "G1");
  check_g1_bounds(forward.oracle, 0, 0, 2, 9);
  check_g1_bounds(forward.oracle, 0, 0, 3, 9);
  REQUIRE(forward.verdict() == "kept");
  check_g1_bounds(forward.oracle, 0, 0, 2, 9);
  REQUIRE(forward.verdict() == "G1");
}

TEST_CASE("G1 is broken by a promised batch that is not among all that can be read") {
  History h;
  SentBatch& first = h.sent(0);
  SentBatch& second = h.sent(2);
  h.place(first, 0);
  h.place(second, 2);
  check_g1_all_there(h.oracle, h.read({{&first, 0}, {&second, 2}}));
  REQUIRE(h.verdict() == "kept");
  check_g1_all_there(h.oracle, h.read({{&first, 0}}));
  REQUIRE(h.verdict() == "G1");
}

TEST_CASE("G2 is broken by other bytes, by a stranger's batch and by a place that is taken") {
  History bytes, stranger, place;
  SentBatch& batch = bytes.sent();
  const BatchView whole = bytes.view(batch, 0);
  check_g2_value(bytes.oracle, {0, 0, whole, "a fetch"});
  REQUIRE(bytes.verdict() == "kept");
  SentBatch& other = bytes.sent();
  std::swap(batch.bytes, other.bytes);
  check_g2_value(bytes.oracle, {0, 0, whole, "a fetch"});
  REQUIRE(bytes.verdict() == "G2");

  SentBatch& unknown = stranger.sent();
  const BatchView view = stranger.view(unknown, 0);
  History nobody;
  check_g2_value(nobody.oracle, {0, 0, view, "a fetch"});
  REQUIRE(nobody.verdict() == "G2");

  SentBatch& first = place.sent(0);
  place.place(first, 0);
  check_g2_place(place.oracle, place.sent(2), 2, "an ack");
  REQUIRE(place.verdict() == "kept");
  check_g2_place(place.oracle, place.sent(2), 1, "an ack");
  REQUIRE(place.verdict() == "G2");
}

TEST_CASE("G2 is broken by an answer that is not the place that was asked for") {
  const auto verdict = [](Where where, std::uint64_t answer) {
    History h;
    RequestRecord request;
    request.kind = RequestKind::list_offsets;
    request.where = where;
    check_g2_where(h.oracle, request, {Offset{answer}, Offset{4}, Offset{9}});
    return h.verdict();
  };
  REQUIRE(verdict({Where::Kind::start, 0}, 4) == "kept");
  REQUIRE(verdict({Where::Kind::end, 0}, 9) == "kept");
  REQUIRE(verdict({Where::Kind::end, 0}, 8) == "G2");
  REQUIRE(verdict({Where::Kind::before_end, 2}, 7) == "kept");
  REQUIRE(verdict({Where::Kind::before_end, 20}, 4) == "kept");
  REQUIRE(verdict({Where::Kind::before_end, 2}, 6) == "G2");
  REQUIRE(verdict({Where::Kind::offset, 5}, 5) == "kept");
  REQUIRE(verdict({Where::Kind::offset, 1}, 4) == "kept");
  REQUIRE(verdict({Where::Kind::offset, 5}, 4) == "G2");
}

TEST_CASE("G3 is broken by a gap, by acks out of order and by a session out of order") {
  History gap, acks, sessions;
  const BatchView view = gap.view(gap.sent(), 4);
  check_g3_continues(gap.oracle, {0, 0, view, "a push"}, 4);
  REQUIRE(gap.verdict() == "kept");
  check_g3_continues(gap.oracle, {0, 0, view, "a push"}, 2);
  REQUIRE(gap.verdict() == "G3");

  check_g3_ack_order(acks.oracle, acks.sent(0), 2);
  REQUIRE(acks.verdict() == "kept");
  check_g3_ack_order(acks.oracle, acks.sent(0), 0);
  REQUIRE(acks.verdict() == "G3");

  SentBatch& first = sessions.sent(0);
  SentBatch& second = sessions.sent(2);
  check_g3_sessions(sessions.oracle, sessions.read({{&first, 0}, {&second, 2}}));
  REQUIRE(sessions.verdict() == "kept");
  check_g3_sessions(sessions.oracle, sessions.read({{&second, 0}, {&first, 2}}));
  REQUIRE(sessions.verdict() == "G3");
}

TEST_CASE("G4 is broken by a batch in two places and by a session that is forgotten") {
  History twice, forgotten;
  SentBatch& batch = twice.sent();
  twice.place(batch, 0);
  check_g4_once(twice.oracle, batch, 0, "a fetch");
  REQUIRE(twice.verdict() == "kept");
  check_g4_once(twice.oracle, batch, 2, "a fetch");
  REQUIRE(twice.verdict() == "G4");

  SentBatch& acked = forgotten.sent(0);
  forgotten.place(acked, 0);
  SentBatch& next = forgotten.sent(2);
  check_g4_answer(forgotten.oracle, {}, next, {Errc::overloaded, "later"});
  REQUIRE(forgotten.verdict() == "kept");
  check_g4_answer(forgotten.oracle, {}, next, {Errc::unknown_producer, "who?"});
  REQUIRE(forgotten.verdict() == "G4");
}

TEST_CASE("G5 is broken by a batch each attempt of which was refused") {
  History h;
  SentBatch& batch = h.sent();
  const BatchView view = h.view(batch, 0);
  batch.attempts = 2;
  batch.refusals = 1;  // what became of the other try is not known
  check_g5_not_refused(h.oracle, {0, 0, view, "a fetch"});
  REQUIRE(h.verdict() == "kept");
  batch.refusals = 2;
  check_g5_not_refused(h.oracle, {0, 0, view, "a fetch"});
  REQUIRE(h.verdict() == "G5");
}

TEST_CASE("G6 is broken by a batch in a segment whose bytes are not durable") {
  History h;
  SentBatch& batch = h.sent();
  const BatchView view = h.view(batch, 0);
  const std::string path =
      "topics/" + h.oracle.topics[0].id.to_hex() + "/0/00000000000000000000.segment";
  std::vector<std::byte> file(4096);
  file.insert(file.end(), view.bytes().begin(), view.bytes().end());
  h.disk.write_file(path, file);
  check_g6_is_durable(h.oracle, h.disk, {0, 0, view, "a fetch"});
  REQUIRE(h.verdict() == "kept");
  h.disk.corrupt(path, 4096, 1);
  Checkpoint trimmed;
  trimmed.start_offset = trimmed.durable_end = Offset{2};
  const auto checkpoint =
      "topics/" + h.oracle.topics[0].id.to_hex() + "/0/" + std::string(checkpoint_file_name);
  h.disk.write_file(checkpoint, encode_checkpoint(trimmed));
  check_g6_is_durable(h.oracle, h.disk, {0, 0, view, "a fetch"});
  REQUIRE(h.verdict() == "kept");
  trimmed.start_offset = Offset{1};
  h.disk.write_file(checkpoint, encode_checkpoint(trimmed));
  check_g6_is_durable(h.oracle, h.disk, {0, 0, view, "a fetch"});
  REQUIRE(h.verdict() == "G6");
}

TEST_CASE("G7 is broken by damage that is none, has no offsets, or takes whole batches with it") {
  History none, bare, greedy;
  check_g7_named(none.oracle, 0, 0, named(0, 2));
  REQUIRE(none.verdict() == "G7");
  bare.part().is_rotten = true;
  check_g7_named(bare.oracle, 0, 0, named(0, 0));
  REQUIRE(bare.verdict() == "G7");
  greedy.place(greedy.sent(0), 0);
  greedy.place(greedy.sent(2), 2);
  greedy.part().is_rotten = true;
  greedy.part().rotten.push_back({Offset{0}, Offset{2}});
  check_g7_named(greedy.oracle, 0, 0, named(0, 2));
  REQUIRE(greedy.verdict() == "kept");
  check_g7_named(greedy.oracle, 0, 0, named(0, 4));
  REQUIRE(greedy.verdict() == "G7");
}

TEST_CASE("G8 is broken by a hostile request that works, a start nobody asked for, and silence") {
  History works, start, silence;
  RequestRecord request;
  request.kind = RequestKind::other;
  request.expect = Expect::refusal;
  check_g8_answer(works.oracle, request, Error{Errc::bad_request, "no"});
  REQUIRE(works.verdict() == "kept");
  check_g8_answer(works.oracle, request, DoneReply{});
  REQUIRE(works.verdict() == "G8");

  start.oracle.topics[0].log.retention_age = seconds(0);
  start.part().trim_asked = 4;
  check_g8_start(start.oracle, 0, 0, 4);
  REQUIRE(start.verdict() == "kept");
  check_g8_start(start.oracle, 0, 0, 5);
  REQUIRE(start.verdict() == "G8");

  silence.oracle.requests[1] = {};
  silence.oracle.now = Instant{} + seconds(10);
  check_g8_all_answered(silence.oracle, seconds(60));
  REQUIRE(silence.verdict() == "kept");
  silence.oracle.now = Instant{} + seconds(61);
  check_g8_all_answered(silence.oracle, seconds(60));
  REQUIRE(silence.verdict() == "G8");
}

TEST_CASE("the excuses of rot hold for the fenced batch and its session alone") {
  History h;
  SentBatch& fenced = h.sent(0);
  SentBatch& next = h.sent(2);
  h.place(fenced, 0);
  h.place(next, 2);
  h.part().rotten.push_back({Offset{0}, Offset{2}});
  h.part().is_rotten = true;
  RequestRecord copy;
  copy.kind = RequestKind::produce;
  copy.expect = Expect::duplicate;
  copy.tag = fenced.tag;
  const auto kept = [&](const auto& check) {
    History again;
    again.oracle.topics = h.oracle.topics;
    check(again.oracle);
    return !again.oracle.finding();
  };
  REQUIRE(kept([&](Oracle& o) { check_g4_once(o, fenced, 4, "a fetch"); }));
  REQUIRE_FALSE(kept([&](Oracle& o) { check_g4_once(o, next, 4, "a fetch"); }));
  const auto retried = h.read({{&fenced, 0}, {&next, 2}, {&fenced, 4}});
  REQUIRE(kept([&](Oracle& o) { check_g3_sessions(o, retried); }));
  const auto twice = h.read({{&fenced, 0}, {&next, 2}, {&next, 4}});
  REQUIRE_FALSE(kept([&](Oracle& o) { check_g3_sessions(o, twice); }));
  check_g8_answer(h.oracle, copy, ProducedReply{});
  REQUIRE(h.verdict() == "kept");
  SentBatch& of_another = h.sent(0);
  of_another.producer_id = session + 1;
  copy.tag = of_another.tag;
  check_g8_answer(h.oracle, copy, ProducedReply{});
  REQUIRE(h.verdict() == "G8");
}

TEST_CASE("G4 a damaged batch excuses that its session is forgotten, and no other one") {
  const auto forgotten = [](std::uint64_t damaged_by) {
    History h;
    SentBatch& damaged = h.sent(0);
    damaged.producer_id = damaged_by;
    h.place(damaged, 0);
    h.place(h.sent(2), 2);
    h.part().rotten.push_back({Offset{0}, Offset{2}});
    h.part().is_rotten = true;
    check_g4_answer(h.oracle, {}, h.sent(4), {Errc::unknown_producer, "who?"});
    return h.verdict();
  };
  REQUIRE(forgotten(session) == "kept");
  REQUIRE(forgotten(session + 1) == "G4");
}

TEST_CASE("G8 PS-07 is broken by an append time that is not of the broker's clock") {
  History h;
  h.oracle.wall_max = WallTime{5};
  check_g8_append_time(h.oracle, h.sent(), WallTime{5});
  REQUIRE(h.verdict() == "kept");
  check_g8_append_time(h.oracle, h.sent(2), WallTime{6});
  REQUIRE(h.verdict() == "G8");
}

TEST_CASE("G8 PR-14 is broken by a push without credit") {
  History h;
  RequestRecord subscription;
  subscription.credit = 10;
  check_g8_credit(h.oracle, subscription, 15);
  REQUIRE(h.verdict() == "kept");
  check_g8_credit(h.oracle, subscription, 1);
  REQUIRE(h.verdict() == "G8");
}

TEST_CASE("G8 ST-12 is broken by a log that ends although the disk had no error") {
  History full, failed, whole;
  check_g8_refusal(full.oracle, {}, {Errc::storage_full, "no space"});
  REQUIRE(full.verdict() == "kept");
  failed.oracle.expects_errors = true;
  check_g8_refusal(failed.oracle, {}, {Errc::storage_error, "I/O error"});
  REQUIRE(failed.verdict() == "kept");
  check_g8_refusal(whole.oracle, {}, {Errc::storage_error, "I/O error"});
  REQUIRE(whole.verdict() == "G8");
}

TEST_CASE("G9 is broken by a restart that reads the data and not the tails") {
  History h;
  h.oracle.topics[0].log.segment_bytes = 64 * KiB;
  check_g9_restart_read(h.oracle, 100 * KiB, 3);
  REQUIRE(h.verdict() == "kept");
  check_g9_restart_read(h.oracle, 64 * MiB, 3);
  REQUIRE(h.verdict() == "G9");
}

TEST_CASE("a second answer to one request breaks G8") {
  History h;
  SimClock clock;
  Observer observer(h.oracle, h.disk, clock);
  h.oracle.requests[5].client = ClientHandle{1};
  observer.on_reply(ClientHandle{1}, 5, DoneReply{}, false);
  REQUIRE(h.verdict() == "kept");
  observer.on_reply(ClientHandle{1}, 5, DoneReply{}, false);
  REQUIRE(h.verdict() == "G8");
}
