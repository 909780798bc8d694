#include "tests/sim/checks.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>

namespace millrace::sim {
namespace {

// Of a session whose batch is fenced only what came before, or nothing, is known.
bool has_rotten_batch(Oracle& oracle, const PartitionRecord& part, std::uint64_t session) {
  return std::any_of(part.rotten.begin(), part.rotten.end(), [&](const OffsetRange& rotten) {
    const auto placed = part.placed.find(rotten.begin.value);
    return placed != part.placed.end() && oracle.batch(placed->second.tag)->producer_id == session;
  });
}

}  // namespace

// What breaks the rules is refused, and a copy of what is known changes nothing.
void check_g8_answer(Oracle& oracle, const RequestRecord& request, const ReplyBody& body) {
  if (request.expect == Expect::any) return;
  if (std::holds_alternative<Error>(body)) return;
  const auto* produced = std::get_if<ProducedReply>(&body);
  if (request.kind == RequestKind::produce) {
    const PartitionRecord& part = oracle.part(request);
    if (part.was_lied_to || part.lost_checkpoint) return;
    if (has_rotten_batch(oracle, part, oracle.batch(request.tag)->producer_id)) return;
  }
  if (request.expect == Expect::duplicate && produced != nullptr && produced->duplicate) return;
  oracle.fail("G8", fmt::format("a request of client {} that breaks the rules was carried out "
                                "(kind {}, batch {})",
                                request.client.value, static_cast<int>(request.kind), request.tag));
}

namespace {

// By age alone nothing goes that is younger, whatever the wall clock says (PS-07).
void check_age(Oracle& oracle, TopicIndex topic, PartitionIndex partition, std::uint64_t start) {
  const TopicRecord& record = oracle.topics[topic];
  const PartitionRecord& part = record.parts[partition];
  const Duration age = record.log.retention_age;
  if (age.ns == 0 || record.log.retention_bytes != 0 || oracle.clock_was_set) return;
  if (part.is_rotten || part.was_lied_to || part.placed.empty()) return;
  const auto behind = part.placed.lower_bound(start);
  if (behind == part.placed.begin()) return;
  const auto& [base, placed] = *std::prev(behind);
  if (base < part.trim_asked || oracle.now - oracle.batch(placed.tag)->made >= age) return;
  oracle.fail(
      "G8", fmt::format("{}: the start is {}, and the batch at {} is younger than the "
                        "retention by age of {} s",
                        place_text(oracle, topic, partition), start, base, age.ns / 1'000'000'000));
}

}  // namespace

// Only a trim that was asked for and the rules of retention move the start.
void check_g8_start(Oracle& oracle, TopicIndex topic, PartitionIndex partition,
                    std::uint64_t start) {
  const TopicRecord& record = oracle.topics[topic];
  const PartitionRecord& part = record.parts[partition];
  check_age(oracle, topic, partition, start);
  const bool retains = record.log.retention_bytes != 0 || record.log.retention_age.ns != 0;
  if (retains || start <= part.trim_asked || part.is_rotten || part.was_lied_to) return;
  oracle.fail("G8", fmt::format("{}: the start is {}, and nobody asked for more than {}",
                                place_text(oracle, topic, partition), start, part.trim_asked));
}

// The broker's clock says when a batch was appended, whatever its producer's says (PS-07).
void check_g8_append_time(Oracle& oracle, const SentBatch& batch, WallTime append_time) {
  if (append_time <= oracle.wall_max) return;
  oracle.fail(
      "G8", fmt::format("{}: batch {} is told as appended at {}, and the broker's clock has "
                        "not been beyond {}",
                        place_text(oracle, batch.topic, batch.partition), batch.tag, append_time.ns,
                        oracle.wall_max.ns));
}

// A push needs credit that is left; the last one may use more than that (PR-14).
void check_g8_credit(Oracle& oracle, RequestRecord& subscription, std::uint64_t bytes) {
  if (subscription.credit <= 0) {
    oracle.fail("G8", fmt::format("{}: client {} was pushed {} bytes, {} more than it gave credit "
                                  "for, and a push more than the last one",
                                  place_text(oracle, subscription.topic, subscription.partition),
                                  subscription.client.value, bytes, -subscription.credit));
  }
  subscription.credit -= static_cast<std::int64_t>(bytes);
}

// A log gives up for good because of an error of the disk, never because it is full (ST-12).
void check_g8_refusal(Oracle& oracle, const RequestRecord& request, const Error& error) {
  if (error.code != Errc::storage_error || oracle.expects_errors) return;
  oracle.fail(
      "G8",
      fmt::format("{}: batch {} is refused for an error of the disk, which had none: {}",
                  place_text(oracle, request.topic, request.partition), request.tag, error.text));
}

void check_g8_all_answered(Oracle& oracle, Duration patience) {
  for (const auto& [id, request] : oracle.requests) {
    const bool waits = request.kind != RequestKind::subscribe &&
                       !(request.kind == RequestKind::produce && request.ack == Ack::none) &&
                       request.kind != RequestKind::credit;
    if (!waits || request.is_abandoned || oracle.now - request.sent < patience) continue;
    return oracle.fail("G8", fmt::format("request {} of client {} (kind {}) has had no answer for "
                                         "{} s and nothing is wrong",
                                         id, request.client.value, static_cast<int>(request.kind),
                                         (oracle.now - request.sent).ns / 1'000'000'000));
  }
}

}  // namespace millrace::sim
