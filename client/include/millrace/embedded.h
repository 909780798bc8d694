// A whole broker inside the process, for tests and small programs: starts in milliseconds,
// ephemeral by default. Link millrace::broker.
#pragma once

#include "millrace/error.h"
#include "millrace/options.h"

#include <memory>
#include <string>
#include <vector>

namespace millrace {

struct EmbeddedBrokerOptions {
  // Empty: a temporary directory, removed when the broker stops.
  std::string data_dir;
  // "inproc://NAME" (empty: a fresh name), "tcp://127.0.0.1:0", "ipc://...".
  std::string listen;
  std::string live;
  // "section.key=value", as for millraced --set.
  std::vector<std::string> settings;
};

class EmbeddedBroker {
 public:
  // Ready for requests when it returns. Errors: those of millraced's start, in words.
  static Outcome<EmbeddedBroker> start(EmbeddedBrokerOptions options = {});
  EmbeddedBroker(EmbeddedBroker&&) noexcept;
  EmbeddedBroker& operator=(EmbeddedBroker&&) noexcept;
  // Stops cleanly.
  ~EmbeddedBroker();

  // Endpoints as bound, and the context that inproc:// needs.
  ClientOptions client_options() const;
  const std::string& data_dir() const;
  Outcome<void> stop();

 private:
  class Impl;
  explicit EmbeddedBroker(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace
