#include "tests/e2e/load.h"

#include "storage/base/result.h"
#include "storage/format/batch.h"

#include <stdexcept>

namespace millrace::test {

std::string payload_of(std::uint64_t sequence) {
  // Of many lengths, so that batches end everywhere in their blocks.
  return "event " + std::to_string(sequence) + " " + std::string(sequence * 37 % 3'000, 'x');
}

void Load::connect(const std::string& endpoint) {
  client_ = std::make_unique<RawClient>(endpoint);
  for (const auto& [sequence, unused] : unanswered_) transmit(sequence);
}

void Load::transmit(std::uint64_t sequence) {
  TestSession session;
  session.producer_id = producer_id_;
  session.sequence = sequence;
  client_->send({raw::produce(sequence + 1, {}), make_batch(payload_of(sequence), session)});
}

bool Load::pump(std::chrono::milliseconds wait) {
  while (!ended_ && unanswered_.size() < window) {
    unanswered_.emplace(next_, true);
    transmit(next_++);
  }
  auto reply = client_->receive(wait);
  if (!reply) return false;
  while (reply) {
    take(*reply);
    reply = client_->receive(std::chrono::milliseconds(0));
  }
  return true;
}

void Load::take(const RawReply& reply) {
  const std::uint64_t sequence = reply.id() - 1;
  if (reply.error() == static_cast<std::uint16_t>(Errc::shutting_down)) {
    ++refused_for_stop_;  // stays unanswered: to be sent again
    ended_ = true;
    return;
  }
  const auto* produced = reply.as<wire::Produced>();
  if (produced == nullptr) {
    surprises_.push_back(std::to_string(sequence) + ": " + std::to_string(reply.error()) + " " +
                         reply.error_text());
    return;
  }
  unanswered_.erase(sequence);
  acked_[sequence] = produced->base_offset();
}

std::vector<std::string> read_all(const std::string& endpoint, const std::string& topic) {
  RawClient client(endpoint);
  std::vector<std::string> out;
  std::uint64_t id = 1;
  while (true) {
    const RawReply reply = client.call({raw::fetch(id++, {topic, 0, out.size()}, {1, 1 << 20, 0})});
    const auto* fetched = reply.as<wire::Fetched>();
    if (fetched == nullptr) throw std::runtime_error("fetch: " + reply.error_text());
    for (const Bytes& frame : reply.data) {
      BatchCursor cursor(frame);
      for (auto batch = cursor.next(); batch; batch = cursor.next()) {
        for (const TestEvent& event : events_of(*batch)) {
          if (batch->header().base_offset.value != out.size()) continue;
          out.push_back(event.payload);
        }
      }
    }
    if (fetched->next_offset() != out.size()) throw std::runtime_error("a fetch left a gap");
    if (out.size() == fetched->end_offset()) return out;
  }
}

}  // namespace millrace::test
