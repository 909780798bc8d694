// GET /health and GET /metrics, on threads of their own: a stuck shard cannot keep health from
// saying so.
//
// /health answers JSON, 200 while the loop beats and recovery is over, else 503. /metrics answers
// Prometheus' text, everything else a line that names the two. Nothing can be changed by HTTP.
// Owner: main. Bounds: small headers, no bodies, one request a connection, 2 s without a byte, 16
// connections at a time.
#pragma once

#include "broker/daemon/shard_status.h"

#include <memory>
#include <string>

namespace millrace {

class HttpServer {
 public:
  // `address` as "host:port"; port 0 picks a free one. Errors: as of listen_error.
  static Result<std::unique_ptr<HttpServer>> start(const std::string& address,
                                                   StatusSource& source);
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  ~HttpServer();

  // "host:port" as bound.
  const std::string& address() const;

 private:
  class Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace
