#include "tests/support/fake_broker.h"

#include "reply_generated.h"
#include "schemas/batch_body.h"
#include "storage/base/check.h"
#include "tests/support/patience.h"
#include "wire_generated.h"

#include <algorithm>
#include <cstring>

namespace millrace::test {
namespace {

using Kind = FakeRequest::Kind;

std::vector<std::byte> bytes_of(const zmq::message_t& message) {
  const auto* data = static_cast<const std::byte*>(message.data());
  return {data, data + message.size()};
}

FakeRequest decode(const wire::Request& request) {
  FakeRequest out;
  out.id = request.id();
  if (const auto* produce = request.body_as_Produce()) {
    out.kind = Kind::produce;
    out.partition = produce->partition();
  } else if (const auto* fetch = request.body_as_Fetch()) {
    out.kind = Kind::fetch;
    out.partition = fetch->partition();
    out.offset = fetch->offset();
  } else if (const auto* subscribe = request.body_as_Subscribe()) {
    out.kind = Kind::subscribe;
    out.partition = subscribe->partition();
    out.offset = subscribe->offset();
    out.subscription = subscribe->subscription();
    out.credit_bytes = subscribe->credit_bytes();
  } else if (const auto* credit = request.body_as_Credit()) {
    out.kind = Kind::credit;
    out.subscription = credit->subscription();
    out.credit_bytes = credit->credit_bytes();
  } else if (const auto* unsubscribe = request.body_as_Unsubscribe()) {
    out.kind = Kind::unsubscribe;
    out.subscription = unsubscribe->subscription();
  } else if (const auto* list = request.body_as_ListOffsets()) {
    out.kind = Kind::list_offsets;
    out.partition = list->partition();
  } else if (request.body_as_Metadata() != nullptr) {
    out.kind = Kind::metadata;
  } else if (request.body_as_DescribeTopic() != nullptr) {
    out.kind = Kind::describe;
  }
  return out;
}

}  // namespace

struct FakeBroker::Outgoing {
  flatbuffers::FlatBufferBuilder builder;
  std::vector<std::vector<std::byte>> data;
  void finish(std::uint64_t id, wire::ReplyBody kind, flatbuffers::Offset<void> body) {
    wire::FinishReplyBuffer(builder, wire::CreateReply(builder, id, 0, 0, kind, body));
  }
};

FakeBroker::FakeBroker(FakeOptions options)
    : options_(std::move(options)), partitions_(options_.partitions) {
  start();
}
FakeBroker::~FakeBroker() { stop(); }

void FakeBroker::set_script(Script script) {
  std::lock_guard lock(mutex_);
  script_ = std::move(script);
}

std::vector<FakeRequest> FakeBroker::requests() const {
  std::lock_guard lock(mutex_);
  return requests_;
}

std::size_t FakeBroker::count(Kind kind) const {
  std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::count_if(
      requests_.begin(), requests_.end(), [&](const FakeRequest& r) { return r.kind == kind; }));
}

void FakeBroker::stop() {
  if (!running_.exchange(false)) return;
  thread_.join();
  std::lock_guard lock(mutex_);
  subscriptions_.clear();
}

void FakeBroker::start() {
  const auto bind = [&](zmq::socket_type type, std::string& endpoint) {
    auto socket = std::make_unique<zmq::socket_t>(context_, type);
    socket->set(zmq::sockopt::linger, 0);
    // The port of the socket before may still be closing.
    const bool bound =
        eventually([&] { return zmq_bind(socket->handle(), endpoint.c_str()) == 0; });
    if (!bound) throw std::runtime_error("cannot bind " + endpoint);
    endpoint = socket->get(zmq::sockopt::last_endpoint);
    return socket;
  };
  router_ = bind(zmq::socket_type::router, endpoint_);
  publisher_ = bind(zmq::socket_type::pub, live_endpoint_);
  running_ = true;
  thread_ = std::thread([this] { run(); });
}

void FakeBroker::run() {
  while (running_) {
    zmq_pollitem_t item{router_->handle(), 0, ZMQ_POLLIN, 0};
    zmq_poll(&item, 1, 2);
    std::lock_guard lock(mutex_);
    for (;;) {
      std::vector<zmq::message_t> frames;
      zmq::message_t frame;
      if (!router_->recv(frame, zmq::recv_flags::dontwait)) break;
      bool more = frame.more();
      frames.push_back(std::move(frame));
      while (more) {
        zmq::message_t next;
        if (!router_->recv(next)) break;
        more = next.more();
        frames.push_back(std::move(next));
      }
      handle(frames);
    }
    feed_subscriptions();
  }
  router_.reset();
  publisher_.reset();
}

void FakeBroker::handle(std::vector<zmq::message_t>& frames) {
  const std::string client = frames[0].to_string();
  std::vector<std::uint64_t> aligned(frames[1].size() / 8 + 1);
  std::memcpy(aligned.data(), frames[1].data(), frames[1].size());
  const auto* head = reinterpret_cast<const std::uint8_t*>(aligned.data());
  flatbuffers::Verifier verifier(head, frames[1].size());
  CHECK(wire::VerifyRequestBuffer(verifier), "the client sends requests that verify");
  const wire::Request* wire_request = wire::GetRequest(head);
  FakeRequest request = decode(*wire_request);
  std::vector<std::byte> batch;
  if (request.kind == Kind::produce) {
    CHECK(frames.size() == 3, "a produce has its batch");
    batch = bytes_of(frames[2]);
    const auto view = BatchView::parse(batch);
    CHECK(view.has_value(), "the client sends batches that verify");
    request.batch = view->header();
  }
  requests_.push_back(request);
  const FakeAnswer wish = script_ ? script_(request) : FakeAnswer{};
  switch (wish.kind) {
    case FakeAnswer::Kind::ignore: return;
    case FakeAnswer::Kind::refuse: return refuse(client, request.id, wish.error);
    case FakeAnswer::Kind::garbage: {
      router_->send(zmq::message_t(client), zmq::send_flags::sndmore);
      router_->send(zmq::message_t(std::string(64, 'x')), zmq::send_flags::none);
      return;
    }
    case FakeAnswer::Kind::lose_reply: return answer("", request, wire_request, std::move(batch));
    case FakeAnswer::Kind::normal: return answer(client, request, wire_request, std::move(batch));
  }
}

void FakeBroker::answer(const std::string& client, const FakeRequest& request, const void* body,
                        std::vector<std::byte> batch) {
  const auto& wire_request = *static_cast<const wire::Request*>(body);
  Outgoing out;
  auto& b = out.builder;
  if (request.partition >= partitions_.size())
    return refuse(client, request.id, Error(Errc::unknown_partition, "no such partition"));
  Partition& partition = partitions_[request.partition];
  const wire::Id topic_id(1, 2);
  switch (request.kind) {
    case Kind::produce: return produce(client, request, std::move(batch));
    case Kind::credit:
      for (Subscription& s : subscriptions_) {
        if (s.id == request.subscription) s.credit += request.credit_bytes;
      }
      return;
    case Kind::unsubscribe:
      std::erase_if(subscriptions_,
                    [&](const Subscription& s) { return s.id == request.subscription; });
      out.finish(request.id, wire::ReplyBody::Done, wire::CreateDone(b).Union());
      break;
    case Kind::subscribe:
    case Kind::fetch: {
      if (request.offset < partition.start || request.offset > partition.end) {
        Error error(Errc::offset_out_of_range, "not here");
        error.range_begin = partition.start;
        error.range_end = partition.end;
        return refuse(client, request.id, error);
      }
      if (request.kind == Kind::subscribe) {
        subscriptions_.push_back({client, request.subscription, request.id, request.partition,
                                  request.offset, static_cast<std::int64_t>(request.credit_bytes)});
        out.finish(request.id, wire::ReplyBody::Subscribed,
                   wire::CreateSubscribed(b, partition.start, partition.end).Union());
        break;
      }
      std::uint64_t next = request.offset;
      for (const Stored& stored : partition.batches) {
        if (stored.end <= request.offset) continue;
        out.data.push_back(stored.bytes);
        next = stored.end;
      }
      out.finish(request.id, wire::ReplyBody::Fetched,
                 wire::CreateFetched(b, partition.start, partition.end, next).Union());
      break;
    }
    case Kind::list_offsets: {
      const auto* where = wire_request.body_as_ListOffsets()->where();
      const auto value = static_cast<std::uint64_t>(where->value());
      std::uint64_t offset = partition.start;
      if (where->kind() == wire::WhereKind::end) offset = partition.end;
      if (where->kind() == wire::WhereKind::before_end)
        offset = partition.end - std::min(value, partition.end - partition.start);
      if (where->kind() == wire::WhereKind::offset)
        offset = std::clamp(value, partition.start, partition.end);
      out.finish(request.id, wire::ReplyBody::OffsetList,
                 wire::CreateOffsetList(b, offset, partition.start, partition.end).Union());
      break;
    }
    case Kind::metadata:
    case Kind::describe: {
      std::vector<std::uint64_t> starts, ends;
      for (const Partition& p : partitions_) {
        starts.push_back(p.start);
        ends.push_back(p.end);
      }
      const auto name = b.CreateString(options_.topic);
      const auto starts_at = b.CreateVector(starts);
      const auto ends_at = b.CreateVector(ends);
      wire::TopicInfoBuilder info(b);
      info.add_topic(name);
      info.add_id(&topic_id);
      info.add_partitions(options_.partitions);
      info.add_batch_bytes_max(options_.batch_bytes_max);
      if (request.kind == Kind::describe) {
        info.add_start_offsets(starts_at);
        info.add_end_offsets(ends_at);
      }
      out.finish(request.id, wire::ReplyBody::TopicInfo, info.Finish().Union());
      break;
    }
    case Kind::other: {
      const auto version = b.CreateString("fake");
      const auto live = b.CreateString(live_endpoint_);
      wire::PongBuilder pong(b);
      pong.add_broker_version(version);
      pong.add_live(live);
      out.finish(request.id, wire::ReplyBody::Pong, pong.Finish().Union());
      break;
    }
  }
  send(client, out);
}

void FakeBroker::produce(const std::string& client, const FakeRequest& request,
                         std::vector<std::byte> batch) {
  Partition& partition = partitions_[request.partition];
  const BatchHeader& header = *request.batch;
  Outgoing out;
  if (header.producer_id == 0) {
    publish(request.partition, store(request.partition, std::move(batch)));
    return;  // without acks there is no answer
  }
  const bool known = partition.sessions.contains(header.producer_id);
  if (!known && header.sequence != 0)
    return refuse(client, request.id, Error(Errc::unknown_producer, "who?"));
  Session& session = partition.sessions[header.producer_id];
  if (header.producer_epoch < session.epoch)
    return refuse(client, request.id, Error(Errc::fenced, "old epoch"));
  if (header.producer_epoch > session.epoch) session = Session{header.producer_epoch, 0, {}};
  for (const auto& done : session.produced) {
    if (done.sequence != header.sequence) continue;
    out.finish(request.id, wire::ReplyBody::Produced,
               wire::CreateProduced(out.builder, done.base, done.end, 1, wire::Ack::durable, true)
                   .Union());
    return send(client, out);
  }
  if (header.sequence != session.next_sequence)
    return refuse(client, request.id, Error(Errc::out_of_order, "a batch is missing"));
  const Stored& stored = store(request.partition, std::move(batch));
  session.next_sequence += header.event_count;
  session.produced.push_back({header.sequence, stored.base, stored.end});
  if (!drop_feed_) publish(request.partition, stored);
  out.finish(
      request.id, wire::ReplyBody::Produced,
      wire::CreateProduced(out.builder, stored.base, stored.end, 1, wire::Ack::durable, false)
          .Union());
  send(client, out);
}

FakeBroker::Stored& FakeBroker::store(std::uint32_t index, std::vector<std::byte> batch) {
  Partition& partition = partitions_[index];
  const auto header = parse_batch_header(batch);
  CHECK(header.has_value(), "a batch that verifies");
  BatchPlace place;
  place.base_offset = Offset{partition.end};
  place.append_time = WallTime{1};
  place.segment_id = 7;
  stamp_batch(batch, *header, place);
  batch.resize(align_up(batch.size(), 8));
  partition.batches.push_back(
      {partition.end, partition.end + header->event_count, std::move(batch)});
  partition.end += header->event_count;
  return partition.batches.back();
}

void FakeBroker::publish(std::uint32_t partition, const Stored& stored) {
  std::byte head[32] = {};
  store_le(head, stored.base);
  store_le(head + 8, static_cast<std::uint32_t>(stored.end - stored.base));
  store_le(head + 16, std::int64_t{1});
  store_le(head + 24, stored.end);
  publisher_->send(zmq::message_t(options_.topic + "/" + std::to_string(partition) + "/"),
                   zmq::send_flags::sndmore);
  publisher_->send(zmq::message_t(head, sizeof head), zmq::send_flags::sndmore);
  publisher_->send(zmq::message_t(stored.bytes.data(), stored.bytes.size()), zmq::send_flags::none);
}

void FakeBroker::feed_subscriptions() {
  for (Subscription& subscription : subscriptions_) {
    Partition& partition = partitions_[subscription.partition];
    for (const Stored& stored : partition.batches) {
      if (stored.end <= subscription.next || subscription.credit <= 0) continue;
      subscription.credit -= static_cast<std::int64_t>(stored.bytes.size());
      subscription.next = stored.end;
      Outgoing out;
      const auto left = static_cast<std::uint32_t>(std::max<std::int64_t>(subscription.credit, 0));
      out.finish(subscription.request_id, wire::ReplyBody::Pushed,
                 wire::CreatePushed(out.builder, subscription.id, stored.end, partition.end, left)
                     .Union());
      out.data.push_back(stored.bytes);
      send(subscription.client, out);
    }
  }
}

void FakeBroker::send(const std::string& client, const Outgoing& outgoing) {
  if (client.empty()) return;  // the reply is lost
  router_->send(zmq::message_t(client), zmq::send_flags::sndmore);
  const bool more = !outgoing.data.empty();
  router_->send(zmq::message_t(outgoing.builder.GetBufferPointer(), outgoing.builder.GetSize()),
                more ? zmq::send_flags::sndmore : zmq::send_flags::none);
  for (std::size_t i = 0; i < outgoing.data.size(); ++i) {
    const bool last = i + 1 == outgoing.data.size();
    router_->send(zmq::message_t(outgoing.data[i].data(), outgoing.data[i].size()),
                  last ? zmq::send_flags::none : zmq::send_flags::sndmore);
  }
}

void FakeBroker::refuse(const std::string& client, std::uint64_t id, const Error& error) {
  Outgoing out;
  const auto text = out.builder.CreateString(error.text);
  wire::ReplyBuilder reply(out.builder);
  reply.add_id(id);
  reply.add_error(static_cast<std::uint16_t>(error.code));
  reply.add_error_text(text);
  reply.add_range_begin(error.range_begin);
  reply.add_range_end(error.range_end);
  wire::FinishReplyBuffer(out.builder, reply.Finish());
  send(client, out);
}

void FakeBroker::append(std::uint32_t partition, std::vector<std::byte> batch, Feed feed) {
  std::lock_guard lock(mutex_);
  const Stored& stored = store(partition, std::move(batch));
  if (feed == Feed::publish && publisher_) publish(partition, stored);
}

void FakeBroker::append_damaged(std::uint32_t partition, std::vector<std::byte> batch,
                                std::size_t damage_at) {
  std::lock_guard lock(mutex_);
  store(partition, std::move(batch)).bytes[damage_at] ^= std::byte{1};
}

void FakeBroker::trim(std::uint32_t partition, std::uint64_t start) {
  std::lock_guard lock(mutex_);
  partitions_[partition].start = start;
}

std::uint64_t FakeBroker::end_offset(std::uint32_t partition) const {
  std::lock_guard lock(mutex_);
  return partitions_[partition].end;
}

std::vector<std::string> FakeBroker::payloads(std::uint32_t partition) const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> out;
  for (const Stored& stored : partitions_[partition].batches) {
    const auto view = BatchView::parse(stored.bytes);
    CHECK(view.has_value() && view->header().codec == Codec::none, "a stored batch that verifies");
    const auto body = BatchBodyView::parse(view->body(), view->header().event_count);
    CHECK(body.has_value(), "a stored body that verifies");
    for (std::uint32_t i = 0; i < body->event_count(); ++i)
      out.emplace_back(as_text(body->payload(i)));
  }
  return out;
}

void FakeBroker::forget_producers() {
  std::lock_guard lock(mutex_);
  for (Partition& partition : partitions_) partition.sessions.clear();
}

}  // namespace millrace::test
