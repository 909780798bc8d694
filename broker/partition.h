// A meeting place: one log, the produce requests that wait for it, the fetches and subscriptions
// that wait on it.
//
// Trip one: station six on the way down, station eleven on the way up, where one number comes back
// and is handed on in always the same order: acks, long polls, live feed, subscriptions. Trip two:
// whose log it is.
//
// Owner: Topic. Thread: the shard's.
// Numbers: committed_end() is the log's durable_end: nothing at or above it is acked as durable,
// delivered or published (G6). Life: new ▸ opening ▸ open ▸ closing ▸ closed; a log that does not
// open leaves a partition with a fault, which answers every request with it.
#pragma once

#include "broker/core.h"
#include "broker/fanout/subscription.h"
#include "broker/fetch/fetch_waiters.h"
#include "broker/flush_list.h"
#include "broker/produce/ack_queue.h"
#include "broker/produce/admission.h"
#include "broker/requests.h"
#include "broker/shard.h"
#include "storage/log.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace millrace {

class Partition final : public LogListener, public FlushList::Member {
 public:
  using Done = std::function<void(Result<void>)>;
  using TrimDone = std::function<void(Result<Offset>)>;

  Partition(const Core& core, LogIdentity identity, const LogOptions& options, bool live);
  Partition(const Partition&) = delete;
  Partition& operator=(const Partition&) = delete;
  ~Partition() override = default;

  // -- life; `done` is called from a later turn.
  void open(Done done);
  // Instead of open: the log is not there to be opened.
  void set_fault(Error fault);
  // Closes the log after what is in flight, then fails with `error` what still waits for an ack. At
  // once for a log that was never opened. Whoever reads must have been sent away before.
  void close(const Error& error, Done done);

  // Neither opened nor known to have a fault.
  bool is_new() const { return life_ == Life::fresh && fault_.code == Errc::ok; }
  // It was opened, or that was tried, and it was closed since.
  bool is_closed() const { return life_ == Life::closed; }
  // The error of a partition that is not open.
  Result<void> check_open() const;
  // Errors: those of check_open; offset_out_of_range, naming what can be read.
  Result<void> check_readable(Offset offset) const;

  // -- trip one
  void produce(ClientHandle client, std::uint64_t request_id, const ProduceRequest& request,
               std::string_view disk_refusal);
  // Whether everything that was taken is durable or has failed.
  bool is_quiet() const;

  // -- trip two
  Log& log() { return log_; }
  const Log& log() const { return log_; }
  Offset committed_end() const { return log_.durable_end(); }
  FetchWaiters& fetch_waiters() { return fetch_waiters_; }
  IntrusiveList<Subscription>& waiting_subscriptions() { return waiting_subscriptions_; }

  // -- care
  // Errors: overloaded while another trim is under way.
  void trim(Offset start, TrimDone done);
  void apply_retention();
  PartitionInfo info() const;
  PartitionStatus status() const;
  // Whether the log found no space since this was asked last, or knows that there is none.
  bool take_met_full_disk() {
    return std::exchange(met_full_disk_, false) || (life_ == Life::open && log_.lacks_space());
  }
  const std::string& topic_name() const { return identity_.topic_name; }
  PartitionIndex index() const { return identity_.partition; }

  // -- FlushList::Member
  void flush() override;
  // What a log holds that takes no more appends never leaves, and waits for nothing.
  bool has_staged() const override {
    return life_ == Life::open && log_.has_staged() && log_.refusal().empty();
  }
  std::uint64_t staged_bytes() const override { return log_.staged_bytes(); }

  // -- LogListener
  void on_durable(Offset end, const std::vector<Buffer>& batches) override;
  void on_append_failed(const Error& error) override;

 private:
  enum class Life { fresh, opening, open, failed, closing, closed };

  void append(ClientHandle client, std::uint64_t request_id, const ProduceRequest& request);
  void answer_duplicate(ClientHandle client, std::uint64_t request_id, Ack ack,
                        const ProducedBatch& original);
  void acknowledge(ClientHandle client, std::uint64_t request_id, const ProducedReply& reply);
  void refuse(ClientHandle client, std::uint64_t request_id, const Error& error);
  void publish(const std::vector<Buffer>& batches);
  void start_close();
  std::string state_text() const;
  std::uint64_t corrupt_events() const;

  const Core& core_;
  const LogIdentity identity_;
  const LogOptions options_;
  const bool live_;
  Life life_ = Life::fresh;
  Error fault_;
  Log log_;
  AckQueue acks_;
  FetchWaiters fetch_waiters_;
  IntrusiveList<Subscription> waiting_subscriptions_;
  Instant commit_started_ = instant_never;
  std::uint64_t events_appended_ = 0, append_bytes_ = 0;
  bool met_full_disk_ = false;
  bool trimming_ = false;
  Done close_done_;  // set while a trim must end first
};

}  // namespace millrace
