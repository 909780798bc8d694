// What plays a client of the broker: it acts when the simulation lets it, hears its answers a while
// after they were given, and starts over when the broker or its connection died.
//
// ClientHost is the simulation as its clients see it.
#pragma once

#include "tests/sim/oracle.h"
#include "tests/sim/sim_options.h"

#include <optional>

namespace millrace::sim {

class ClientHost {
 public:
  virtual ~ClientHost() = default;
  // Notes the request in the record and hands it to the broker. Answers its id.
  virtual std::uint64_t send(RequestRecord record, RequestBody body) = 0;
  // Nobody waits for this answer any more; it may still come.
  void abandon(std::uint64_t request);
  // A topic that stands and is served, at random.
  std::optional<TopicIndex> any_topic();
  // By name when there is no doubt which incarnation stands, else by name and id.
  TopicRef topic_ref(TopicIndex topic);
  WallTime wall() const { return wall_now; }

  Oracle oracle;
  Random* random = nullptr;  // of the workload
  SimOptions options;
  WallTime wall_now;
};

class SimClient {
 public:
  SimClient(ClientHost& host, ClientHandle handle) : host_(host), handle_(handle) {}
  SimClient(const SimClient&) = delete;
  SimClient& operator=(const SimClient&) = delete;
  virtual ~SimClient() = default;

  virtual void act() = 0;
  virtual void hear(std::uint64_t id, const ReplyBody& body) = 0;
  // All requests are gone, and it is not known what became of them.
  virtual void on_disconnect() = 0;
  // What it still wants; for the end of a run, when everything must be done.
  virtual bool is_done() const { return true; }
  virtual void finish() { act(); }

  ClientHandle handle() const { return handle_; }
  void set_handle(ClientHandle handle) { handle_ = handle; }

 protected:
  Random& random() { return *host_.random; }
  Oracle& oracle() { return host_.oracle; }
  RequestRecord record(RequestKind kind, TopicIndex topic = 0, PartitionIndex partition = 0);

  ClientHost& host_;
  ClientHandle handle_;
};

// Fills `batch` with events that say whose they are.
void fill_batch(SentBatch& batch, Random& random, std::uint32_t events_max,
                std::uint32_t payload_bytes_max);

}  // namespace millrace::sim
