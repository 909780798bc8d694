// Hears every word that the broker says, at the moment when it says it: brings the oracle's record
// up to date and runs the checks that belong to that word.
//
// Owner: Simulation. Called from inside the broker's turn, so it never calls the broker.
#pragma once

#include "tests/sim/checks.h"
#include "tests/sim/sim_clock.h"

namespace millrace::sim {

class Observer {
 public:
  Observer(Oracle& oracle, const SimDisk& disk, SimClock& clock)
      : oracle_(oracle), disk_(disk), clock_(clock) {}

  // `late`: it waited for its client, so others may have heard newer words before.
  void on_reply(ClientHandle client, std::uint64_t id, const ReplyBody& body, bool late);
  void on_published(std::string_view topic, PartitionIndex partition, ByteView bytes);
  // A refusal of a produce request that says for certain that nothing was stored.
  static bool is_certain(Errc code);
  // While set, every batch that is delivered from its partition is noted there.
  void set_reading(FullRead* reading) { reading_ = reading; }

 private:
  // The list of topics that the first client of a new process is given: what was in doubt is
  // known now.
  void on_first_list(const TopicListReply& reply);
  void on_produced(const RequestRecord& request, const ReplyBody& body);
  void on_acked(const RequestRecord& request, SentBatch& batch, const ProducedReply& reply);
  void on_data(RequestRecord& request, const std::vector<Buffer>& data, Offset next,
               std::string_view who);
  void on_read_error(const RequestRecord& request, const Error& error);
  void on_offsets(const RequestRecord& request, const OffsetListReply& reply);
  void on_create(const RequestRecord& request, const ReplyBody& body);
  void on_remove(const RequestRecord& request, const ReplyBody& body);
  void on_info(const RequestRecord& request, const TopicInfoReply& reply);
  void bounds(const RequestRecord& request, std::uint64_t start, std::uint64_t end);
  void deliver(const Delivery& delivery);
  // A disk that lied to a partition excuses much.
  void note_lies(TopicIndex topic);
  void place(SentBatch& batch, std::uint64_t base, WallTime append_time, std::string_view who);

  Oracle& oracle_;
  const SimDisk& disk_;
  SimClock& clock_;
  FullRead* reading_ = nullptr;
  bool late_ = false;
};

}  // namespace millrace::sim
