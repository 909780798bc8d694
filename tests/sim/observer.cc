#include "tests/sim/observer.h"

#include "broker/meta/topic_paths.h"

#include <fmt/core.h>

#include <algorithm>

namespace millrace::sim {

bool Observer::is_certain(Errc code) {
  switch (code) {
    case Errc::storage_error:
    case Errc::corrupt:
    case Errc::timed_out:
    case Errc::sequence_expired: return false;
    default: return true;
  }
}

void Observer::on_reply(ClientHandle client, std::uint64_t id, const ReplyBody& body, bool late) {
  late_ = late;
  oracle_.now = clock_.now();
  oracle_.wall_max = std::max(oracle_.wall_max, clock_.wall());
  const auto found = oracle_.requests.find(id);
  if (found == oracle_.requests.end() || found->second.client != client) {
    return oracle_.fail("G8",
                        fmt::format("client {} was given an answer to request {}, which it has "
                                    "not asked or which was answered",
                                    client.value, id));
  }
  RequestRecord& request = found->second;
  note_lies(request.topic);
  const auto* error = std::get_if<Error>(&body);
  oracle_.counts.work(error != nullptr ? "refusals" : "answers");
  check_g8_answer(oracle_, request, body);
  bool is_last = true;
  if (request.kind == RequestKind::produce) {
    on_produced(request, body);
  } else if (request.kind == RequestKind::create) {
    on_create(request, body);
  } else if (request.kind == RequestKind::remove) {
    on_remove(request, body);
  } else if (error != nullptr) {
    on_read_error(request, *error);
  } else if (const auto* fetched = std::get_if<FetchedReply>(&body)) {
    bounds(request, fetched->start_offset.value, fetched->end_offset.value);
    on_data(request, fetched->data, fetched->next_offset, "a fetch");
  } else if (const auto* subscribed = std::get_if<SubscribedReply>(&body)) {
    bounds(request, subscribed->start_offset.value, subscribed->end_offset.value);
    is_last = false;
  } else if (const auto* pushed = std::get_if<PushedReply>(&body)) {
    std::uint64_t bytes = 0;
    for (const auto& buffer : pushed->data) bytes += buffer.size();
    check_g8_credit(oracle_, request, bytes);
    on_data(request, pushed->data, pushed->next_offset, "a push");
    is_last = false;
  } else if (const auto* offsets = std::get_if<OffsetListReply>(&body)) {
    on_offsets(request, *offsets);
  } else if (const auto* info = std::get_if<TopicInfoReply>(&body)) {
    on_info(request, *info);
  } else if (const auto* list = std::get_if<TopicListReply>(&body)) {
    if (request.kind == RequestKind::first_list) on_first_list(*list);
  }
  if (is_last) oracle_.requests.erase(id);
}

void Observer::note_lies(TopicIndex topic) {
  if (topic >= oracle_.topics.size() || !disk_.was_lied_about("topics")) return;
  TopicRecord& record = oracle_.topics[topic];
  const auto path = topic_path(record.id);
  for (PartitionIndex i = 0; i < record.partitions; ++i)
    record.parts[i].was_lied_to |= disk_.was_lied_about(partition_path(path, i));
  for (std::size_t copy = 0; copy < 2; ++copy)
    record.was_lied_to |= disk_.was_lied_about(topic_meta_path(path, copy));
}

// -- produce
// --------------------------------------------------------------------------------------------------

void Observer::on_produced(const RequestRecord& request, const ReplyBody& body) {
  SentBatch& batch = *oracle_.batch(request.tag);
  if (const auto* error = std::get_if<Error>(&body)) {
    if (is_certain(error->code)) ++batch.refusals;
    if (error->code == Errc::storage_full) oracle_.counts.row("ST-12");
    if (error->code == Errc::storage_error) oracle_.counts.work("appends failed");
    check_g8_refusal(oracle_, request, *error);
    return check_g4_answer(oracle_, request, batch, *error);
  }
  on_acked(request, batch, std::get<ProducedReply>(body));
}

void Observer::on_acked(const RequestRecord& request, SentBatch& batch,
                        const ProducedReply& reply) {
  const std::uint64_t base = reply.offsets.begin.value;
  if (reply.offsets.count() != batch.event_count) {
    oracle_.fail("G2", fmt::format("batch {} of {} events was given offsets [{}, {})", batch.tag,
                                   batch.event_count, base, reply.offsets.end.value));
  }
  // What is less than durable is no promise.
  if (reply.ack != Ack::durable) return;
  oracle_.counts.work(reply.duplicate ? "duplicates" : "acks");
  check_g8_append_time(oracle_, batch, reply.append_time);
  place(batch, base, reply.append_time, "an ack");
  if (!reply.duplicate && !late_) {
    check_g3_ack_order(oracle_, batch, base);
    check_g1_ack_is_on_disk(oracle_, disk_, batch, base);
  }
  batch.is_acked = true;
  if (batch.producer_id == 0) return;
  SessionRecord& session = oracle_.part(request).sessions[batch.producer_id];
  if (!session.has_ack || batch.epoch > session.epoch) {
    session.has_ack = true;
    session.epoch = batch.epoch;
    session.acked_end = 0;
    session.acked_batches = 0;
  }
  if (batch.epoch != session.epoch) return;
  session.acked_end = std::max(session.acked_end, batch.sequence + batch.event_count);
  ++session.acked_batches;
}

void Observer::place(SentBatch& batch, std::uint64_t base, WallTime append_time,
                     std::string_view who) {
  PartitionRecord& part = oracle_.topics[batch.topic].parts[batch.partition];
  check_g2_place(oracle_, batch, base, who);
  check_g4_once(oracle_, batch, base, who);
  batch.base = base;
  part.placed[base] = {batch.tag, batch.event_count, append_time};
  part.end_told = std::max(part.end_told, base + batch.event_count);
}

// -- readers
// --------------------------------------------------------------------------------------------------

void Observer::deliver(const Delivery& delivery) {
  oracle_.counts.work("deliveries");
  check_g2_value(oracle_, delivery);
  SentBatch* batch = oracle_.batch(Oracle::tag_of(delivery.batch.header()));
  if (batch == nullptr || oracle_.finding()) return;
  check_g5_not_refused(oracle_, delivery);
  check_g6_is_durable(oracle_, disk_, delivery);
  const BatchHeader& header = delivery.batch.header();
  place(*batch, header.base_offset.value, header.append_time, delivery.who);
  const bool is_read = reading_ != nullptr && reading_->topic == delivery.topic &&
                       reading_->partition == delivery.partition;
  if (is_read) reading_->batches.emplace(header.base_offset.value, header);
}

void Observer::on_data(RequestRecord& request, const std::vector<Buffer>& data, Offset next,
                       std::string_view who) {
  bool is_first = true;
  std::uint64_t expected = request.offset;
  for (const auto& buffer : data) {
    BatchCursor cursor(buffer.bytes());
    for (auto batch = cursor.next();; batch = cursor.next()) {
      if (!batch && batch.error().code == Errc::not_found) break;
      if (!batch) {
        return oracle_.fail("G7", fmt::format("{}: {} gave bytes that do not verify: {}",
                                              place_text(oracle_, request.topic, request.partition),
                                              who, batch.error().to_string()));
      }
      const Delivery delivery{request.topic, request.partition, *batch, who};
      const OffsetRange range = batch->header().range();
      // The first batch may begin before the offset that was asked for.
      const bool holds = is_first && range.begin.value <= expected && expected < range.end.value;
      if (!holds) check_g3_continues(oracle_, delivery, expected);
      is_first = false;
      expected = range.end.value;
      deliver(delivery);
      if (oracle_.finding()) return;
    }
  }
  if (next.value != expected) {
    oracle_.fail("G3", fmt::format("{}: {} ended at offset {} and says that {} comes next",
                                   place_text(oracle_, request.topic, request.partition), who,
                                   expected, next.value));
  }
  request.offset = next.value;
}

void Observer::bounds(const RequestRecord& request, std::uint64_t start, std::uint64_t end) {
  if (late_) return;
  check_g1_bounds(oracle_, request.topic, request.partition, start, end);
  check_g8_start(oracle_, request.topic, request.partition, start);
}

void Observer::on_read_error(const RequestRecord& request, const Error& error) {
  if (error.code == Errc::corrupt) {
    oracle_.counts.work("damage named");
    return check_g7_named(oracle_, request.topic, request.partition, error);
  }
  if (error.code == Errc::offset_out_of_range && error.range_end != 0) {
    bounds(request, error.range_begin, error.range_end);
  }
}

// Of a search by time: what was appended before lies before the answer, the rest does not.
void Observer::on_offsets(const RequestRecord& request, const OffsetListReply& reply) {
  bounds(request, reply.start_offset.value, reply.end_offset.value);
  if (request.kind != RequestKind::list_offsets) return;
  check_g2_where(oracle_, request, reply);
  if (request.where.kind != Where::Kind::time) return;
  const PartitionRecord& part = oracle_.part(request);
  if (part.is_rotten || part.was_lied_to) return;
  for (auto at = part.placed.lower_bound(reply.start_offset.value); at != part.placed.end(); ++at) {
    const auto& [base, placed] = *at;
    const bool is_before = placed.append_time < WallTime{request.where.value};
    const bool lies_before = base < reply.offset.value;
    if (is_before == lies_before || base + placed.count > request.offset) continue;
    return oracle_.fail(
        "G2", fmt::format("{}: the search for time {} answers offset {}, and the batch at {} was "
                          "appended at {}",
                          place_text(oracle_, request.topic, request.partition),
                          request.where.value, reply.offset.value, base, placed.append_time.ns));
  }
}

void Observer::on_info(const RequestRecord& request, const TopicInfoReply& reply) {
  for (PartitionIndex i = 0; i < reply.partition_infos.size(); ++i) {
    const PartitionInfo& info = reply.partition_infos[i];
    PartitionRecord& part = oracle_.topics[request.topic].parts[i];
    // One that is not open says nothing of its offsets.
    part.is_open = info.segments != 0 || info.state == "ok";
    part.state = info.state;
    if (!part.is_open) continue;
    RequestRecord of_part = request;
    of_part.partition = i;
    bounds(of_part, info.start_offset.value, info.end_offset.value);
  }
}

// -- topics
// ---------------------------------------------------------------------------------------------------

void Observer::on_create(const RequestRecord& request, const ReplyBody& body) {
  if (request.expect != Expect::any) return;
  TopicRecord& topic = oracle_.topics[request.topic];
  if (const auto* info = std::get_if<TopicInfoReply>(&body)) {
    topic.id = info->id;
    topic.state = TopicRecord::State::standing;
    topic.is_served = true;
    oracle_.counts.work("topics created");
    return;
  }
  const auto& error = std::get<Error>(body);
  const bool is_unknown = error.code == Errc::storage_error || error.code == Errc::storage_full ||
                          error.code == Errc::not_found || error.code == Errc::overloaded;
  topic.state = is_unknown ? TopicRecord::State::maybe : TopicRecord::State::gone;
}

void Observer::on_remove(const RequestRecord& request, const ReplyBody& body) {
  if (request.expect != Expect::any) return;
  TopicRecord& topic = oracle_.topics[request.topic];
  if (std::holds_alternative<DoneReply>(body)) {
    topic.state = TopicRecord::State::gone;
    oracle_.counts.work("topics deleted");
  }
}

void Observer::on_first_list(const TopicListReply& reply) {
  for (TopicIndex i = 0; i < oracle_.topics.size(); ++i) {
    note_lies(i);
    oracle_.topics[i].is_served = false;
  }
  for (const auto& row : reply.topics) {
    auto found = oracle_.find_topic(row.id);
    for (TopicIndex i = 0; !found && i < oracle_.topics.size(); ++i) {
      const TopicRecord& topic = oracle_.topics[i];
      const bool is_open = topic.id.is_none() && topic.state == TopicRecord::State::maybe;
      if (is_open && topic.name == row.name && topic.partitions == row.partitions) found = i;
    }
    if (!found) {
      return oracle_.fail(
          "G8", fmt::format("topic {} ({}) stands and nobody made it", row.name, row.id.to_hex()));
    }
    TopicRecord& topic = oracle_.topics[*found];
    if (topic.state == TopicRecord::State::gone) {
      return oracle_.fail("G5", fmt::format("topic {} ({}) was deleted and stands again", row.name,
                                            row.id.to_hex()));
    }
    topic.id = row.id;
    topic.state = TopicRecord::State::standing;
    topic.is_served = true;
  }
  for (auto& topic : oracle_.topics) {
    const bool was_in_doubt =
        topic.state == TopicRecord::State::maybe || topic.state == TopicRecord::State::deleting;
    if (!topic.is_served && was_in_doubt && oracle_.is_calm) topic.state = TopicRecord::State::gone;
  }
  check_g1_topics(oracle_, reply);
}

// -- the live feed
// -------------------------------------------------------------------------------------------------

void Observer::on_published(std::string_view topic, PartitionIndex partition, ByteView bytes) {
  const auto batch = BatchView::parse(bytes);
  if (!batch) return oracle_.fail("G7", "the live feed carries bytes that do not verify");
  const SentBatch* sent = oracle_.batch(Oracle::tag_of(batch->header()));
  if (sent == nullptr || oracle_.topics[sent->topic].name != topic) {
    return oracle_.fail(
        "G2", fmt::format("the live feed of {} carries a batch that nobody sent there", topic));
  }
  note_lies(sent->topic);
  const Delivery delivery{sent->topic, partition, *batch, "the live feed"};
  auto& end = oracle_.topics[sent->topic].parts[partition].published_end;
  if (end) check_g3_continues(oracle_, delivery, *end);
  end = batch->header().end_offset().value;
  deliver(delivery);
}

}  // namespace millrace::sim
