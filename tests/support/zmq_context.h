// A ZeroMQ context of this test alone; all its sockets must be closed before it goes.
#pragma once

#include <zmq.h>

namespace millrace::test {

class ZmqContext {
 public:
  ZmqContext() : raw_(zmq_ctx_new()) {}
  ZmqContext(const ZmqContext&) = delete;
  ZmqContext& operator=(const ZmqContext&) = delete;
  ~ZmqContext() { zmq_ctx_term(raw_); }
  void* raw() const { return raw_; }

 private:
  void* raw_;
};

}  // namespace millrace::test
