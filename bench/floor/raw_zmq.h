// Messages from a DEALER to a ROUTER over loopback tcp, one thread each, nothing done with them.
#pragma once

#include "bench/floor/cell.h"

namespace millrace::floor {

Cell measure_zmq(const Options& options, std::size_t message_bytes);

}  // namespace millrace::floor
