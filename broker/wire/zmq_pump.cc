#include "broker/wire/zmq_pump.h"

namespace millrace {

ZmqPump::ZmqPump(Reactor& reactor, ZmqSocket& socket, PumpTarget& target)
    : reactor_(reactor), socket_(socket), target_(target) {}

ZmqPump::~ZmqPump() {
  if (descriptor_ >= 0) reactor_.unwatch(descriptor_);
}

Result<void> ZmqPump::start() {
  const int descriptor = socket_.descriptor();
  if (auto watched = reactor_.watch(descriptor, *this); !watched) return watched;
  descriptor_ = descriptor;
  return {};
}

std::size_t ZmqPump::drain(std::size_t budget) {
  if (!ready_) return 0;
  std::size_t count = 0;
  while (count < budget && target_.receive_one()) ++count;
  // A full budget leaves messages behind that no edge will announce.
  ready_ = count == budget;
  return count;
}

bool ZmqPump::must_not_sleep() {
  // Sending may have eaten the edge of a message that came meanwhile; reading the events also lets
  // the socket take note of peers that can be sent to again.
  if ((socket_.events() & ZMQ_POLLIN) != 0) ready_ = true;
  return ready_;
}

}  // namespace millrace
